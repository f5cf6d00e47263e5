// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/retire_list.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

namespace meshgate {
namespace {

class RetireListTest : public testing::Test {
protected:
    RetireListTest() : rcu_{*Rcu::create(2)}, retired_{rcu_} {}

    void online(unsigned reader) {
        rte_rcu_qsbr_thread_register(rcu_.get(), reader);
        rte_rcu_qsbr_thread_online(rcu_.get(), reader);
    }

    Rcu rcu_;
    RetireList retired_;
};

TEST_F(RetireListTest, FreesAtOnceWhileNobodyReads) {
    auto object = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = object;
    retired_.add(std::move(object));
    EXPECT_FALSE(watch.expired()) << "only reclaim() lets go";
    EXPECT_EQ(retired_.reclaim(), 0U);
    EXPECT_TRUE(watch.expired());
}

TEST_F(RetireListTest, WaitsForEveryReaderThatWasOnline) {
    online(0);
    online(1);
    bool done = false;
    retired_.add_action([&done] { done = true; });
    EXPECT_EQ(retired_.reclaim(), 1U);
    rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    EXPECT_EQ(retired_.reclaim(), 1U);
    EXPECT_FALSE(done);
    rte_rcu_qsbr_thread_offline(rcu_.get(), 1);
    EXPECT_EQ(retired_.reclaim(), 0U);
    EXPECT_TRUE(done);
}

TEST_F(RetireListTest, KeepsWhatWasRetiredAfterTheReport) {
    online(0);
    retired_.add_action([] {});
    rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    retired_.add_action([] {});
    EXPECT_EQ(retired_.reclaim(), 1U);
    rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    EXPECT_EQ(retired_.reclaim(), 0U);
}

// A reader in a thread of its own follows a pointer that is swapped all the time: under the address
// and thread sanitizers this finds an object freed too early.
TEST_F(RetireListTest, NeverFreesUnderAReader) {
    std::atomic<const uint64_t*> current{nullptr};
    std::atomic<bool> stop{false};
    std::shared_ptr<const uint64_t> owner = std::make_shared<uint64_t>(0);
    current.store(owner.get());
    std::thread reader{[&] {
        online(0);
        uint64_t last = 0;
        while (!stop.load()) {
            const uint64_t value = *current.load(std::memory_order_acquire);
            EXPECT_GE(value, last);
            last = value;
            rte_rcu_qsbr_quiescent(rcu_.get(), 0);
        }
        rte_rcu_qsbr_thread_offline(rcu_.get(), 0);
        rte_rcu_qsbr_thread_unregister(rcu_.get(), 0);
    }};
    for (uint64_t value = 1; value <= 20'000; ++value) {
        std::shared_ptr<const uint64_t> next = std::make_shared<uint64_t>(value);
        current.store(next.get(), std::memory_order_release);
        retired_.add(std::exchange(owner, std::move(next)));
        retired_.reclaim();
    }
    stop.store(true);
    reader.join();
    EXPECT_EQ(retired_.reclaim(), 0U);
}

}  // namespace
}  // namespace meshgate

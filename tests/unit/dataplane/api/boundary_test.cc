// SPDX-License-Identifier: Apache-2.0
// What passes between control and workers, with real threads; meant for the thread sanitizer, and
// able to fail without it.
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/api/counters.h"
#include "dataplane/tables/index_table.h"
#include "dataplane/tables/published.h"

namespace meshgate {
namespace {

constexpr size_t kNbReaders = 2;
constexpr int kTurnsPerReport = 8;

// Grace periods as rte_rcu_qsbr has them: readers report, the writer waits until all have.
class Qsbr {
public:
    void quiescent(size_t reader) noexcept {
        // Release pairs with the acquire in wait(): what the reader read, it read before.
        seen_[reader].value.store(token_.load(std::memory_order_acquire),
                                  std::memory_order_release);
    }
    void offline(size_t reader) noexcept {
        seen_[reader].value.store(UINT64_MAX, std::memory_order_release);
    }
    void wait() noexcept {
        const uint64_t token = token_.fetch_add(1, std::memory_order_acq_rel) + 1;
        for (const Seen& seen : seen_) {
            while (seen.value.load(std::memory_order_acquire) < token)
                std::this_thread::yield();
        }
    }

private:
    struct alignas(64) Seen {
        std::atomic<uint64_t> value{0};
    };
    std::atomic<uint64_t> token_{0};
    std::array<Seen, kNbReaders> seen_;
};

// Runs `turn(reader)` over and over in each reader until `write()` has returned.
template <typename Write, typename Turn>
void with_readers(Qsbr& qsbr, Write write, Turn turn) {
    std::atomic<bool> stop{false};
    std::atomic<size_t> nb_running{0};
    std::vector<std::thread> readers;
    for (size_t reader = 0; reader < kNbReaders; ++reader)
        readers.emplace_back([&, reader] {
            nb_running.fetch_add(1);
            while (!stop.load(std::memory_order_relaxed)) {
                for (int n = 0; n < kTurnsPerReport; ++n)
                    turn(reader);
                qsbr.quiescent(reader);
                // There may be fewer processors than threads, and the writer waits for us.
                std::this_thread::yield();
            }
            qsbr.offline(reader);
        });
    while (nb_running.load() < kNbReaders)
        std::this_thread::yield();
    write();
    stop.store(true, std::memory_order_relaxed);
    for (std::thread& reader : readers)
        reader.join();
}

// An object that is whole or not at all: both halves agree until it dies. Its memory stays until
// the test ends, so that whoever looks at it too late sees that.
struct Pair {
    std::atomic<uint64_t> a;
    std::atomic<uint64_t> b;
    uint64_t plain = 0;  // for the thread sanitizer: ordered by the publication alone

    bool is_whole() const noexcept {
        const uint64_t seen = a.load(std::memory_order_relaxed);
        return seen == ~b.load(std::memory_order_relaxed) && seen == plain;
    }
};

class Pairs {
public:
    std::shared_ptr<const Pair> make(uint64_t n) {
        all_.push_back(std::make_unique<Pair>());
        Pair* pair = all_.back().get();
        pair->a.store(n, std::memory_order_relaxed);
        pair->b.store(~n, std::memory_order_relaxed);
        pair->plain = n;
        return {pair, [](const Pair* dead) { const_cast<Pair*>(dead)->b = dead->a.load(); }};
    }

private:
    std::vector<std::unique_ptr<Pair>> all_;
};

TEST(Boundary, PublishedObjectsAreWholeUntilTheGracePeriodEnds) {
    constexpr uint64_t kNbPublished = 2000;
    Qsbr qsbr;
    Pairs pairs;
    Published<Pair> published{pairs.make(0)};
    std::array<uint64_t, kNbReaders> latest{};
    std::atomic<uint64_t> nb_torn{0};
    std::atomic<uint64_t> nb_backwards{0};
    with_readers(
        qsbr,
        [&] {
            for (uint64_t n = 1; n <= kNbPublished; ++n) {
                const auto old = published.exchange(pairs.make(n));
                qsbr.wait();
                ASSERT_EQ(old.use_count(), 1);
            }
        },
        [&](size_t reader) {
            const Pair& pair = published.read();
            std::this_thread::yield();  // time for the writer to free it too early
            const uint64_t a = pair.a;
            nb_torn += pair.is_whole() ? 0 : 1;
            nb_backwards += a < latest[reader] ? 1 : 0;
            latest[reader] = a;
        });
    EXPECT_EQ(nb_torn, 0U);
    EXPECT_EQ(nb_backwards, 0U);
    EXPECT_EQ(published.read().a, kNbPublished);
}

TEST(Boundary, CountersAreReadWhileTheyAreWritten) {
    Qsbr qsbr;
    WorkerCounters counters;
    std::array<uint64_t, kNbReaders> latest{};
    std::atomic<uint64_t> nb_backwards{0};
    constexpr uint64_t kNbAdded = 200'000;
    with_readers(
        qsbr,
        [&] {
            for (uint64_t n = 0; n < kNbAdded; ++n) {
                counters.rx_packets.add(3);
                counters.drops.add(Drop::bad_tag, Stage::open);
            }
        },
        [&](size_t reader) {
            const uint64_t now = counters.rx_packets.get();
            nb_backwards += now < latest[reader] || now % 3 != 0 ? 1 : 0;
            latest[reader] = now;
        });
    EXPECT_EQ(nb_backwards, 0U);
    EXPECT_EQ(counters.rx_packets.get(), 3 * kNbAdded);
    EXPECT_EQ(counters.drops.get(Drop::bad_tag), kNbAdded);
}

// Every nonce once, whoever takes it (W03).
TEST(Boundary, SendCountersAreNeverHandedOutTwice) {
    constexpr uint64_t kNbTaken = 20'000;
    Keypair keypair;
    std::array<std::vector<uint64_t>, kNbReaders> taken;
    std::vector<std::thread> threads;
    for (size_t n = 0; n < kNbReaders; ++n)
        threads.emplace_back([&, n] {
            for (uint64_t i = 0; i < kNbTaken; ++i)
                taken[n].push_back(keypair.send_counter.fetch_add(1, std::memory_order_relaxed));
        });
    for (std::thread& thread : threads)
        thread.join();
    std::vector<bool> seen(kNbReaders * kNbTaken);
    for (const auto& counters : taken) {
        for (const uint64_t counter : counters) {
            ASSERT_LT(counter, seen.size());
            ASSERT_FALSE(seen[counter]) << counter;
            seen[counter] = true;
        }
    }
}

// The writer enters, erases, waits, frees and recycles without pause; few indices, so that slots
// change hands as often as can be. What a reader finds must be alive and belong to what it asked.
TEST(Boundary, IndexTableAnswersRightWhileSlotsChangeHands) {
    constexpr uint32_t kNbIndices = 96;
    constexpr size_t kBatch = 24;
    constexpr int kNbRounds = 1500;
    Qsbr qsbr;
    auto table = IndexTable::create(64);
    ASSERT_TRUE(table);
    std::atomic<uint64_t> nb_wrong{0};
    std::atomic<uint64_t> nb_found{0};
    std::array<std::unique_ptr<Keypair>, kNbIndices> live;
    const auto write = [&] {
        std::mt19937 random{64};
        for (int round = 0; round < kNbRounds; ++round) {
            for (size_t n = 0; n < kBatch; ++n) {
                const auto index = static_cast<uint32_t>(random() % kNbIndices);
                auto keypair = std::make_unique<Keypair>();
                keypair->local_index = index;
                if (table->insert(index, IndexEntry{keypair.get()}))
                    live[index] = std::move(keypair);
            }
            std::vector<std::unique_ptr<Keypair>> gone;
            for (size_t n = 0; n < kBatch; ++n) {
                const auto index = static_cast<uint32_t>(random() % kNbIndices);
                if (table->erase(index))
                    gone.push_back(std::move(live[index]));
            }
            qsbr.wait();
            for (const auto& keypair : gone) {
                table->recycle(keypair->local_index);
                keypair->local_index = UINT32_MAX;  // whoever still reads it will see
            }
        }
    };
    const auto turn = [&](size_t reader) {
        thread_local std::mt19937 random{static_cast<uint32_t>(reader)};
        std::array<uint32_t, 32> indices;
        for (uint32_t& index : indices)
            index = static_cast<uint32_t>(random() % (kNbIndices + 4));
        std::array<IndexEntry, 32> entries;
        table->find(entries, indices);
        std::this_thread::yield();  // time for the writer to free them too early
        for (size_t i = 0; i < indices.size(); ++i) {
            if (const Keypair* keypair = entries[i].keypair(); keypair != nullptr) {
                nb_wrong += keypair->local_index != indices[i] ? 1 : 0;
                nb_found.fetch_add(1, std::memory_order_relaxed);
            }
        }
    };
    with_readers(qsbr, write, turn);
    EXPECT_EQ(nb_wrong, 0U);
    EXPECT_GT(nb_found, 0U);
}

}  // namespace
}  // namespace meshgate

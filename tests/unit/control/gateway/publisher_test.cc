// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/publisher.h"

#include <gtest/gtest.h>

#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

class PublisherTest : public testing::Test {
protected:
    PublisherTest() { publisher.publish(now); }

    void settle() {
        publisher.settle(
            [this] {
                ++nb_asked;
                now += build_time;
                return learned;
            },
            now);
    }
    bool published() {
        const Snapshot* before = std::exchange(last_, &fake.snapshot());
        return before != last_;
    }

    Time now = Time{} + 1h;
    Time::duration build_time{};
    std::vector<RibRoute> learned;
    int nb_asked = 0;
    FakeDataplane fake{{}};
    Publisher publisher{fake, [this] { return Now{.mono = now}; }};

private:
    const Snapshot* last_ = nullptr;
};

TEST_F(PublisherTest, MakesOneSnapshotOfABurst) {
    EXPECT_TRUE(published());
    EXPECT_EQ(publisher.next_deadline(), kNever);
    publisher.set_listen_ports({4000});
    EXPECT_EQ(publisher.next_deadline(), now + 5ms);
    settle();
    publisher.set_listen_ports({4001});
    now += 4999us;
    settle();
    EXPECT_FALSE(published());
    now += 1us;
    settle();
    EXPECT_TRUE(published());
    EXPECT_EQ(publisher.next_deadline(), kNever);
    settle();
    EXPECT_FALSE(published());
}

TEST_F(PublisherTest, IsDueAfterAnyChange) {
    published();
    const std::vector<std::function<void()>> changes{
        [&] { publisher.set_listen_ports({4000}); },
        [&] { publisher.set_ports({}, {}); },
        [&] { publisher.set_neighbors({}); },
    };
    for (const auto& change : changes) {
        now += 1s;
        change();
        settle();
        EXPECT_TRUE(published());
    }
    now += 1s;
    publisher.set_routes({});
    settle();
    EXPECT_FALSE(published()) << "they are what they were";
}

TEST_F(PublisherTest, PublishesAtOnceWhenToldTo) {
    published();
    publisher.set_listen_ports({4000});
    publisher.publish(now);
    EXPECT_TRUE(published());
    EXPECT_EQ(publisher.next_deadline(), kNever);
}

TEST_F(PublisherTest, FetchesLearnedRoutesOnlyWhenTheyChanged) {
    settle();
    EXPECT_EQ(nb_asked, 0);
    publisher.on_learned_changed();
    EXPECT_LE(publisher.next_deadline(), now);
    settle();
    EXPECT_EQ(nb_asked, 1);
    settle();
    EXPECT_EQ(nb_asked, 1);
    publisher.on_learned_changed();
    settle();
    EXPECT_EQ(nb_asked, 1) << "the next after 20 ms";
    now += 20ms;
    settle();
    EXPECT_EQ(nb_asked, 2);
    now += 1h;
    settle();
    EXPECT_EQ(nb_asked, 2) << "nothing is new";
}

// Neighbours that flap cost a tenth of control's time.
TEST_F(PublisherTest, RestsNineTimesWhatABuildTook) {
    build_time = 10ms;
    publisher.on_learned_changed();
    const Time begun = now;
    settle();
    publisher.on_learned_changed();
    EXPECT_EQ(publisher.next_deadline(), begun + 90ms);
    now = begun + 89ms;
    settle();
    EXPECT_EQ(nb_asked, 1);
    now = begun + 90ms;
    settle();
    EXPECT_EQ(nb_asked, 2);
}

}  // namespace
}  // namespace meshgate::control

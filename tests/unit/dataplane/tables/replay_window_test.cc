// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/replay_window.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace meshgate {
namespace {

constexpr uint64_t kUsable = 8128;
constexpr uint64_t kMax = kRejectAfterMessages;

struct Step {
    uint64_t counter;
    bool accepted;
};

void walk(const std::vector<Step>& steps) {
    ReplayWindow window;
    for (size_t i = 0; i < steps.size(); ++i)
        EXPECT_EQ(window.accept(steps[i].counter), steps[i].accepted)
            << "step " << i << ", counter " << steps[i].counter;
}

TEST(ReplayWindow, AcceptsEachCounterOnce) {
    walk({{0, true},
          {0, false},
          {1, true},
          {1, false},
          {9, true},
          {8, true},
          {7, true},
          {7, false},
          {8, false},
          {9, false},
          {2, true},
          {0, false}});
}

TEST(ReplayWindow, BeginsAnywhere) {
    walk({{5, true}, {4, true}, {5, false}, {0, true}});
    walk({{kUsable + 100, true}, {100, true}, {99, false}, {100, false}});
    walk({{kMax - 1, true}, {0, false}});
}

// 8128 behind the greatest, neither fewer nor more, wherever in its block the greatest stands.
TEST(ReplayWindow, UsesExactly8128BehindTheGreatest) {
    for (uint64_t greatest = 3 * 8192; greatest < 3 * 8192 + 130; ++greatest) {
        walk({{greatest, true},
              {greatest - kUsable - 1, false},
              {greatest - kUsable, true},
              {greatest - kUsable, false},
              {greatest - kUsable + 1, true},
              {greatest - 64, true},
              {greatest - 63, true},
              {greatest, false}});
    }
}

TEST(ReplayWindow, MovesWithTheGreatest) {
    walk({{kUsable, true},
          {0, true},
          {kUsable + 1, true},
          {0, false},
          {1, true},
          {2, true},
          {kUsable + 3, true},
          {2, false},
          {3, true},
          {kUsable + 2, true}});
}

TEST(ReplayWindow, ForgetsNothingWithinTheWindow) {
    ReplayWindow window;
    for (uint64_t counter = 0; counter < 100'000; ++counter) {
        ASSERT_TRUE(window.accept(counter));
        ASSERT_FALSE(window.accept(counter));
        if (counter >= kUsable) {
            ASSERT_FALSE(window.accept(counter - kUsable));
            ASSERT_FALSE(window.accept(counter - kUsable / 2));
        }
    }
}

TEST(ReplayWindow, JumpsOverTheWholeWindow) {
    for (const uint64_t jump :
         {uint64_t{8127}, uint64_t{8128}, uint64_t{8129}, uint64_t{8191}, uint64_t{8192},
          uint64_t{8193}, uint64_t{16384}, uint64_t{1} << 40, uint64_t{1} << 63}) {
        ReplayWindow window;
        for (uint64_t counter = 0; counter < 128; ++counter)
            ASSERT_TRUE(window.accept(counter));
        ASSERT_TRUE(window.accept(127 + jump)) << jump;
        // Whatever the old blocks held must not refuse what was never seen.
        for (uint64_t behind = 1; behind <= kUsable; ++behind) {
            const uint64_t counter = 127 + jump - behind;
            ASSERT_EQ(window.accept(counter), counter > 127) << jump << " -" << behind;
        }
        ASSERT_FALSE(window.accept(127 + jump));
    }
}

TEST(ReplayWindow, AcceptsTheWindowBackwards) {
    ReplayWindow window;
    for (uint64_t counter = kUsable + 1; counter-- > 0;)
        ASSERT_TRUE(window.accept(counter)) << counter;
    for (uint64_t counter = 0; counter <= kUsable; ++counter)
        ASSERT_FALSE(window.accept(counter)) << counter;
}

TEST(ReplayWindow, RefusesCountersFromTheMessageLimitOn) {
    EXPECT_EQ(kRejectAfterMessages, UINT64_MAX - 8192);  // 2^64 - 2^13 - 1
    walk({{kMax, false},
          {kMax - 1, true},
          {kMax, false},
          {kMax - 1, false},
          {kMax - 2, true},
          {kMax + 1, false},
          {kMax + 2, false},
          {kMax - 2, false},
          {kMax - 3, true},
          {0, false},
          {UINT64_MAX, false},
          {UINT64_MAX - kUsable, false},
          {kMax - 1 - kUsable, true},
          {kMax - 2 - kUsable, false}});
    // A refused counter moves nothing.
    walk({{UINT64_MAX, false}, {kMax, false}, {0, true}, {1, true}});
}

// Every counter ever accepted, in a set.
class NaiveWindow {
public:
    bool accept(uint64_t counter) {
        if (counter >= kRejectAfterMessages)
            return false;
        if (!seen_.empty() && counter + kUsable < *seen_.rbegin())
            return false;
        return seen_.insert(counter).second;
    }

private:
    std::set<uint64_t> seen_;
};

TEST(ReplayWindow, AgreesWithTheNaiveOne) {
    std::mt19937_64 random{6479};
    for (const uint64_t start : {uint64_t{0}, uint64_t{1} << 32, kRejectAfterMessages - 60'000}) {
        ReplayWindow window;
        NaiveWindow naive;
        uint64_t around = start;
        for (int i = 0; i < 200'000; ++i) {
            const auto kind = static_cast<unsigned>(random() % 1000);
            if (kind < 600)
                around += random() % 3;
            if (kind == 999)
                around += random() % 20'000;
            uint64_t counter = around;
            if (kind % 4 == 1)
                counter -= std::min(counter, random() % 300);
            if (kind % 16 == 2)
                counter -= std::min(counter, kUsable - 70 + random() % 140);
            ASSERT_EQ(window.accept(counter), naive.accept(counter))
                << "step " << i << ", counter " << counter;
        }
    }
}

}  // namespace
}  // namespace meshgate

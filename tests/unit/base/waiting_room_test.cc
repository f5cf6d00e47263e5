// SPDX-License-Identifier: Apache-2.0
#include "base/waiting_room.h"

#include <gtest/gtest.h>

#include <memory>

namespace meshgate {
namespace {

using Item = std::unique_ptr<int>;

Item item(int value) {
    return std::make_unique<int>(value);
}

TEST(WaitingRoom, LetsTheOldestGoFirst) {
    WaitingBudget budget{.max = 100};
    WaitingRoom<int, Item> room{3, budget};
    for (int i = 0; i < 3; ++i)
        EXPECT_FALSE(room.push(7, item(i)));
    EXPECT_EQ(**room.push(7, item(3)), 0);
    EXPECT_FALSE(room.push(8, item(9)));
    const auto taken = room.take(7);
    ASSERT_EQ(taken.size(), 3U);
    EXPECT_EQ(*taken[0], 1);
    EXPECT_EQ(*taken[2], 3);
    EXPECT_TRUE(room.empty(7));
    EXPECT_EQ(budget.used, 1U);
}

TEST(WaitingRoom, SharesABudgetThatNobodyExceeds) {
    WaitingBudget budget{.max = 4};
    WaitingRoom<int, Item> first{100, budget};
    {
        WaitingRoom<int, Item> second{100, budget};
        for (int i = 0; i < 3; ++i)
            EXPECT_FALSE(first.push(1, item(i)));
        EXPECT_FALSE(second.push(1, item(10)));
        EXPECT_EQ(**second.push(2, item(11)), 11) << "a newcomer finds no room";
        EXPECT_EQ(**first.push(1, item(3)), 0) << "who waits already exchanges the oldest";
        EXPECT_EQ(budget.used, 4U);
    }
    EXPECT_EQ(budget.used, 3U) << "a room that goes gives its share back";
    EXPECT_EQ(first.take(1).size(), 3U);
    EXPECT_EQ(budget.used, 0U);
}

}  // namespace
}  // namespace meshgate

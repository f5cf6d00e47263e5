// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/clock_mark.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace meshgate::control {
namespace {

class ClockMarkTest : public testing::Test {
protected:
    ClockMarkTest() {
        char name[] = "/tmp/clock_mark_XXXXXX";
        folder_ = mkdtemp(name);
    }
    ~ClockMarkTest() override { std::filesystem::remove_all(folder_); }

    static constexpr uint64_t kWall = 1'700'000'000'000'000'000;
    static constexpr uint64_t kMinute = 60'000'000'000;
    static constexpr Now kStart = Now::at(kMinute, kWall);
    std::string folder_;
};

TEST_F(ClockMarkTest, StaysAboveWhatWasSentAcrossRestarts) {
    ClockMark mark{folder_, kStart};
    EXPECT_EQ(mark.floor_ns(), 0U);
    EXPECT_TRUE(mark.keep(0, kStart));
    EXPECT_EQ(ClockMark(folder_, kStart).floor_ns(), 0U) << "nothing was sent";
    for (uint64_t sent = kWall; sent < kWall + 10 * kMinute; sent += 7'000'000'000) {
        EXPECT_TRUE(mark.keep(sent, Now::at(kMinute + (sent - kWall), sent)));
        EXPECT_GT(ClockMark(folder_, kStart).floor_ns(), sent);
    }
}

TEST_F(ClockMarkTest, WritesNowAndThenOnly) {
    ClockMark mark{folder_, kStart};
    EXPECT_TRUE(mark.keep(kWall, kStart));
    const auto first = std::filesystem::last_write_time(folder_ + "/timestamp");
    for (uint64_t second = 1; second < 30; ++second)
        EXPECT_TRUE(mark.keep(kWall + second * 1'000'000'000, kStart));
    EXPECT_EQ(std::filesystem::last_write_time(folder_ + "/timestamp"), first);
}

TEST_F(ClockMarkTest, DoesNotKeepATimeThatRanAway) {
    ClockMark mark{folder_, kStart};
    const uint64_t ten_years = kWall + 3650 * 1440 * kMinute;
    EXPECT_FALSE(mark.keep(ten_years, Now::at(2 * kMinute, ten_years)));
    EXPECT_EQ(ClockMark(folder_, kStart).floor_ns(), 0U);
}

TEST_F(ClockMarkTest, LivesWithoutAFolderAndWithRubbish) {
    ClockMark none{"", kStart};
    EXPECT_TRUE(none.keep(kWall, kStart));
    std::ofstream{folder_ + "/timestamp"} << "no number\n";
    EXPECT_EQ(ClockMark(folder_, kStart).floor_ns(), 0U);
    ClockMark gone{folder_ + "/missing", kStart};
    EXPECT_FALSE(gone.keep(kWall, kStart));
}

}  // namespace
}  // namespace meshgate::control

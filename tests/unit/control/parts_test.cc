// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/time.h"
#include "base/token_bucket.h"
#include "base/waiting_room.h"
#include "control/daemon/clock_mark.h"
#include "control/daemon/lab_timings.h"
#include "control/log/log.h"
#include "control/packets/icmp.h"
#include "control/sessions/tsc_moment.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;
using Item = std::unique_ptr<int>;

Item item(int value) {
    return std::make_unique<int>(value);
}

// Standard error is a pipe that is full for as long as this lives.
class FullPipe {
public:
    FullPipe() : stderr_{::dup(STDERR_FILENO)} {
        EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0);
        capacity_ = static_cast<size_t>(::fcntl(ends_[1], F_GETPIPE_SZ));
        const std::string filling(capacity_, '.');
        EXPECT_EQ(::write(ends_[1], filling.data(), filling.size()),
                  static_cast<ssize_t>(filling.size()));
        ::dup2(ends_[1], STDERR_FILENO);
    }
    ~FullPipe() {
        ::dup2(stderr_, STDERR_FILENO);
        for (const int fd : {stderr_, ends_[0], ends_[1]})
            ::close(fd);
    }
    FullPipe(const FullPipe&) = delete;
    FullPipe& operator=(const FullPipe&) = delete;

    std::string read() {
        std::string text(capacity_, '\0');
        text.resize(static_cast<size_t>(::read(ends_[0], text.data(), text.size())));
        return text;
    }

private:
    int stderr_;
    std::array<int, 2> ends_{};
    size_t capacity_ = 0;
};

TEST(LogTest, WaitsForNobodyWhoDoesNotReadIt) {
    FullPipe pipe;
    Log log{config::Log{}};
    const auto say = [&log](const char* text) {
        log.write({Log::Level::warning, "link-down", text, "silent", Log::Cause::administrator});
    };
    for (const char* text : {"one", "two", "three"})
        say(text);  // does not return where it waits
    EXPECT_EQ(pipe.read().find_first_not_of('.'), std::string::npos);
    say("four");
    const std::string text = pipe.read();
    EXPECT_NE(text.find("log-lost: 3 lines were lost"), std::string::npos) << text;
    EXPECT_NE(text.find("[four]"), std::string::npos) << text;
    EXPECT_EQ(text.find("[three]"), std::string::npos) << text;
    say("five");
    EXPECT_EQ(pipe.read().find("log-lost"), std::string::npos) << "said once";
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

TEST(TokenBucket, AllowsBurstsThenTheRate) {
    TokenBucket bucket{10, 5};
    Time now = Time{} + 1h;
    int nb_taken = 0;
    for (int i = 0; i < 100; ++i)
        nb_taken += bucket.take(now) ? 1 : 0;
    EXPECT_EQ(nb_taken, 5);
    now += 100ms;
    EXPECT_TRUE(bucket.take(now));
    EXPECT_FALSE(bucket.take(now));
}

TEST(LabTimings, ParsesWhatItNames) {
    const auto timings = parse_lab_timings(
        "rekey=20s,reject=40s,retry=500ms,jitter=0ms,"
        "keepalive=2s,zeroize=120s,initiations=4");
    ASSERT_TRUE(timings) << timings.error().message;
    EXPECT_EQ(timings->rekey_after_time_ns, 20 * kNsPerSecond);
    EXPECT_EQ(timings->rekey_timeout_ns, 500 * kNsPerMs);
    EXPECT_EQ(timings->max_initiations, 4U);
    EXPECT_EQ(parse_lab_timings("")->rekey_after_time_ns, wireguard::kRekeyAfterTime);
    for (const char* text : {"rekey", "rekey=", "rekey=2", "rekey=2m", "foo=2s", "initiations=0",
                             "rekey=99999999999999999999s", "=", ","})
        EXPECT_FALSE(parse_lab_timings(text)) << text;
}

TEST(TscMoment, TranslatesBothWaysAndKeepsNever) {
    const TscMoment moment{
        .tsc = 5'000'000'000, .tsc_hz = 2'000'000'000, .mono_ns = 100'000'000'000};
    EXPECT_EQ(moment.to_ns(0), 0U);
    EXPECT_EQ(moment.to_ns(3'000'000'000), 99'000'000'000U);
    EXPECT_EQ(moment.to_tsc(101'000'000'000), 7'000'000'000U);
    EXPECT_EQ(moment.to_tsc(99'000'000'000), 3'000'000'000U);
    EXPECT_EQ(moment.to_tsc(1), 0U) << "before the counter began";
}

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

TEST(Icmp, RefusesEchoRequestsThatAreNotWholeAndRight) {
    std::vector<uint8_t> good{0x45, 0,  0,  28, 0, 0, 0, 0, 64,   1,    0, 0, 10, 1,
                              0,    20, 10, 1,  0, 1, 8, 0, 0xf7, 0xff, 0, 0, 0,  0};
    auto copy = good;
    EXPECT_TRUE(make_echo_reply(copy));
    const auto refused = [&good](size_t at, uint8_t value) {
        auto bad = good;
        bad[at] = value;
        return !make_echo_reply(bad);
    };
    EXPECT_TRUE(refused(0, 0x46)) << "options";
    EXPECT_TRUE(refused(3, 29)) << "cut";
    EXPECT_TRUE(refused(6, 0x20)) << "a fragment";
    EXPECT_TRUE(refused(20, 0)) << "a reply";
    EXPECT_TRUE(refused(23, 0)) << "checksum";
    for (size_t len = 0; len < good.size(); ++len) {
        auto cut = good;
        cut.resize(len);
        EXPECT_FALSE(make_echo_reply(cut)) << len;
    }
}

TEST(Icmp, MakesNoErrorAboutErrorsAndToNobody) {
    std::vector<uint8_t> packet{0x45, 0,  0,  28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 1,
                                0,    20, 10, 1,  0, 1, 8, 0, 0,  0, 0, 0, 0,  0};
    const IpAddress us = *parse_address("10.1.0.1");
    EXPECT_FALSE(build_host_unreachable(packet, us).empty());
    packet[20] = 3;
    EXPECT_TRUE(build_host_unreachable(packet, us).empty()) << "about an error";
    packet[20] = 8;
    packet[7] = 1;
    EXPECT_TRUE(build_host_unreachable(packet, us).empty()) << "about a later fragment";
    packet[7] = 0;
    packet[12] = 224;
    EXPECT_TRUE(build_host_unreachable(packet, us).empty()) << "to a group";
    EXPECT_TRUE(build_host_unreachable(packet, *parse_address("fd10::1")).empty());
}

}  // namespace
}  // namespace meshgate::control

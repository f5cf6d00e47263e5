// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/listen_ports.h"

#include <gtest/gtest.h>

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

class ListenPortsTest : public testing::Test {
protected:
    Time now = Time{} + 1h;
    ListenPorts ports{51820};
};

TEST_F(ListenPortsTest, IsTheOneOfTheBoxFile) {
    EXPECT_EQ(ports.all(), std::vector<uint16_t>{51820});
    EXPECT_EQ(ports.next_deadline(), kNever);
    EXPECT_FALSE(ports.tick(now));
}

// No session that uses it is older.
TEST_F(ListenPortsTest, KeepsAnOldOneForThreeMinutes) {
    ports.set(4000, now);
    EXPECT_EQ(ports.all(), (std::vector<uint16_t>{4000, 51820}));
    EXPECT_EQ(ports.next_deadline(), now + 180s);
    EXPECT_FALSE(ports.tick(now + 180s - 1ns));
    EXPECT_TRUE(ports.tick(now + 180s));
    EXPECT_EQ(ports.all(), std::vector<uint16_t>{4000});
    EXPECT_EQ(ports.next_deadline(), kNever);
}

TEST_F(ListenPortsTest, IsThereOnceWhenItComesBack) {
    ports.set(4000, now);
    ports.set(51820, now + 1s);
    EXPECT_EQ(ports.all(), (std::vector<uint16_t>{51820, 4000}));
    ports.set(4000, now + 2s);
    EXPECT_EQ(ports.all(), (std::vector<uint16_t>{4000, 51820}));
    EXPECT_EQ(ports.next_deadline(), now + 182s);
}

TEST_F(ListenPortsTest, DoesNotChangeToWhatItIs) {
    ports.set(51820, now);
    EXPECT_EQ(ports.all(), std::vector<uint16_t>{51820});
}

TEST_F(ListenPortsTest, ExpiresOneAfterTheOther) {
    ports.set(4000, now);
    ports.set(4001, now + 10s);
    EXPECT_EQ(ports.next_deadline(), now + 180s);
    EXPECT_TRUE(ports.tick(now + 185s));
    EXPECT_EQ(ports.all(), (std::vector<uint16_t>{4001, 4000}));
}

}  // namespace
}  // namespace meshgate::control

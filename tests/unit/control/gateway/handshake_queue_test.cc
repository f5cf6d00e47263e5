// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/handshake_queue.h"

#include <gtest/gtest.h>

#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control {
namespace {

class HandshakeQueueTest : public testing::Test {
protected:
    void push(size_t len, uint8_t first = 1) {
        std::vector<uint8_t> bytes(len);
        bytes[0] = first;
        fake.punt(Punt::handshake, bytes, {.port = 3, .remote = remote, .local = local});
        queue.push(fake.next_punt());
    }

    const Endpoint remote = *parse_endpoint("192.0.2.1:7");
    const Endpoint local = *parse_endpoint("198.51.100.1:51820");
    FakeDataplane fake{{}};
    HandshakeQueue queue{fake};
};

TEST_F(HandshakeQueueTest, GivesBackWhatCameInItsOrder) {
    push(148, 1);
    push(92, 2);
    EXPECT_EQ(queue.size(), 2U);
    const auto first = queue.pop();
    EXPECT_EQ(first.view().size(), 148U);
    EXPECT_EQ(first.view()[0], 1);
    EXPECT_EQ(first.from, (wireguard::Addressing{.remote = remote, .local = local, .port = 3}));
    EXPECT_EQ(queue.pop().view().size(), 92U);
    EXPECT_TRUE(queue.empty());
}

TEST_F(HandshakeQueueTest, TakesNothingLongerThanAHandshakeMessage) {
    push(149);
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(fake.drops(Drop::bad_message), 1U);
}

TEST_F(HandshakeQueueTest, IsBounded) {
    for (size_t i = 0; i < kMaxQueuedHandshakes; ++i)
        push(148);
    EXPECT_EQ(fake.drops(Drop::punt_full), 0U);
    push(148);
    EXPECT_EQ(queue.size(), kMaxQueuedHandshakes);
    EXPECT_EQ(fake.drops(Drop::punt_full), 1U);
}

// Others must prove by a cookie where they are, although few wait here.
TEST_F(HandshakeQueueTest, IsUnderLoadInTurnsInWhichWorkersRefuse) {
    push(148);
    queue.begin_turn();
    EXPECT_EQ(queue.load(), 1U);
    fake.count_worker_drop(Drop::handshake_flood);
    queue.begin_turn();
    EXPECT_EQ(queue.load(), kMaxQueuedHandshakes);
    queue.pop();
    EXPECT_EQ(queue.load(), kMaxQueuedHandshakes) << "for the whole turn";
    queue.begin_turn();
    EXPECT_EQ(queue.load(), 0U) << "none since";
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/next_hops.h"

#include "tests/unit/control/gateway/fixture.h"

namespace meshgate::control {
namespace {

class NextHopsTest : public testing::Test {
protected:
    NextHopsTest() { fake.publish(std::make_shared<Snapshot>()); }

    Packet waiting() {
        const auto ip = udp4("10.2.0.20", "10.1.0.99", 1);
        Packet packet = fake.allocate(static_cast<uint16_t>(ip.size()));
        std::ranges::copy(ip, packet.bytes().begin());
        return packet;
    }

    FakeDataplane fake{DataplaneOptions{}};
    WaitingBudget budget{.max = 16};
    Log log{config::Log{.level = config::LogLevel::error, .format = config::LogFormat::text}};
    NextHops next_hops{fake, budget, log};
    Time now{std::chrono::hours{1}};
};

TEST_F(NextHopsTest, TellsTheSenderThatItsDestinationIsSilent) {
    next_hops.refuse(waiting(), now);
    const auto sent = fake.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_TRUE(is_host_unreachable(sent[0]));
}

TEST_F(NextHopsTest, CountsWhatFindsNoPacketBuffer) {
    const Packet packet = waiting();
    const auto all = fake.take_all_mbufs();
    next_hops.refuse(packet, now);
    EXPECT_TRUE(fake.take_sent().empty());
    EXPECT_EQ(fake.drops(Drop::no_mbuf), 1U);
}

TEST_F(NextHopsTest, LimitsTheRateOfRefusals) {
    const Packet packet = waiting();
    for (int i = 0; i < 500; ++i)
        next_hops.refuse(packet, now);
    EXPECT_EQ(fake.take_sent().size(), 100U);
    next_hops.refuse(packet, now + std::chrono::seconds{1});
    EXPECT_EQ(fake.take_sent().size(), 1U);
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/echo_prober.h"

#include <gtest/gtest.h>

#include "control/packets/icmp.h"
#include "control/packets/ip.h"
#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

const IpAddress kSource = *parse_address("10.1.0.1");
const IpAddress kAddress = *parse_address("10.9.0.2");
const Endpoint kFar{*parse_address("192.0.2.7"), 51820};

DataplaneOptions one_wan() {
    DataplaneOptions options;
    options.ports.push_back({.name = "wan0", .role = PortRole::wan});
    return options;
}

class EchoProberTest : public testing::Test {
protected:
    EchoProberTest() {
        Snapshot snapshot;
        snapshot.icmp_sources = {kSource};
        fake.publish(std::make_shared<const Snapshot>(std::move(snapshot)));
        const MacAddress mac = FakeDataplane::mac_of(0);
        neighbors.set_ports({{.identity = {mac, 0},
                              .addresses = {*parse_address("192.0.2.1")},
                              .networks = {*parse_prefix("192.0.2.0/24")},
                              .gateways = {}}},
                            now);
        links.set_ports({{.id = 0, .mac = mac, .addresses = {*parse_prefix("192.0.2.1/24")}}}, now);
        links.set_listen_ports({51820}, now);
        peer = fake.add_peer();
        move_to(kFar);
        static constexpr std::array<uint8_t, 32> kKey{};
        EXPECT_TRUE(fake.install({.send_key = kKey,
                                  .receive_key = kKey,
                                  .local_index = 1,
                                  .remote_index_le = 2,
                                  .peer = peer,
                                  .initiator = Initiator::us,
                                  .reject_after_tsc = UINT64_MAX}));
        fake.set_sending(peer, 1);
        prober.set_targets({{peer, kAddress}});
        prober.tick(now);
    }

    void move_to(const Endpoint& remote) {
        links.set_endpoint(peer, {.remote = remote, .local = {}}, now);
        for (const auto& frame : neighbors.take_frames()) {
            if (const auto question = parse_neighbor_frame(frame.frame, 0))
                neighbors.receive(0, build_answer({{{2, 9, 9, 9, 9, 9}}, 0}, *question), now);
        }
        for (const auto& event : neighbors.take_events())
            links.on_neighbor(event, now);
    }

    // A user's large packet leaves for the peer.
    void use() {
        ++fake.activities[peer].sized_packets;
        ++fake.activities[peer].last_any_rx_tsc;  // it is acknowledged
    }
    // Calls and answers for so long; what is larger than `fits` is lost.
    void run(Time::duration time, size_t fits) {
        for (const Time end = now + time; now < end; now += 50ms) {
            prober.tick(now);
            for (const FakeDataplane::Sent& sent : fake.take_sent()) {
                ++nb_probes;
                if (sent.bytes.size() > Dataplane::kAlwaysFits)
                    ++fake.activities[peer].sized_packets;
                EXPECT_EQ(sent.info.inject, Inject::seal);
                EXPECT_EQ(sent.info.peer, peer);
                EXPECT_EQ(sent.info.mtu_bytes, sent.bytes.size());
                EXPECT_EQ(source_of(sent.bytes), kSource);
                auto reply = sent.bytes;
                if (reply.size() <= fits && make_echo_reply(reply)) {
                    ++fake.activities[peer].last_any_rx_tsc;
                    EXPECT_TRUE(prober.receive(peer, reply));
                    last_reply = reply;
                }
            }
        }
    }

    Time now = Time{} + 1h;
    FakeDataplane fake{one_wan()};
    Neighbors neighbors{64, 1};
    Links links{fake, neighbors};
    Log log{config::Log{}};
    EchoProber prober{
        {.dataplane = fake, .links = links, .log = log, .name_of = [](PeerId) { return "peer"; }}};
    PeerId peer = kNoPeer;
    size_t nb_probes = 0;
    std::vector<uint8_t> last_reply;
};

TEST_F(EchoProberTest, FindsWhatGetsThroughWhileUsersPacketsGoThere) {
    run(5s, 1345);
    EXPECT_EQ(nb_probes, 0U) << "nobody uses it";
    use();
    run(3s, 1345);
    EXPECT_EQ(fake.path_mtu(peer), 1340);
    run(60s, 1500);
    EXPECT_EQ(fake.path_mtu(peer), 1440);
}

TEST_F(EchoProberTest, OwnProbesAreNoUse) {
    use();
    run(60s, 1500);
    const size_t before = nb_probes;
    EXPECT_GT(before, 1U);
    run(10min, 1500);
    EXPECT_EQ(nb_probes, before);
}

TEST_F(EchoProberTest, APeerThatAnswersNothingKeepsWhatItsLinkTakes) {
    for (int i = 0; i < 60; ++i) {
        use();
        run(10s, 0);
    }
    EXPECT_EQ(fake.path_mtu(peer), 1440);
    EXPECT_LT(nb_probes, 150U);
}

TEST_F(EchoProberTest, APeerThatHasGoneIsLeftAlone) {
    use();
    run(3s, 0);
    EXPECT_EQ(nb_probes, 2U);
}

TEST_F(EchoProberTest, AnotherEndpointIsAnotherPath) {
    use();
    run(3s, 1345);
    ASSERT_EQ(fake.path_mtu(peer), 1340);
    use();
    move_to({*parse_address("192.0.2.8"), 51820});
    run(100ms, 1345);
    EXPECT_EQ(fake.path_mtu(peer), 1440);
    run(3s, 1345);
    EXPECT_EQ(fake.path_mtu(peer), 1340) << "it is searched at once";
}

TEST_F(EchoProberTest, APeerWithoutAnAddressOfItsOwnIsNotAsked) {
    use();
    run(3s, 1345);
    prober.set_targets({});
    EXPECT_EQ(fake.path_mtu(peer), 1440);
    use();
    const size_t before = nb_probes;
    run(3s, 1345);
    EXPECT_EQ(nb_probes, before);
}

TEST_F(EchoProberTest, BelievesThePeerThatWasAskedAlone) {
    use();
    run(1s, 1500);
    EXPECT_FALSE(prober.receive(peer, last_reply)) << "the search is over";
    EXPECT_FALSE(prober.receive(peer + 1, last_reply));
    last_reply[25] ^= 1;
    EXPECT_FALSE(prober.receive(peer, last_reply));
}

}  // namespace
}  // namespace meshgate::control

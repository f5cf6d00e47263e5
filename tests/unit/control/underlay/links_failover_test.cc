// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/underlay/links_fixture.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

class LinksFailover : public LinksTest {
protected:
    LinksFailover() {
        resolve_gateways();
        start_session(peer, 7);
        hear(0);
    }
    // An authenticated packet of the peer comes in by the port.
    void hear(PortId port) {
        links.set_endpoint(peer,
                           {.remote = far_end,
                            .local = {ports[port].addresses[0].address, kListenPort},
                            .port = port},
                           now);
    }
    // By which port the next initiation leaves. The device forgets the source of one that was not
    // answered.
    PortId initiate(bool repeated) {
        if (repeated)
            links.set_endpoint(peer, {.remote = far_end}, now);
        links.send(initiation_to(far_end, peer), now);
        const auto sent = fake.take_sent();
        EXPECT_EQ(sent.size(), 1U);
        return sent.empty() ? kNoPort : sent[0].info.port;
    }
    void answer(PortId port) {
        links.on_handshake(peer, Initiator::us, now);
        hear(port);
    }
    // Lets time pass while gateways answer; peers whose home is to be tried.
    std::vector<PeerId> pass_by(int seconds) {
        std::vector<PeerId> trials;
        for (int i = 0; i < seconds; ++i) {
            now += 1s;
            neighbors.tick(now);
            resolve_gateways();
            links.tick(now);
            for (const PeerId which : links.take_trials())
                trials.push_back(which);
        }
        return trials;
    }
};

TEST_F(LinksFailover, LeavesAPortByWhichThePeerIsSilentAndComesBackByATrial) {
    EXPECT_EQ(initiate(false), 0);
    EXPECT_EQ(initiate(true), 1) << "the first was not answered";
    answer(1);
    EXPECT_EQ(path()->port, 1);
    EXPECT_EQ(links.nb_moved(), (std::map<PortId, size_t>{{0, 1}}));

    EXPECT_EQ(pass_by(11), std::vector{peer});
    EXPECT_EQ(initiate(false), 0) << "the trial";
    EXPECT_EQ(path()->port, 1) << "data stays where the peer answers";
    EXPECT_EQ(initiate(true), 1) << "it was not answered";
    answer(1);
    EXPECT_TRUE(pass_by(15).empty()) << "backoff";
    EXPECT_EQ(pass_by(10), std::vector{peer});
    EXPECT_EQ(initiate(false), 0);
    answer(0);
    EXPECT_EQ(path()->port, 0);
    EXPECT_TRUE(links.nb_moved().empty());
}

TEST_F(LinksFailover, ComesBackAfterALinkWasDown) {
    ports[0].up = false;
    links.set_ports(ports, now);
    EXPECT_EQ(path()->port, 1);
    EXPECT_TRUE(pass_by(25).empty()) << "no trial by a link that is down";
    ports[0].up = true;
    links.set_ports(ports, now);
    EXPECT_EQ(path()->port, 1) << "not before it has proved itself";
    EXPECT_EQ(pass_by(11), std::vector{peer});
    EXPECT_EQ(initiate(false), 0);
    links.on_handshake(peer, Initiator::us, now);  // the device's endpoint was this one all along
    EXPECT_EQ(path()->port, 0);
}

TEST_F(LinksFailover, LeavesAGatewayThatDoesNotAnswer) {
    for (int i = 0; i < 120 && path()->port == 0; ++i) {
        now += 1s;
        neighbors.tick(now);
        for (const auto& frame : neighbors.take_frames()) {
            const auto question = parse_neighbor_frame(frame.frame, 0);
            if (frame.port == 1 && question->kind == NeighborMessage::Kind::question)
                neighbors.receive(1, build_answer({gateway_mac(1), 0}, *question), now);
        }
        settle();
        links.tick(now);
    }
    EXPECT_EQ(path()->port, 1);
    EXPECT_TRUE(neighbors.is_silent(0, ports[0].gateway_v4));
}

TEST_F(LinksFailover, StaysWhereThePeerItselfWentTo) {
    hear(1);
    EXPECT_EQ(path()->port, 1);
    EXPECT_TRUE(links.nb_moved().empty());
    EXPECT_TRUE(pass_by(30).empty());
}

TEST_F(LinksFailover, TriesAnotherPortForAPeerThatCameInAtAMeteredOne) {
    ports[1].metered = true;
    links.set_ports(ports, now);
    hear(1);
    EXPECT_EQ(path()->port, 1);
    EXPECT_TRUE(links.nb_moved().empty()) << "the peer chose, no port fell out";
    EXPECT_EQ(pass_by(11), std::vector{peer});
    EXPECT_EQ(initiate(false), 0) << "the trial";
    EXPECT_EQ(path()->port, 1) << "data stays where the peer answers";
    EXPECT_EQ(initiate(true), 1) << "it was not answered: a NAT lets in what it knows";
    answer(1);
    EXPECT_TRUE(pass_by(15).empty()) << "backoff";
    EXPECT_EQ(pass_by(10), std::vector{peer});
    EXPECT_EQ(initiate(false), 0);
    answer(0);
    EXPECT_EQ(path()->port, 0);
    EXPECT_TRUE(pass_by(30).empty());
}

TEST_F(LinksFailover, GoesRoundForAPeerThatIsSilentEverywhere) {
    std::vector<PortId> by;
    for (int i = 0; i < 6; ++i)
        by.push_back(initiate(i > 0));
    EXPECT_EQ(std::ranges::count(by, PortId{0}), 3);
    EXPECT_TRUE(links.nb_moved().empty());
}

TEST_F(LinksFailover, HasOnePortOnly) {
    ports.pop_back();
    links.set_ports(ports, now);
    for (int i = 0; i < 6; ++i)
        EXPECT_EQ(initiate(i > 0), 0);
    EXPECT_TRUE(pass_by(30).empty());
}

}  // namespace
}  // namespace meshgate::control

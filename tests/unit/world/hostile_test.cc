// SPDX-License-Identifier: Apache-2.0
// Members that do what they like, among boxes that keep to the rules.
#include <gtest/gtest.h>

#include <algorithm>

#include "control/babel/tlv.h"
#include "control/mesh/protocol/messages.h"
#include "control/packets/udp.h"
#include "tests/unit/world/world.h"

namespace meshgate::control::world {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

// A member with a session to everybody, who says what it likes in it. The box is a real one: it
// keeps its sessions and links up, and is believed in so far.
class Rogue {
public:
    Rogue(World& world, BoxId id) : world_{world}, id_{id} {}

    void say(BoxId to, const mesh::Message& message) { say(to, mesh::encode(message)); }
    void say(BoxId to, const std::vector<uint8_t>& payload) {
        send(to, {{node(id_), kMeshPort}, {node(to), kMeshPort}, 64}, payload);
    }
    // By Babel: that all these are here, for nothing.
    void announce(BoxId to, const std::vector<Prefix>& prefixes) {
        const IpAddress own = link_local(id_);
        babel::PacketWriter writer{1232};
        for (const Prefix& prefix : prefixes) {
            const babel::RouterId router{1, 2, 3, static_cast<uint8_t>(++seqno_)};
            EXPECT_TRUE(writer.add(babel::Update{.prefix = prefix,
                                                 .interval_cs = 6000,
                                                 .seqno = seqno_,
                                                 .metric = 0,
                                                 .router_id = router,
                                                 .next_hop = own},
                                   own));
        }
        send(to, {{own, babel::kPort}, {link_local(to), babel::kPort}, 1}, writer.finish());
    }
    // What its control says from now on is kept, to be said again.
    void listen_to_itself() {
        world_.box(id_).path->censors = [this](PeerId peer, LinkId, std::span<const uint8_t> ip) {
            if (said_.size() < 2000 && !ip.empty())
                said_.emplace_back(peer, Bytes{ip.begin(), ip.end()});
            return false;
        };
    }
    void say_all_again(size_t nb) {
        for (size_t i = 0; i < nb && !said_.empty(); ++i) {
            const auto& [peer, bytes] = said_[next_said_++ % said_.size()];
            world_.box(id_).path->send_sealed(peer, bytes);
        }
    }
    IpAddress node(BoxId id) const {
        return config::node_address(world_.authority(), world_.box(id).model.node.public_key);
    }
    uint32_t number() { return static_cast<uint32_t>(random_()); }

private:
    IpAddress link_local(BoxId id) const {
        return config::link_local_address(world_.box(id).model.node.public_key);
    }
    void send(BoxId to, const control::UdpOptions& options, std::span<const uint8_t> payload) {
        Box& box = world_.box(id_);
        const auto peer = box.gateway->device().find_peer(world_.box(to).model.node.public_key);
        ASSERT_TRUE(peer);
        const Packet packet = control::make_udp(*box.path, options, payload);
        ASSERT_TRUE(packet);
        const auto bytes = packet.bytes();
        box.path->send_sealed(*peer, {bytes.begin(), bytes.end()});
    }

    World& world_;
    BoxId id_;
    std::minstd_rand random_{5};
    uint16_t seqno_ = 0;
    std::vector<std::pair<PeerId, Bytes>> said_;
    size_t next_said_ = 0;
};

// Two relays, two boxes behind NATs that no direct link joins, and a member that is against them.
class HostileTest : public testing::Test {
protected:
    static constexpr BoxId a = 0, b = 1, c = 2, d = 3, rogue = 4;

    void make(bool rogue_relays) {
        world.add({.relay = true});
        world.add({.relay = true});
        world.add({.uplinks = {{.nat = NatKind::symmetric}}});
        world.add({.uplinks = {{.nat = NatKind::symmetric}}});
        world.add({.relay = rogue_relays});
        world.start();
        world.stream();
        world.run_for(15s);
        ASSERT_TRUE(world.silent_pairs(100ms).empty()) << world.story();
        world.stream(20ms, {a, b, c, d});
    }
    // Each step of the attack ten times a second for so long; what the others lose.
    uint64_t lost_under(const std::function<void()>& attack, nanoseconds duration) {
        const uint64_t from_ns = world.now_ns();
        for (nanoseconds passed{}; passed < duration; passed += 100ms) {
            attack();
            world.run_for(100ms);
        }
        return world.lost(from_ns, world.now_ns() - kSecondNs / 4);
    }

    World world{11};
    Rogue member{world, rogue};
};

TEST_F(HostileTest, NobodyIsDrawnToWhoAnnouncesOthers) {
    make(false);
    const auto attack = [this] {
        for (const BoxId victim : {a, b, c, d})
            member.announce(victim, {{member.node(a), 128},
                                     {member.node(b), 128},
                                     {member.node(c), 128},
                                     {member.node(d), 128},
                                     config::node_prefix(world.authority()),
                                     *parse_prefix("10.3.0.0/16"),
                                     *parse_prefix("0.0.0.0/0")});
    };
    EXPECT_EQ(lost_under(attack, 30s), 0U) << world.story();
    EXPECT_EQ(world.path(c, d).substr(0, 5), "relay");
    EXPECT_EQ(world.box(rogue).path->statistics.hairpins, 0U);
    EXPECT_GT(world.box(a).gateway->mesh()->nb_alarms(), 0U);
}

TEST_F(HostileTest, ReplaysAndFloodsShutNobodyOut) {
    make(false);
    member.listen_to_itself();
    world.run_for(15s);
    const auto attack = [this] {
        member.say_all_again(600);
        for (const BoxId victim : {a, b, c, d}) {
            for (int i = 0; i < 300; ++i)
                member.say(victim, mesh::State{1'000'000 + member.number()});
            for (int i = 0; i < 50; ++i)
                member.say(victim, Bytes(member.number() % 1000, uint8_t(member.number())));
        }
    };
    EXPECT_EQ(lost_under(attack, 20s), 0U) << world.story();
    EXPECT_GT(world.box(a).path->statistics.drops[Drop::mesh_flood], 0U);
}

TEST_F(HostileTest, RelayEntriesAreCapped) {
    make(false);
    const auto attack = [this] {
        for (const BoxId victim : {a, b}) {
            for (int i = 0; i < 40; ++i)
                member.say(victim, mesh::RelayOpen{member.number(), member.number(),
                                                   member.node(i % 2 == 0 ? c : d)});
            member.say(victim, mesh::RelayClose{member.number()});
        }
    };
    EXPECT_EQ(lost_under(attack, 30s), 0U) << world.story();
    for (const BoxId victim : {a, b})
        EXPECT_LE(world.box(victim).path->relays.size(), 4096U + 100U);
    EXPECT_GT(world.box(a).path->relays.size(), 1000U) << "the attack is one";
    // It cannot keep what it no longer asks for.
    world.run_for(200s);
    for (const BoxId victim : {a, b})
        EXPECT_LE(world.box(victim).path->relays.size(), 100U);
}

// It knows the indices of others, having relayed for them, and asks to have them sent to itself.
TEST_F(HostileTest, NobodyTurnsAnothersDatagramsToItself) {
    make(false);
    std::vector<uint32_t> indices;
    for (const BoxId relay : {a, b}) {
        for (const auto& [index, link] : world.box(relay).path->relays)
            indices.push_back(index);
        for (const auto& [index, keypair] : world.box(relay).path->keypairs)
            indices.push_back(index);
    }
    ASSERT_FALSE(indices.empty());
    const auto attack = [&] {
        for (const uint32_t index : indices) {
            for (const BoxId relay : {a, b}) {
                member.say(relay, mesh::RelayOpen{member.number(), index, member.node(rogue)});
                member.say(relay, mesh::RelayClose{index});
                member.say(relay, mesh::RelayOpen{member.number(), index, member.node(a)});
                member.say(relay, mesh::RelayReply{member.number(), index,
                                                   mesh::RelayAnswer::refused_index_taken});
            }
        }
    };
    EXPECT_EQ(lost_under(attack, 15s), 0U) << world.story();
}

TEST_F(HostileTest, LiesAboutWhereBoxesAreMoveNothing) {
    make(false);
    const auto attack = [this] {
        for (const BoxId victim : {a, b, c, d}) {
            std::vector<Endpoint> others;
            for (const BoxId other : {a, b, c, d}) {
                if (other != victim)
                    others.push_back(
                        {world.underlay.uplinks[world.box(other).uplinks[0]].v4, 51820});
            }
            member.say(victim, mesh::Candidates{others, true});
            member.say(victim, mesh::Seen{others.front()});
            Bytes garbage(148, 0);
            garbage[0] = 1;
            garbage[77] = static_cast<uint8_t>(member.number());
            member.say(victim, mesh::Handshake{member.node(victim == c ? d : c),
                                               member.node(victim), 15, garbage});
            member.say(victim, mesh::Handshake{member.node(a), member.node(victim == c ? d : c), 15,
                                               garbage});
        }
    };
    EXPECT_EQ(lost_under(attack, 30s), 0U) << world.story();
    // Also not for a relay that starts meanwhile and has yet to find the others.
    world.restart(a);
    lost_under(attack, 15s);
    EXPECT_TRUE(world.silent_pairs(1s).empty()) << world.story();
    EXPECT_EQ(world.path(a, b), "direct") << world.story();
}

TEST_F(HostileTest, AFileThatNobodySignedKeepsNobodyFromTheNextOne) {
    make(false);
    const auto attack = [this] {
        for (const BoxId victim : {a, b, c, d}) {
            member.say(victim, mesh::State{99});
            for (uint32_t piece = 0; piece < 3; ++piece)
                member.say(victim, mesh::FilePiece{99, 3 * 1024, piece * 1024,
                                                   Bytes(1024, static_cast<uint8_t>(piece))});
        }
    };
    EXPECT_EQ(lost_under(attack, 10s), 0U) << world.story();
    EXPECT_EQ(world.version_at(c), 1U);
    world.box(rogue).entry.member = false;
    const auto file = world.sign();
    world.give(a, file);
    const auto all_have_it = [this] {
        return std::ranges::all_of(std::array{a, b, c, d}, [this](BoxId id) {
            return world.version_at(id) == world.version();
        });
    };
    EXPECT_TRUE(world.run_until(all_have_it, 5s)) << world.story();
}

// It accepts what it is asked to forward, announces, answers probes meant for itself, and forwards
// nothing.
TEST_F(HostileTest, ARelayThatForwardsNothingIsAvoided) {
    make(true);
    world.box(rogue).path->swallows = [](const Datagram&) { return true; };
    world.shape(c, a, [](Wire& wire) { wire.delay = 40ms; });
    world.shape(c, b, [](Wire& wire) { wire.delay = 40ms; });
    const auto attack = [this] {
        for (const BoxId victim : {c, d})
            member.announce(victim, {{member.node(c), 128}, {member.node(d), 128}});
    };
    lost_under(attack, 10s);
    const uint64_t from_ns = world.now_ns();
    const uint64_t lost = lost_under(attack, 120s);
    uint64_t sent = 0;
    for (const Probe& probe : world.probes())
        sent += probe.sent_ns >= from_ns ? 1 : 0;
    EXPECT_LT(lost, sent / 50) << world.story();
    EXPECT_NE(world.path(c, d), "relay e");
}

}  // namespace
}  // namespace meshgate::control::world

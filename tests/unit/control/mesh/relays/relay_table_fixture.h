// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "control/mesh/relays/relay_table.h"
#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {

class FakeWays final : public RouteLookup {
public:
    std::optional<NextHop> next_hop_to(const IpAddress& target) const override {
        const auto found = routes.find(target);
        return found == routes.end() ? std::nullopt : std::optional{found->second};
    }
    std::map<IpAddress, NextHop> routes;
};

// Aborts the test when the order of calls is not one the dataplane allows.
class FakeEntries final : public RelayEntries {
public:
    bool install(uint32_t index, LinkId link) override {
        if (taken == index)
            return false;
        EXPECT_TRUE(links.emplace(index, link).second) << "installed twice";
        return true;
    }
    void move(uint32_t index, LinkId link) override {
        ASSERT_TRUE(links.contains(index)) << "moved, but not there";
        links[index] = link;
        ++nb_moves;
    }
    void remove(uint32_t index) override {
        EXPECT_EQ(links.erase(index), 1U) << "removed, but not there";
    }
    std::map<uint32_t, LinkId> links;
    std::optional<uint32_t> taken;  // by a keypair
    unsigned nb_moves = 0;
};

inline const IpAddress kSelf = node(1);
inline const IpAddress kAlice = node(2);  // owners
inline const IpAddress kBob = node(3);
inline const IpAddress kRelay = node(4);  // next hops
inline const IpAddress kOther = node(5);
inline const IpAddress kTarget = node(6);
inline const IpAddress kSecond = node(7);  // another target
inline const IpAddress kStranger = node(99);
inline constexpr uint32_t kIndex = 0xabcd0000;  // refreshed exactly after kRelayRefresh

// A Relays at kSelf; links are numbered by the box that they lead to.
class MeshRelays : public testing::Test {
protected:
    MeshRelays() {
        relays.set_members(everybody(), now);
        relays.set_serving(true);
        next_hop(kTarget, kTarget);
        next_hop(kSecond, kSecond);
    }

    static std::vector<RelayMember> everybody() {
        return {{kSelf, true},  {kAlice, false},  {kBob, false},   {kRelay, true},
                {kOther, true}, {kTarget, false}, {kSecond, false}};
    }
    void without(const IpAddress& gone) {
        auto members = everybody();
        std::erase_if(members, [&](const RelayMember& one) { return one.node == gone; });
        relays.set_members(members, now);
    }
    static LinkId link_to(const IpAddress& next_hop) { return next_hop.bytes[15]; }
    void next_hop(const IpAddress& target, const IpAddress& next_hop, LinkId link = 0) {
        routes.routes[target] = {link != 0 ? link : link_to(next_hop), next_hop};
        relays.on_next_hop_changed(target, now);
    }
    void no_way(const IpAddress& target) {
        routes.routes.erase(target);
        relays.on_next_hop_changed(target, now);
    }
    // What goes out now, and nothing else.
    std::vector<Outgoing> sent() { return relays.take_messages(); }
    template <typename M>
    std::optional<M> only(const IpAddress& to) {
        const auto messages = sent();
        EXPECT_EQ(messages.size(), 1U);
        if (messages.size() != 1 || messages[0].to != to ||
            !std::holds_alternative<M>(messages[0].message)) {
            ADD_FAILURE() << "not the message expected";
            return std::nullopt;
        }
        return std::get<M>(messages[0].message);
    }
    template <typename M>
    void expect_only(const IpAddress& to, const M& message) {
        const auto found = only<M>(to);
        EXPECT_TRUE(found && *found == message);
    }
    void expect_nothing() { EXPECT_TRUE(sent().empty()); }

    void ask(const IpAddress& from, uint32_t request, const IpAddress& target,
             uint32_t index = kIndex) {
        relays.receive(from, RelayOpen{request, index, target}, now);
    }
    void expect_answer(const IpAddress& to, uint32_t request, RelayAnswer answer,
                       uint32_t index = kIndex) {
        const auto reply = only<RelayReply>(to);
        ASSERT_TRUE(reply);
        EXPECT_EQ(reply->request, request);
        EXPECT_EQ(reply->index, index);
        EXPECT_STREQ(to_string(reply->answer), to_string(answer));
    }
    // The next relay answers what it was just asked.
    void reply(const IpAddress& from, RelayAnswer answer) {
        const auto open = only<RelayOpen>(from);
        ASSERT_TRUE(open);
        relays.receive(from, RelayReply{open->request, open->index, answer}, now);
    }
    void pass(Time::duration time) {
        const Time end = now + time;
        while (relays.next_deadline() <= end) {
            now = std::max(now, relays.next_deadline());
            relays.tick(now);
        }
        now = end;
    }
    std::optional<LinkId> installed(uint32_t index = kIndex) const {
        const auto found = entries.links.find(index);
        return found == entries.links.end() ? std::nullopt : std::optional{found->second};
    }
    void expect_change(RelayChange::Kind kind, RelayAnswer answer = RelayAnswer::accepted) {
        const auto changes = relays.take_changes();
        ASSERT_EQ(changes.size(), 1U);
        EXPECT_EQ(changes[0].kind, kind);
        EXPECT_STREQ(to_string(changes[0].answer), to_string(answer));
    }
    uint64_t counted(RelayCounter counter) const { return relays.counter(counter); }

    Time now = Time{} + std::chrono::hours{1};
    FakeWays routes;
    FakeEntries entries;
    RelayTable relays{{.self = kSelf, .max_entries_per_member = 3, .max_entries_per_relay = 1000},
                      routes,
                      entries};
};

}  // namespace meshgate::mesh::test

// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/relays/relay_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {

namespace {

using namespace std::chrono_literals;

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

const IpAddress kSelf = node(1);
const IpAddress kAlice = node(2);  // owners
const IpAddress kBob = node(3);
const IpAddress kRelay = node(4);  // next hops
const IpAddress kOther = node(5);
const IpAddress kTarget = node(6);
const IpAddress kSecond = node(7);  // another target
const IpAddress kStranger = node(99);
constexpr uint32_t kIndex = 0xabcd0000;  // refreshed exactly after kRelayRefresh

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

    Time now = Time{} + 1h;
    FakeWays routes;
    FakeEntries entries;
    RelayTable relays{{.self = kSelf, .max_entries_per_member = 3, .max_entries_per_relay = 1000},
                      routes,
                      entries};
};

}  // namespace

// ---- for others ----

TEST_F(MeshRelays, ForwardToANeighbourAtOnce) {
    ask(kAlice, 7, kTarget);
    expect_answer(kAlice, 7, RelayAnswer::accepted);
    EXPECT_EQ(installed(), link_to(kTarget));
    relays.receive(kAlice, RelayClose{kIndex}, now);
    EXPECT_FALSE(installed());
    EXPECT_EQ(relays.nb_entries(), 0U);
    expect_nothing();
}

TEST_F(MeshRelays, AskOnAndAnswerAfterwards) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 7, kTarget);
    EXPECT_FALSE(installed());
    reply(kRelay, RelayAnswer::accepted);
    expect_answer(kAlice, 7, RelayAnswer::accepted);
    EXPECT_EQ(installed(), link_to(kRelay));
    relays.receive(kAlice, RelayClose{kIndex}, now);
    expect_only(kRelay, RelayClose{kIndex});
}

// Otherwise a member could have each of two relays forward the same index to the other.
TEST_F(MeshRelays, ATargetThatIsARelayIsAskedFirst) {
    next_hop(kOther, kOther);
    ask(kAlice, 7, kOther);
    EXPECT_FALSE(installed());
    reply(kOther, RelayAnswer::accepted);
    expect_answer(kAlice, 7, RelayAnswer::accepted);
    EXPECT_EQ(installed(), link_to(kOther));
    pass(kRelayRefresh);
    reply(kOther, RelayAnswer::accepted);
    expect_nothing();
    relays.receive(kOther, RelayClose{kIndex}, now);  // it has restarted, or was too full
    pass(1s);
    reply(kOther, RelayAnswer::accepted);
    EXPECT_EQ(installed(), link_to(kOther));
    relays.receive(kAlice, RelayClose{kIndex}, now);
    expect_only(kOther, RelayClose{kIndex});
    EXPECT_EQ(relays.nb_entries(), 0U);
}

TEST_F(MeshRelays, AnIndexThatEndsHereGoesNowhereElse) {
    relays.set_serving(false);  // a relay or not: it ends here
    ask(kRelay, 1, kSelf);
    expect_answer(kRelay, 1, RelayAnswer::accepted);
    relays.set_serving(true);
    ask(kAlice, 2, kTarget);
    expect_answer(kAlice, 2, RelayAnswer::refused_index_taken);
    EXPECT_FALSE(installed());
    pass(kRelayLifetime - 1s);
    ask(kRelay, 3, kSelf);
    expect_answer(kRelay, 3, RelayAnswer::accepted);
    pass(kRelayLifetime - 1s);
    EXPECT_EQ(relays.nb_entries(), 1U);
    relays.receive(kRelay, RelayClose{kIndex}, now);
    EXPECT_EQ(relays.nb_entries(), 0U);

    ask(kAlice, 4, kTarget);
    expect_answer(kAlice, 4, RelayAnswer::accepted);
    ask(kRelay, 5, kSelf);
    expect_answer(kRelay, 5, RelayAnswer::refused_index_taken);
    EXPECT_EQ(installed(), link_to(kTarget));
    expect_nothing();
}

TEST_F(MeshRelays, WhatATargetRefusesOthersItDoesNotRefuseUs) {
    next_hop(kOther, kOther);
    relays.open(kIndex, kOther, now);
    expect_change(RelayChange::Kind::open);
    ask(kAlice, 1, kOther);
    EXPECT_FALSE(installed());
    reply(kOther, RelayAnswer::refused_index_taken);
    expect_answer(kAlice, 1, RelayAnswer::refused_index_taken);
    EXPECT_FALSE(installed());
    EXPECT_EQ(relays.next_hop_of(kIndex), (NextHop{link_to(kOther), kOther}));
    EXPECT_TRUE(relays.take_changes().empty());

    // Nor when ours goes over a relay and finds the direct way while others wait for it.
    next_hop(kOther, kRelay);
    reply(kRelay, RelayAnswer::accepted);
    expect_change(RelayChange::Kind::open);
    pass(kRelayCloseDelay);
    ask(kAlice, 2, kOther);
    expect_answer(kAlice, 2, RelayAnswer::accepted);
    next_hop(kOther, kOther);
    reply(kOther, RelayAnswer::refused_index_taken);
    EXPECT_FALSE(installed());
    EXPECT_EQ(relays.next_hop_of(kIndex), (NextHop{link_to(kOther), kOther}));
    expect_only(kAlice, RelayClose{kIndex});
}

TEST_F(MeshRelays, ATargetThatBecomesARelayIsAskedThen) {
    ask(kAlice, 1, kTarget);
    expect_answer(kAlice, 1, RelayAnswer::accepted);
    auto members = everybody();
    for (RelayMember& one : members)
        one.relay = one.relay || one.node == kTarget;
    relays.set_members(members, now);
    EXPECT_FALSE(installed());
    reply(kTarget, RelayAnswer::accepted);
    EXPECT_EQ(installed(), link_to(kTarget));
}

TEST_F(MeshRelays, PassARefusalBack) {
    next_hop(kTarget, kRelay);
    for (const auto answer : {RelayAnswer::refused_index_taken, RelayAnswer::refused_cap,
                              RelayAnswer::refused_no_way, RelayAnswer::refused_not_relay}) {
        ask(kAlice, 7, kTarget);
        reply(kRelay, answer);
        expect_answer(kAlice, 7, answer);
        EXPECT_FALSE(installed());
        EXPECT_EQ(relays.nb_entries(), 0U);
    }
}

TEST_F(MeshRelays, RefuseWhatMayNotBeHad) {
    struct Case {
        IpAddress from;
        IpAddress target;
        RelayAnswer answer;
    };
    next_hop(kBob, kAlice);
    const Case cases[] = {
        {kAlice, kStranger, RelayAnswer::refused_not_member},
        {kAlice, kAlice, RelayAnswer::refused_no_way},
        {kAlice, kOther, RelayAnswer::refused_no_way},  // nobody knows a way there
        {kAlice, kBob, RelayAnswer::refused_no_way},    // back to who asks
    };
    for (const Case& one : cases) {
        ask(one.from, 1, one.target);
        expect_answer(one.from, 1, one.answer);
    }
    EXPECT_EQ(relays.nb_entries(), 0U);
    EXPECT_EQ(counted(RelayCounter::refused_no_way), 3U);
    EXPECT_EQ(counted(RelayCounter::refused_not_member), 1U);
    ask(kStranger, 1, kTarget);
    ask(kSelf, 1, kTarget);
    expect_nothing();
    EXPECT_EQ(counted(RelayCounter::from_strangers), 2U);
    EXPECT_EQ(relays.nb_entries(), 0U);
}

TEST_F(MeshRelays, RefuseAnIndexThatIsTaken) {
    ask(kAlice, 1, kTarget);
    sent();
    ask(kBob, 2, kSecond);  // the same index, to another target
    expect_answer(kBob, 2, RelayAnswer::refused_index_taken);
    EXPECT_EQ(installed(), link_to(kTarget));
    entries.taken = 5;  // a keypair of ours
    ask(kBob, 3, kSecond, 5);
    expect_answer(kBob, 3, RelayAnswer::refused_index_taken, 5);
    relays.open(6, kTarget, now);  // of a session of ours
    ask(kBob, 4, kSecond, 6);
    expect_answer(kBob, 4, RelayAnswer::refused_index_taken, 6);
    EXPECT_EQ(counted(RelayCounter::refused_index_taken), 3U);
}

// An index of Alice's is out of reach for Bob, whatever he sends.
TEST_F(MeshRelays, NobodyMovesOrClosesWhatOthersAskedFor) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    relays.receive(kBob, RelayClose{kIndex}, now);
    relays.receive(kBob, RelayReply{1, kIndex, RelayAnswer::refused_no_way}, now);
    relays.receive(kRelay, RelayReply{77, kIndex, RelayAnswer::refused_no_way}, now);
    relays.receive(kStranger, RelayClose{kIndex}, now);
    ask(kBob, 2, kSecond);
    expect_answer(kBob, 2, RelayAnswer::refused_index_taken);
    EXPECT_EQ(installed(), link_to(kRelay));
    EXPECT_EQ(counted(RelayCounter::closes_refused), 1U);
    EXPECT_EQ(counted(RelayCounter::replies_unasked), 2U);
    // To ask for the same and close that again changes nothing for Alice either.
    ask(kBob, 3, kTarget);
    expect_answer(kBob, 3, RelayAnswer::accepted);
    relays.receive(kBob, RelayClose{kIndex}, now);
    EXPECT_EQ(installed(), link_to(kRelay));
    expect_nothing();
}

TEST_F(MeshRelays, AnIndexOfOnesOwnMayGoToAnotherTarget) {
    for (uint32_t i = 0; i < 10; ++i) {  // more often than she may have entries
        const IpAddress target = i % 2 == 0 ? kTarget : kSecond;
        ask(kAlice, i, target);
        expect_answer(kAlice, i, RelayAnswer::accepted);
        EXPECT_EQ(installed(), link_to(target));
    }
}

TEST_F(MeshRelays, OnlyWhoWasAskedAnswersAndOnlyThat) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 7, kTarget);
    const auto open = only<RelayOpen>(kRelay);
    ASSERT_TRUE(open);
    relays.receive(kBob, RelayReply{open->request, kIndex, RelayAnswer::accepted}, now);
    relays.receive(kRelay, RelayReply{open->request + 1, kIndex, RelayAnswer::accepted}, now);
    EXPECT_FALSE(installed());
    expect_nothing();
    EXPECT_EQ(counted(RelayCounter::replies_unasked), 2U);
    relays.receive(kRelay, RelayReply{open->request, kIndex, RelayAnswer::accepted}, now);
    EXPECT_TRUE(installed());
}

TEST_F(MeshRelays, AWayOverAStrangerIsNone) {
    next_hop(kTarget, kStranger);
    ask(kAlice, 1, kTarget);
    expect_answer(kAlice, 1, RelayAnswer::refused_no_way);
    routes.routes[kTarget] = {1, kSelf};
    ask(kAlice, 2, kTarget);
    expect_answer(kAlice, 2, RelayAnswer::refused_no_way);
}

TEST_F(MeshRelays, AreCappedPerMember) {
    for (uint32_t i = 0; i < 3; ++i) {
        ask(kAlice, i, kTarget, i);
        expect_answer(kAlice, i, RelayAnswer::accepted, i);
        pass(1s);
    }
    ask(kAlice, 3, kTarget, 3);
    expect_answer(kAlice, 3, RelayAnswer::refused_cap, 3);
    ask(kBob, 3, kTarget, 3);
    expect_answer(kBob, 3, RelayAnswer::accepted, 3);
    pass(1s);
    relays.receive(kAlice, RelayClose{0}, now);
    ask(kAlice, 4, kTarget, 4);
    expect_answer(kAlice, 4, RelayAnswer::accepted, 4);
    // A refresh needs no room.
    pass(1s);
    ask(kAlice, 5, kTarget, 1);
    expect_answer(kAlice, 5, RelayAnswer::accepted, 1);
}

TEST_F(MeshRelays, AFloodOfOpensCostsWhatItMay) {
    for (uint32_t i = 0; i < 100'000; ++i)
        ask(kAlice, i, kTarget, i);
    const size_t nb_answers = sent().size();
    EXPECT_LE(nb_answers, 100U);
    EXPECT_EQ(relays.nb_entries(), 3U);
    EXPECT_EQ(counted(RelayCounter::over_rate) + nb_answers, 100'000U);
    ask(kBob, 1, kSecond, 5'000'000);
    expect_answer(kBob, 1, RelayAnswer::accepted, 5'000'000);
    pass(1s);
    sent();
    for (uint32_t i = 0; i < 1000; ++i)
        relays.receive(kAlice, RelayClose{1'000'000 + i}, now);
    expect_nothing();
}

TEST_F(MeshRelays, AnOwnerThatIsBothClosesOnlyForItself) {
    ask(kAlice, 1, kTarget);
    ask(kBob, 2, kTarget);
    sent();
    relays.receive(kAlice, RelayClose{kIndex}, now);
    EXPECT_TRUE(installed());
    relays.receive(kBob, RelayClose{kIndex}, now);
    EXPECT_FALSE(installed());
}

TEST_F(MeshRelays, ExpireUnlessRefreshed) {
    ask(kAlice, 1, kTarget);
    pass(100s);
    ask(kAlice, 2, kTarget);
    pass(kRelayLifetime - 1ms);
    EXPECT_TRUE(installed());
    pass(1ms);
    EXPECT_FALSE(installed());
    EXPECT_EQ(relays.nb_entries(), 0U);
    EXPECT_EQ(counted(RelayCounter::entries_expired), 1U);
    EXPECT_EQ(relays.next_deadline(), kNever);
}

TEST_F(MeshRelays, AChainExpiresWithItsOwner) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    pass(kRelayRefresh);
    reply(kRelay, RelayAnswer::accepted);  // our refresh
    pass(kRelayRefresh);
    reply(kRelay, RelayAnswer::accepted);
    pass(kRelayRefresh);
    expect_only(kRelay, RelayClose{kIndex});
    EXPECT_EQ(relays.nb_entries(), 0U);
}

TEST_F(MeshRelays, ARequestIsRepeatedFiveTimesAndRefusedThen) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    for (unsigned i = 0; i < kRelayTries; ++i) {
        EXPECT_TRUE(only<RelayOpen>(kRelay));
        pass(kRelayRetry);
    }
    const auto messages = sent();
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_TRUE((messages[0] == Outgoing{kRelay, RelayClose{kIndex}}));
    EXPECT_TRUE(
        (messages[1] == Outgoing{kAlice, RelayReply{1, kIndex, RelayAnswer::refused_no_way}}));
    EXPECT_EQ(counted(RelayCounter::asks_given_up), 1U);
    EXPECT_EQ(relays.nb_entries(), 0U);
}

// The sender repeats, too; that asks the next relay no more often.
TEST_F(MeshRelays, ARepetitionIsNotPassedOn) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    ask(kAlice, 1, kTarget);
    ask(kAlice, 2, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    expect_answer(kAlice, 2, RelayAnswer::accepted);
}

TEST_F(MeshRelays, MakeBeforeBreak) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    next_hop(kTarget, kOther);
    EXPECT_EQ(installed(), link_to(kRelay)) << "until the other one has it";
    reply(kOther, RelayAnswer::accepted);
    EXPECT_EQ(installed(), link_to(kOther));
    EXPECT_EQ(entries.nb_moves, 1U);
    expect_nothing();
    pass(kRelayCloseDelay);
    expect_only(kRelay, RelayClose{kIndex});
    // To the neighbour itself nobody needs to agree.
    next_hop(kTarget, kTarget);
    EXPECT_EQ(installed(), link_to(kTarget));
    EXPECT_EQ(entries.nb_moves, 2U);
    pass(kRelayCloseDelay);
    expect_only(kOther, RelayClose{kIndex});
    // And another link to it is but a move.
    next_hop(kTarget, kTarget, 77);
    EXPECT_EQ(installed(), 77U);
    expect_nothing();
}

TEST_F(MeshRelays, AWayThatComesBackIsNotClosed) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    next_hop(kTarget, kTarget);
    next_hop(kTarget, kRelay);
    reply(kRelay, RelayAnswer::accepted);
    pass(2 * kRelayCloseDelay);
    expect_nothing();
    EXPECT_EQ(installed(), link_to(kRelay));
}

// "Accepted" would be a promise about a way that is being left.
TEST_F(MeshRelays, AnswerOnlyOnceTheMoveIsDone) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    next_hop(kTarget, kOther);
    const auto open = only<RelayOpen>(kOther);
    ASSERT_TRUE(open);
    ask(kBob, 2, kTarget);
    expect_nothing();
    relays.receive(kOther, RelayReply{open->request, kIndex, RelayAnswer::accepted}, now);
    expect_answer(kBob, 2, RelayAnswer::accepted);
}

TEST_F(MeshRelays, ARefusedMoveIsToldAndKeepsTheOldWay) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    next_hop(kTarget, kOther);
    reply(kOther, RelayAnswer::refused_index_taken);
    expect_only(kAlice, RelayClose{kIndex});
    EXPECT_EQ(installed(), link_to(kRelay));
    ask(kAlice, 2, kTarget);  // as it does when it hears that
    reply(kOther, RelayAnswer::refused_index_taken);
    const auto messages = sent();
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_TRUE(
        (messages[0] == Outgoing{kAlice, RelayReply{2, kIndex, RelayAnswer::refused_index_taken}}));
    EXPECT_TRUE((messages[1] == Outgoing{kRelay, RelayClose{kIndex}}));
    EXPECT_EQ(relays.nb_entries(), 0U);
}

TEST_F(MeshRelays, ALostWayIsTakenOutAndComesBack) {
    ask(kAlice, 1, kTarget);
    sent();
    no_way(kTarget);
    EXPECT_FALSE(installed());
    next_hop(kTarget, kTarget);
    EXPECT_EQ(installed(), link_to(kTarget));
    no_way(kTarget);
    ask(kAlice, 2, kTarget);
    expect_answer(kAlice, 2, RelayAnswer::refused_no_way);
    EXPECT_EQ(relays.nb_entries(), 0U);
}

TEST_F(MeshRelays, NothingRefersToALinkThatIsGone) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    // There is another link to the same relay.
    routes.routes[kTarget] = {40, kRelay};
    relays.on_link_gone(link_to(kRelay), now);
    EXPECT_EQ(installed(), 40U);
    expect_nothing();
    // There is none, and nobody says so: then it is looked for.
    relays.on_link_gone(40, now);
    EXPECT_FALSE(installed());
    expect_only(kRelay, RelayClose{kIndex});
    routes.routes[kTarget] = {link_to(kOther), kOther};
    pass(1s);
    reply(kOther, RelayAnswer::accepted);
    EXPECT_EQ(installed(), link_to(kOther));
}

TEST_F(MeshRelays, ANextHopIsNoOwner) {
    next_hop(kTarget, kRelay);
    ask(kOther, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    next_hop(kTarget, kOther);  // it would send us what we send it
    const auto messages = sent();
    EXPECT_TRUE((messages.at(0) == Outgoing{kOther, RelayClose{kIndex}}));
    EXPECT_FALSE(installed());
    EXPECT_EQ(relays.nb_entries(), 0U);
}

TEST_F(MeshRelays, GoWithTheMembership) {
    next_hop(kSecond, kRelay);
    ask(kAlice, 1, kTarget, 1);
    ask(kBob, 1, kTarget, 2);
    sent();
    ask(kBob, 1, kSecond, 3);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    without(kAlice);
    EXPECT_FALSE(installed(1));
    EXPECT_TRUE(installed(2));
    expect_nothing();
    without(kRelay);
    EXPECT_FALSE(installed(3)) << "nothing leaves to who is no member";
    expect_nothing();
    without(kTarget);
    EXPECT_FALSE(installed(2));
    for (const Outgoing& one : sent())
        EXPECT_NE(one.to, kTarget);
}

TEST_F(MeshRelays, ADrainedRelayKeepsWhatItHas) {
    ask(kAlice, 1, kTarget);
    sent();
    relays.set_serving(false);
    ask(kBob, 2, kTarget, 9);
    expect_answer(kBob, 2, RelayAnswer::refused_not_relay, 9);
    pass(60s);
    ask(kAlice, 3, kTarget);
    expect_answer(kAlice, 3, RelayAnswer::refused_not_relay);
    EXPECT_TRUE(installed());
    pass(kRelayLifetime - 60s);
    EXPECT_FALSE(installed()) << "refused refreshes keep nothing";
}

TEST_F(MeshRelays, ARelayThatLosesItAsksItsOwnersToAskAgain) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    pass(10s);
    relays.receive(kRelay, RelayClose{kIndex}, now);
    reply(kRelay, RelayAnswer::refused_cap);
    expect_only(kAlice, RelayClose{kIndex});
    EXPECT_FALSE(installed());
    EXPECT_EQ(relays.nb_entries(), 0U);
}

// ---- for ourselves ----

TEST_F(MeshRelays, OurOwnNeedNoEntryHere) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    EXPECT_FALSE(relays.next_hop_of(kIndex));
    reply(kRelay, RelayAnswer::accepted);
    expect_change(RelayChange::Kind::open);
    EXPECT_EQ(relays.next_hop_of(kIndex), (NextHop{link_to(kRelay), kRelay}));
    EXPECT_FALSE(installed());
    relays.close(kIndex, now);
    expect_only(kRelay, RelayClose{kIndex});
    EXPECT_EQ(relays.nb_entries(), 0U);
}

TEST_F(MeshRelays, OurOwnGoDirectWithoutAsking) {
    relays.open(kIndex, kTarget, now);
    expect_change(RelayChange::Kind::open);
    expect_nothing();
    next_hop(kTarget, kTarget, 55);
    expect_change(RelayChange::Kind::open);
    EXPECT_EQ(relays.next_hop_of(kIndex)->link, 55U);
    EXPECT_EQ(relays.next_deadline(), kNever);
}

TEST_F(MeshRelays, OurOwnMoveOnlyOnceAccepted) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    reply(kRelay, RelayAnswer::accepted);
    relays.take_changes();
    next_hop(kTarget, kOther);
    EXPECT_EQ(relays.next_hop_of(kIndex)->node, kRelay);
    EXPECT_TRUE(relays.take_changes().empty());
    reply(kOther, RelayAnswer::accepted);
    EXPECT_EQ(relays.next_hop_of(kIndex)->node, kOther);
    expect_change(RelayChange::Kind::open);
}

TEST_F(MeshRelays, OurOwnAreRefreshedEachMinute) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    reply(kRelay, RelayAnswer::accepted);
    relays.take_changes();
    for (int i = 0; i < 10; ++i) {
        pass(kRelayRefresh - 1ms);
        expect_nothing();
        pass(1ms);
        reply(kRelay, RelayAnswer::accepted);
        EXPECT_TRUE(relays.take_changes().empty()) << "nothing has changed";
    }
}

TEST_F(MeshRelays, RefreshesAreSpread) {
    next_hop(kTarget, kRelay);
    for (uint32_t i = 0; i < 160; ++i) {
        relays.open(i, kTarget, now);
        reply(kRelay, RelayAnswer::accepted);
    }
    size_t most = 0;
    for (int s = 0; s <= 60; ++s) {
        pass(1s);
        size_t nb_asked = 0;
        for (const Outgoing& one : sent()) {
            const auto& open = std::get<RelayOpen>(one.message);
            relays.receive(kRelay, RelayReply{open.request, open.index, RelayAnswer::accepted},
                           now);
            ++nb_asked;
        }
        most = std::max(most, nb_asked);
    }
    EXPECT_EQ(most, 10U);
}

TEST_F(MeshRelays, ARecheckReopensAtARelayThatForgot) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    reply(kRelay, RelayAnswer::accepted);
    relays.take_changes();
    pass(5s);
    relays.recheck(kIndex, now);
    EXPECT_TRUE(relays.next_hop_of(kIndex)) << "in use meanwhile";
    relays.recheck(kIndex, now);
    reply(kRelay, RelayAnswer::accepted);
    pass(100ms);
    relays.recheck(kIndex, now);
    expect_nothing();  // asked a moment ago
    pass(1s);
    relays.recheck_next_hop(kOther, now);
    expect_nothing();
    relays.recheck_next_hop(kRelay, now);
    reply(kRelay, RelayAnswer::accepted);
}

// In a chain the sender meets silence, but the second relay forgot.
TEST_F(MeshRelays, ARefreshIsPassedOnAlongTheChain) {
    next_hop(kTarget, kRelay);
    ask(kAlice, 1, kTarget);
    reply(kRelay, RelayAnswer::accepted);
    sent();
    pass(5s);
    ask(kAlice, 2, kTarget);
    auto messages = sent();
    ASSERT_EQ(messages.size(), 2U);
    EXPECT_TRUE((messages[0] == Outgoing{kAlice, RelayReply{2, kIndex, RelayAnswer::accepted}}));
    ASSERT_EQ(messages[1].to, kRelay);
    const auto open = std::get<RelayOpen>(messages[1].message);
    relays.receive(kRelay, RelayReply{open.request, kIndex, RelayAnswer::accepted}, now);
    // Not again within a second, however often she asks.
    for (uint32_t i = 3; i < 5; ++i) {
        ask(kAlice, i, kTarget);
        expect_answer(kAlice, i, RelayAnswer::accepted);
        pass(400ms);
    }
}

TEST_F(MeshRelays, ARefusalIsToldAndAskedAgainSlower) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    Time last = now;
    std::vector<Time::duration> gaps;
    for (int i = 0; i < 8; ++i) {
        reply(kRelay, RelayAnswer::refused_cap);
        expect_change(RelayChange::Kind::refused, RelayAnswer::refused_cap);
        pass(relays.next_deadline() - now);
        gaps.push_back(now - last);
        last = now;
    }
    EXPECT_TRUE(std::is_sorted(gaps.begin(), gaps.end()));
    EXPECT_EQ(gaps.front(), 1s);
    EXPECT_EQ(gaps.back(), 32s);
    reply(kRelay, RelayAnswer::accepted);
    expect_change(RelayChange::Kind::open);
}

TEST_F(MeshRelays, ARefusalByTheRelayInUseEndsItsUse) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    reply(kRelay, RelayAnswer::accepted);
    relays.take_changes();
    pass(kRelayRefresh);
    reply(kRelay, RelayAnswer::refused_index_taken);
    expect_change(RelayChange::Kind::refused, RelayAnswer::refused_index_taken);
    EXPECT_FALSE(relays.next_hop_of(kIndex));
}

TEST_F(MeshRelays, ARelayBeingDrainedIsUsedUntilAnotherAccepts) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    reply(kRelay, RelayAnswer::accepted);
    relays.take_changes();
    pass(kRelayRefresh);
    reply(kRelay, RelayAnswer::refused_not_relay);
    EXPECT_TRUE(relays.take_changes().empty());
    EXPECT_EQ(relays.next_hop_of(kIndex)->node, kRelay);
    next_hop(kTarget, kOther);
    reply(kOther, RelayAnswer::accepted);
    EXPECT_EQ(relays.next_hop_of(kIndex)->node, kOther);
}

TEST_F(MeshRelays, SilenceInUseKeepsTheWayUntilItMustBeForgotten) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    reply(kRelay, RelayAnswer::accepted);
    relays.take_changes();
    pass(kRelayLifetime - 1s);
    EXPECT_TRUE(relays.next_hop_of(kIndex));
    pass(60s);
    EXPECT_FALSE(relays.next_hop_of(kIndex));
    const auto changes = relays.take_changes();
    ASSERT_FALSE(changes.empty());
    EXPECT_EQ(changes[0].kind, RelayChange::Kind::lost);
}

TEST_F(MeshRelays, NoWayIsSaidAndFoundLater) {
    no_way(kTarget);
    relays.open(kIndex, kTarget, now);
    expect_change(RelayChange::Kind::refused, RelayAnswer::refused_no_way);
    next_hop(kTarget, kTarget);
    expect_change(RelayChange::Kind::open);
    no_way(kTarget);
    expect_change(RelayChange::Kind::lost);
    relays.open(9, kStranger, now);
    expect_change(RelayChange::Kind::refused, RelayAnswer::refused_not_member);
    EXPECT_EQ(relays.nb_entries(), 1U);
}

TEST_F(MeshRelays, OurOwnShareWithOthersAndPartAgain) {
    next_hop(kTarget, kRelay);
    relays.open(kIndex, kTarget, now);
    reply(kRelay, RelayAnswer::accepted);
    relays.take_changes();
    ask(kAlice, 1, kTarget);
    expect_answer(kAlice, 1, RelayAnswer::accepted);
    EXPECT_TRUE(installed());
    relays.close(kIndex, now);
    EXPECT_TRUE(installed());
    expect_nothing();
    relays.open(kIndex, kTarget, now);
    expect_change(RelayChange::Kind::open);
    relays.receive(kAlice, RelayClose{kIndex}, now);
    EXPECT_FALSE(installed());
    EXPECT_TRUE(relays.next_hop_of(kIndex));
    ask(kAlice, 1, kTarget, 4);
    sent();
    relays.open(4, kSecond, now);
    expect_change(RelayChange::Kind::refused, RelayAnswer::refused_index_taken);
}

TEST_F(MeshRelays, AMassMoveIsPaced) {
    next_hop(kTarget, kRelay);
    constexpr uint32_t kMany = 20'000;
    for (uint32_t i = 0; i < kMany; ++i)
        relays.open(i, kTarget, now);
    const size_t at_once = sent().size();
    EXPECT_LT(at_once, kMany);
    size_t total = at_once;
    for (int i = 0; i < 25; ++i) {
        pass(100ms);
        for (const Outgoing& one : sent()) {
            const auto* open = std::get_if<RelayOpen>(&one.message);
            if (open == nullptr)
                continue;
            relays.receive(kRelay, RelayReply{open->request, open->index, RelayAnswer::accepted},
                           now);
            ++total;
        }
    }
    pass(2s);
    EXPECT_GE(total, kMany);
    EXPECT_LE(counted(RelayCounter::asks_given_up), at_once);
}

}  // namespace meshgate::mesh::test

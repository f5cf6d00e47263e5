// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/mesh/relays/relay_table_fixture.h"

// What others ask of us.
namespace meshgate::mesh::test {

using namespace std::chrono_literals;

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
    const struct {
        RelayAnswer answer;
        RelayCounter counter;
    } cases[] = {
        {RelayAnswer::refused_index_taken, RelayCounter::refused_index_taken},
        {RelayAnswer::refused_not_member, RelayCounter::refused_not_member},
        {RelayAnswer::refused_cap, RelayCounter::refused_cap},
        {RelayAnswer::refused_no_way, RelayCounter::refused_no_way},
        {RelayAnswer::refused_not_relay, RelayCounter::refused_not_relay},
    };
    for (const auto& [answer, counter] : cases) {
        ask(kAlice, 7, kTarget);
        reply(kRelay, answer);
        expect_answer(kAlice, 7, answer);
        EXPECT_EQ(counted(counter), 1U) << to_string(counter);
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

}  // namespace meshgate::mesh::test

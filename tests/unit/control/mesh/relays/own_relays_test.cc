// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/mesh/relays/relay_table_fixture.h"

// What we ask of others for our own indices.
namespace meshgate::mesh::test {

using namespace std::chrono_literals;

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

// SPDX-License-Identifier: Apache-2.0
#include "control/wireguard/device.h"

#include <gtest/gtest.h>

#include "tests/unit/control/wireguard/fixture.h"

namespace meshgate::wireguard {
namespace {

constexpr PeerId kPeer = Bench::kPeer;

TEST(Session, W27_TheInitiatorSendsAtOnce) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    bench.give(bench.a, *bench.b.take_message(), at(1));
    std::vector<size_t> kinds;
    for (const Action& action : bench.a.actions)
        kinds.push_back(action.index());
    ASSERT_EQ(bench.a.nb<InstallKeypair>(), 1U);
    EXPECT_EQ(bench.a.last<InstallKeypair>()->slot, InstallKeypair::Slot::current);
    ASSERT_EQ(bench.a.nb<UseForSending>(), 1U);
    EXPECT_EQ(bench.a.last<UseForSending>()->local_index,
              bench.a.last<InstallKeypair>()->local_index);
    ASSERT_EQ(bench.a.nb<FlushStaged>(), 1U);
    EXPECT_TRUE(bench.a.last<FlushStaged>()->keepalive_if_none);
}

TEST(Session, W27_TheResponderWaitsForAnAuthenticatedPacket) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    EXPECT_EQ(bench.b.last<InstallKeypair>()->slot, InstallKeypair::Slot::next);
    EXPECT_EQ(bench.b.nb<UseForSending>(), 0U);
    EXPECT_EQ(bench.b.nb<FlushStaged>(), 0U);
    EXPECT_EQ(bench.b.peer().session, SessionState::none);
    EXPECT_EQ(bench.b.peer().last_handshake_wall_ns, 0U);
    const uint32_t local_index = bench.b.last<InstallKeypair>()->local_index;
    bench.b.device.on_confirmed(local_index ^ 0x400, at(2));
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<UseForSending>(), 0U);
    bench.b.device.on_confirmed(local_index, at(2));
    bench.b.drain();
    ASSERT_EQ(bench.b.nb<UseForSending>(), 1U);
    EXPECT_EQ(bench.b.last<UseForSending>()->local_index, local_index);
    EXPECT_EQ(bench.b.nb<FlushStaged>(), 1U);
    EXPECT_FALSE(bench.b.last<FlushStaged>()->keepalive_if_none);
    bench.b.device.on_confirmed(local_index, at(3));  // a late note
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<UseForSending>(), 1U);
}

TEST(Session, W27_ALateNoteOfAnotherKeypairConfirmsNothing) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(1));
    const uint32_t current = bench.b.peer().current_local_index;
    bench.a.device.clear_sessions(at(kMinute));
    bench.a.drain();
    bench.give(bench.b, initiation(bench.a, at(kMinute)), at(kMinute));
    bench.b.device.on_confirmed(current, at(kMinute));
    bench.b.drain();
    EXPECT_EQ(bench.b.peer().current_local_index, current);
    EXPECT_EQ(bench.b.nb<UseForSending>(), 1U);
}

TEST(Session, W27_TheKeypairIsInstalledBeforeTheResponseLeaves) {
    Bench bench;
    bench.b.device.receive(initiation(bench.a, at(1)).message.view(), bench.from_box(1), 0, at(1));
    std::vector<Action> actions;
    bench.b.device.drain(actions);
    const auto position = [&actions](auto is) {
        return std::find_if(actions.begin(), actions.end(), is) - actions.begin();
    };
    EXPECT_LT(position([](const Action& a) { return std::holds_alternative<InstallKeypair>(a); }),
              position([](const Action& a) { return std::holds_alternative<SendMessage>(a); }));
}

TEST(Session, W37_TheOldKeypairStaysUntilTheOneAfterNextIsUsed) {
    Bench bench;
    std::vector<uint32_t> ours, theirs;
    for (uint64_t n = 0; n < 4; ++n) {
        const Now now = at((1 + n) * 2 * kMinute - n * 30 * kNsPerSecond);
        bench.a.actions.clear();
        bench.b.actions.clear();
        bench.handshake(bench.a, bench.b, now);
        ours.push_back(bench.a.last<InstallKeypair>()->local_index);
        theirs.push_back(bench.b.last<InstallKeypair>()->local_index);
        // With generation n in use, n - 1 is kept and n - 2 goes.
        ASSERT_EQ(bench.a.nb<RemoveKeypair>(), n < 2 ? 0U : 1U);
        ASSERT_EQ(bench.b.nb<RemoveKeypair>(), n < 2 ? 0U : 1U);
        if (n >= 2) {
            EXPECT_EQ(bench.a.last<RemoveKeypair>()->local_index, ours[n - 2]);
            EXPECT_EQ(bench.b.last<RemoveKeypair>()->local_index, theirs[n - 2]);
        }
    }
}

TEST(Session, W27_AnUnusedNextGivesWayToTheNext) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    const uint32_t first = bench.b.last<InstallKeypair>()->local_index;
    bench.a.device.tick(at(6 * kNsPerSecond));
    bench.b.messages.clear();
    bench.give(bench.b, *bench.a.take_message(), at(6 * kNsPerSecond));
    ASSERT_EQ(bench.b.nb<RemoveKeypair>(), 1U);
    EXPECT_EQ(bench.b.last<RemoveKeypair>()->local_index, first);
}

TEST(Session, AKeypairThatCannotBeInstalledIsMadeAnew) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    bench.give(bench.a, *bench.b.take_message(), at(1));
    bench.a.device.on_install_failed(bench.a.peer().current_local_index, at(1));
    bench.a.device.tick(at(6 * kNsPerSecond));
    EXPECT_TRUE(bench.a.take_message());
    EXPECT_NE(bench.a.peer().session, SessionState::established);
}

TEST(Session, T10_AForkedMachineSendsNothingUnderOldKeys) {
    Bench bench;
    bench.handshake(bench.a, bench.b, at(kMinute));
    bench.a.device.on_vm_fork(at(2 * kMinute));
    bench.a.drain();
    EXPECT_EQ(bench.a.nb<StopSending>(), 1U);
    EXPECT_EQ(bench.a.nb<RemoveKeypair>(), 0U);  // it still receives
    EXPECT_NE(bench.a.peer().session, SessionState::established);
    // Timers do not send under it either; a new session does.
    Activity activity;
    activity.last_data_rx_ns = activity.last_any_rx_ns = 2 * kMinute + 1;
    bench.a.device.on_activity(kPeer, activity, at(2 * kMinute + 1));
    bench.a.device.tick(at(2 * kMinute + 11 * kNsPerSecond));
    bench.a.drain();
    EXPECT_EQ(bench.a.nb<SendKeepalive>(), 0U);
    ASSERT_EQ(bench.a.messages.size(), 1U);
    const Now now = at(2 * kMinute + 11 * kNsPerSecond);
    bench.give(bench.b, *bench.a.take_message(), now);
    bench.give(bench.a, *bench.b.take_message(), now);
    EXPECT_EQ(bench.a.peer().session, SessionState::established);
}

TEST(Session, T10_AForkedResponderForgetsWhatWasNotConfirmed) {
    Bench bench;
    bench.give(bench.b, initiation(bench.a, at(1)), at(1));
    const uint32_t local_index = bench.b.last<InstallKeypair>()->local_index;
    bench.b.device.on_vm_fork(at(2));
    bench.b.device.on_confirmed(local_index, at(3));
    bench.b.drain();
    EXPECT_EQ(bench.b.nb<UseForSending>(), 0U);
    EXPECT_EQ(bench.b.last<RemoveKeypair>()->local_index, local_index);
}

}  // namespace
}  // namespace meshgate::wireguard

// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/member_table.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

constexpr Who kBerlin{"berlin", Role::leaf};
constexpr Who kMunich{"munich", Role::leaf};
constexpr Who kLondon{"london", Role::relay};

class MemberTableTest : public testing::Test {
protected:
    void apply(std::initializer_list<Who> everybody) {
        changes = table.set_network(network_of(everybody));
        for (const config::Member& info : changes.fresh)
            table.add(info, next_peer++);
    }

    PeerId next_peer = 3;
    MemberTable::Changes changes;
    MemberTable table{kAuthority, key_of("berlin")};
};

TEST_F(MemberTableTest, KnowsItselfApartFromTheOthers) {
    apply({kBerlin, kMunich});
    ASSERT_TRUE(table.self());
    EXPECT_EQ(table.self()->name, "berlin");
    EXPECT_EQ(table.node(), node_of("berlin"));
    EXPECT_EQ(table.all().size(), 1U);
    EXPECT_EQ(table.at(node_of("berlin")), nullptr);
    EXPECT_EQ(table.name_at(node_of("berlin")), "berlin");
    EXPECT_EQ(table.name_at(node_of("munich")), "munich");
    EXPECT_EQ(table.name_at(node_of("london")), "?");
}

TEST_F(MemberTableTest, FindsAMemberByEachOfItsNames) {
    apply({kBerlin, kMunich, kLondon});
    const Member* munich = table.named("munich");
    ASSERT_NE(munich, nullptr);
    EXPECT_EQ(table.at(node_of("munich")), munich);
    EXPECT_EQ(table.of(munich->peer), munich);
    EXPECT_EQ(munich->link_local, config::link_local_address(key_of("munich")));
    EXPECT_EQ(table.of(99), nullptr);
    EXPECT_EQ(table.named("paris"), nullptr);
}

TEST_F(MemberTableTest, SaysWhoIsGoneAndWhoIsNew) {
    apply({kBerlin, kMunich});
    Member* munich = table.named("munich");
    apply({kBerlin, kLondon});
    ASSERT_EQ(changes.gone, std::vector{munich});
    ASSERT_EQ(changes.fresh.size(), 1U);
    EXPECT_EQ(changes.fresh[0].name, "london");
    table.remove(*munich);
    EXPECT_EQ(table.at(node_of("munich")), nullptr);
    EXPECT_EQ(table.of(3), nullptr);
    EXPECT_EQ(table.network().members.size(), 2U);
}

TEST_F(MemberTableTest, KeepsWhoStaysAndTakesItsNewInfo) {
    apply({kBerlin, kMunich});
    Member* munich = table.named("munich");
    munich->network_version = 5;
    apply({kBerlin, {"munich", Role::relay}});
    EXPECT_TRUE(changes.gone.empty());
    EXPECT_TRUE(changes.fresh.empty());
    EXPECT_EQ(table.named("munich"), munich);
    EXPECT_TRUE(munich->info.relay);
    EXPECT_EQ(munich->network_version, 5U);
}

TEST_F(MemberTableTest, HasNobodyWhenItIsNoMemberItself) {
    apply({kBerlin, kMunich});
    apply({kMunich});
    EXPECT_FALSE(table.self());
    EXPECT_EQ(changes.gone.size(), 1U);
    EXPECT_TRUE(changes.fresh.empty());
}

// Relays with everybody; without relays in the network, everybody with everybody.
TEST_F(MemberTableTest, IsEagerWithRelaysAndAsARelay) {
    apply({kBerlin, kMunich, kLondon});
    EXPECT_FALSE(table.is_eager(*table.named("munich")));
    EXPECT_TRUE(table.is_eager(*table.named("london")));
    apply({{"berlin", Role::relay}, kMunich});
    EXPECT_TRUE(table.is_relay());
    EXPECT_TRUE(table.is_eager(*table.named("munich")));
    apply({kBerlin, kMunich});
    EXPECT_FALSE(table.has_relays());
    EXPECT_TRUE(table.is_eager(*table.named("munich")));
}

TEST_F(MemberTableTest, CountsWhoHasASessionAndAPath) {
    apply({kBerlin, kMunich, kLondon});
    EXPECT_EQ(table.nb_up(), 0U);
    table.named("munich")->keypairs[1] = 2;
    EXPECT_EQ(table.nb_up(), 0U);
    table.named("munich")->path = PathChoice{};
    table.named("london")->path = PathChoice{};
    EXPECT_EQ(table.nb_up(), 1U);
}

// ---- users' traffic ----

class UserTrafficTest : public testing::Test {
protected:
    bool is_active(Time::duration later = 0s) const {
        Member member;
        member.traffic = traffic;
        return MemberTable::is_active(member, now + later);
    }

    Time now = Time{} + 1h;
    Dataplane::Activity seen{};
    UserTraffic traffic;
};

TEST_F(UserTrafficTest, IsWhatThePacketPathCountsBeyondOurOwnMessages) {
    seen.tx_packets = 1;
    seen.last_data_tx_tsc = 10;
    traffic.on_control_sent();
    traffic.update(seen, now);
    EXPECT_FALSE(is_active()) << "that one was a control message";
    seen.tx_packets = 2;
    seen.last_data_tx_tsc = 20;
    traffic.update(seen, now);
    EXPECT_TRUE(is_active());
}

TEST_F(UserTrafficTest, CountsWhatIsReceivedLikewise) {
    seen.rx_packets = 1;
    seen.last_data_rx_tsc = 10;
    traffic.on_control_received();
    traffic.update(seen, now);
    EXPECT_FALSE(is_active());
    seen.rx_packets = 2;
    seen.last_data_rx_tsc = 20;
    traffic.update(seen, now);
    EXPECT_TRUE(is_active());
}

// A keepalive is counted, but carries no data.
TEST_F(UserTrafficTest, AreNoKeepalives) {
    seen.tx_packets = seen.rx_packets = 1;
    traffic.update(seen, now);
    EXPECT_FALSE(is_active());
}

TEST_F(UserTrafficTest, IsOverAfterAMinuteWithoutAny) {
    traffic.on_wanted(now);
    EXPECT_TRUE(is_active(59s));
    EXPECT_FALSE(is_active(60s));
}

}  // namespace
}  // namespace meshgate::mesh::test

// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/gateway/fixture.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

TEST_F(GatewayTest, PublishesTheBoxFileBeforeWorkersStart) {
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.listen_ports, std::vector<uint16_t>{51820});
    const auto entry = snapshot.entries[snapshot.fib->lookup(*parse_address("10.2.3.4"))];
    EXPECT_EQ(entry.kind, ForwardKind::peer);
    EXPECT_EQ(snapshot.ports[kWan].mac, FakeDataplane::mac_of(kWan));
}

TEST_F(GatewayTest, BringsUpASessionAndSendsWhatWaited) {
    for (uint8_t mark = 2; mark < 6; ++mark)
        send_from_lan(*a_, mark);
    const auto sent = handshake();
    ASSERT_NE(sending(*a_), nullptr);
    EXPECT_EQ(sending(*b_), nullptr) << "the responder waits for a packet under the new key";
    ASSERT_EQ(b_->dataplane.keypairs.size(), 1U);
    Keypair& at_b = *b_->dataplane.keypairs.begin()->second;
    EXPECT_EQ(at_b.send_key, sending(*a_)->receive_key);
    EXPECT_EQ(at_b.receive_key, sending(*a_)->send_key);
    EXPECT_EQ(le32toh(at_b.remote_index_le), sending(*a_)->local_index);
    EXPECT_EQ(at_b.reject_after_tsc, clock_ns_ + 180'000'000'000);
    std::vector<uint8_t> marks;
    for (const auto& packet : sent) {
        EXPECT_EQ(packet.info.inject, Inject::seal);
        marks.push_back(packet.bytes.at(39));
    }
    EXPECT_EQ(marks, (std::vector<uint8_t>{2, 3, 4, 5, 1})) << "in the order of arrival";

    b_->dataplane.notes.push_back({.kind = Note::Kind::confirmed, .local_index = at_b.local_index});
    b_->poll();
    EXPECT_EQ(sending(*b_), &at_b);
}

// The copy has the same keypairs and counters.
TEST_F(GatewayTest, SendsUnderNewKeysOnlyAfterTheMachineWasCopied) {
    handshake();
    ASSERT_NE(sending(*a_), nullptr);
    const uint32_t index_before = sending(*a_)->local_index;
    clock_ns_ += 10'000'000'000;
    a_->gateway->on_vm_fork();
    EXPECT_EQ(sending(*a_), nullptr);
    send_from_lan(*a_, 7);
    const auto greeting = a_->dataplane.take_sent();
    for (const auto& sent : greeting)
        EXPECT_NE(sent.info.inject, Inject::seal) << "under a keypair of before";
    ASSERT_FALSE(greeting.empty()) << "a new handshake";
    for (const auto& sent : greeting)
        deliver(*b_, sent);
    for (const auto& sent : b_->settle())
        deliver(*a_, sent);
    ASSERT_NE(sending(*a_), nullptr);
    EXPECT_NE(sending(*a_)->local_index, index_before);
    EXPECT_EQ(a_->gateway->vm_forks().total, 1U);
}

TEST_F(GatewayTest, LeavesByTheGatewayAndFollowsItsMac) {
    handshake();
    const Link* before = a_->dataplane.path(0);
    ASSERT_NE(before, nullptr);
    EXPECT_EQ(std::memcmp(before->header.data(), kGatewayMac.bytes.data(), 6), 0);
    EXPECT_EQ(to_string(before->local), "192.0.2.1:51820");
    EXPECT_EQ(before->mtu_bytes, 1440);
    clock_ns_ += 2'000'000'000;
    a_->dataplane.punt(Punt::arp, build_announcement({kHostMac, 0}, *parse_address("192.0.2.254")),
                       {.port = kWan});
    a_->poll();
    const Link* after = a_->dataplane.path(0);
    EXPECT_EQ(std::memcmp(after->header.data(), kHostMac.bytes.data(), 6), 0);
}

TEST_F(GatewayTest, SendsAtOnceWhenTheSessionCameUpMeanwhile) {
    handshake();
    send_from_lan(*a_, 9);
    const auto sent = a_->dataplane.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].info.inject, Inject::seal);
}

TEST_F(GatewayTest, DoesNotSendRoundAndRoundWithAKeyThatExpired) {
    handshake();
    clock_ns_ += 180'000'000'000;
    send_from_lan(*a_, 9);
    for (const auto& sent : a_->dataplane.take_sent())
        EXPECT_NE(sent.info.inject, Inject::seal);
    EXPECT_EQ(a_->gateway->sessions().nb_staged(), 1U);
}

TEST_F(GatewayTest, KeepsAtMost128PacketsWaitingForASession) {
    for (unsigned i = 0; i < 200; ++i)
        send_from_lan(*a_, static_cast<uint8_t>(i));
    EXPECT_EQ(a_->gateway->sessions().nb_staged(), 128U);
    EXPECT_EQ(a_->dataplane.drops(Drop::no_session), 72U);
    const auto sent = handshake();
    ASSERT_EQ(sent.size(), 128U);
    EXPECT_EQ(sent[0].bytes[39], 73) << "the oldest went first";
}

TEST_F(GatewayTest, RefusesWhatWaitedWhenThePeerNeverAnswers) {
    send_from_lan(*a_, 1);
    pass(120s);
    EXPECT_EQ(a_->gateway->sessions().nb_staged(), 0U);
    EXPECT_EQ(a_->dataplane.drops(Drop::no_session), 1U);
    EXPECT_EQ(std::ranges::count_if(a_->dataplane.take_sent(), is_host_unreachable), 1);
}

TEST_F(GatewayTest, ForgetsAKeypairThatTheTableRefuses) {
    a_->dataplane.refuse_install = true;
    handshake();
    EXPECT_EQ(sending(*a_), nullptr);
    EXPECT_EQ(a_->gateway->sessions().nb_keypairs(), 0U);
}

TEST_F(GatewayTest, HoldsHandshakesUntilTheNextHopAnswers) {
    config::Model model;
    model.ports = {port("wan0", config::Role::wan, "192.0.2.1/24")};
    model.peers = {peer_of("b", key_b_, "10.2.0.0/16", "192.0.2.77:51820")};
    Box box{model, key_a_, clock_ns_};
    box.silent = true;
    box.settle();
    send_from_lan(box, 1);
    for (const auto& sent : box.dataplane.take_sent())
        EXPECT_TRUE(parse_neighbor_frame(sent.bytes, 0)) << "nothing goes to an unknown MAC";
    box.dataplane.punt(Punt::arp,
                       build_question({kHostMac, 0}, {*parse_address("192.0.2.1"),
                                                      *parse_address("192.0.2.77"), std::nullopt}),
                       {.port = kWan});
    box.poll();
    const auto sent = box.settle();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].bytes.size(), 42U + 148U);
    EXPECT_EQ(std::memcmp(sent[0].bytes.data(), kHostMac.bytes.data(), 6), 0);
}

TEST_F(GatewayTest, AsksForLanNeighborsAndSendsWhatWaited) {
    PacketInfo info;
    info.port = kLan;
    info.next_hop = *parse_address("10.1.0.20");
    for (uint8_t mark = 0; mark < 12; ++mark)
        a_->dataplane.punt(Punt::unresolved_neighbor, udp4("10.2.0.20", "10.1.0.20", mark), info);
    a_->poll();
    EXPECT_EQ(a_->dataplane.drops(Drop::unresolved_neighbor), 4U) << "eight may wait";
    const auto sent = a_->settle();
    ASSERT_EQ(sent.size(), 8U);
    EXPECT_EQ(sent[0].info.inject, Inject::frame);
    EXPECT_EQ(sent[0].info.port, kLan);
    EXPECT_EQ(std::memcmp(sent[0].bytes.data(), kHostMac.bytes.data(), 6), 0);
    EXPECT_EQ(sent[0].bytes.back(), 4);
    const MacAddress* mac = a_->dataplane.snapshot().neighbors->find(kLan, info.next_hop);
    if (mac == nullptr) {
        pass(10ms);
        mac = a_->dataplane.snapshot().neighbors->find(kLan, info.next_hop);
    }
    ASSERT_NE(mac, nullptr);
    EXPECT_EQ(*mac, kHostMac);
}

TEST_F(GatewayTest, TellsTheSenderWhenALanNeighborIsSilent) {
    a_->silent = true;
    PacketInfo info;
    info.port = kLan;
    info.next_hop = *parse_address("10.1.0.99");
    a_->dataplane.punt(Punt::unresolved_neighbor, udp4("10.2.0.20", "10.1.0.99", 1), info);
    a_->poll();
    pass(4s);
    EXPECT_EQ(a_->dataplane.drops(Drop::unresolved_neighbor), 1U);
    EXPECT_EQ(std::ranges::count_if(a_->dataplane.take_sent(), is_host_unreachable), 1);
}

TEST_F(GatewayTest, NeverHoldsMoreThanItsShareOfThePool) {
    a_->silent = true;
    for (uint32_t i = 0; i < 3000; ++i) {
        PacketInfo info;
        info.port = kLan;
        info.next_hop = IpAddress::v4(htobe32(0x0a010002U + i % 250));
        a_->dataplane.punt(Punt::unresolved_neighbor, udp4("10.2.0.20", "10.1.0.99", 1), info);
        info.peer = 0;
        a_->dataplane.punt(Punt::no_session, udp4("10.1.0.20", "10.2.0.20", 1), info);
        a_->poll();
    }
    EXPECT_LE(fake_mbufs_in_use(), 4096U / 4);
}

TEST_F(GatewayTest, CountsWhatIsOfAMeshWithoutOne) {
    const std::vector<uint8_t> babel(60);
    a_->dataplane.punt(Punt::mesh, babel, {.port = kLan});
    a_->poll();
    EXPECT_EQ(a_->dataplane.drops(Drop::local_no_listener), 1U);
    EXPECT_TRUE(a_->dataplane.take_sent().empty());
}

TEST_F(GatewayTest, AnswersPingsToItsOwnAddresses) {
    PacketInfo info;
    info.port = kLan;
    info.source_mac = kHostMac;
    a_->dataplane.punt(Punt::icmp_to_us, echo_request("10.1.0.20", "10.1.0.1"), info);
    a_->poll();
    auto sent = a_->dataplane.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].info.inject, Inject::frame);
    EXPECT_EQ(std::memcmp(sent[0].bytes.data(), kHostMac.bytes.data(), 6), 0);
    const auto ip = std::span{sent[0].bytes}.subspan(14);
    EXPECT_EQ(ip[20], 0) << "echo reply";
    EXPECT_EQ(sum16(ip.first(20)), 0);
    EXPECT_EQ(sum16(ip.subspan(20)), 0);
    EXPECT_EQ(to_string(source_of(ip)), "10.1.0.1");

    info.peer = 0;
    a_->dataplane.punt(Punt::icmp_to_us, echo_request("10.2.0.20", "10.1.0.1"), info);
    a_->poll();
    sent = a_->dataplane.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].info.inject, Inject::route) << "to a peer, through its session";
}

TEST_F(GatewayTest, LimitsTheRateOfPings) {
    PacketInfo info;
    info.port = kLan;
    for (int i = 0; i < 3000; ++i)
        a_->dataplane.punt(Punt::icmp_to_us, echo_request("10.1.0.20", "10.1.0.1"), info);
    a_->poll();
    EXPECT_EQ(a_->dataplane.take_sent().size(), 1000U);
    EXPECT_EQ(a_->dataplane.drops(Drop::echo_flood), 2000U);
}

TEST_F(GatewayTest, CountsPingsThatContradictThemselves) {
    auto wrong_sum = echo_request("10.1.0.20", "10.1.0.1");
    ++wrong_sum.back();
    auto cut_short = echo_request("10.1.0.20", "10.1.0.1");
    cut_short.resize(27);
    for (const auto& ip : {wrong_sum, cut_short})
        a_->dataplane.punt(Punt::icmp_to_us, ip, {.port = kLan});
    a_->poll();
    EXPECT_TRUE(a_->dataplane.take_sent().empty());
    EXPECT_EQ(a_->dataplane.drops(Drop::bad_echo), 2U);
    EXPECT_EQ(a_->dataplane.drops(Drop::echo_flood), 0U);
}

std::vector<uint8_t> fragmentation_needed(const Link& link, uint32_t index_le, uint16_t mtu) {
    std::vector<uint8_t> ip = udp4("203.0.113.1", "192.0.2.1", 0);
    ip.resize(20 + 8 + 20 + 8 + 8);
    set16(ip, 2, static_cast<uint16_t>(ip.size()));
    ip[9] = 1;
    ip[20] = 3;
    ip[21] = 4;
    set16(ip, 26, mtu);
    auto quoted = std::span{ip}.subspan(28);
    quoted[0] = 0x45;
    quoted[9] = 17;
    std::copy_n(link.local.address.bytes.begin(), 4, quoted.begin() + 12);
    std::copy_n(link.remote.address.bytes.begin(), 4, quoted.begin() + 16);
    set16(quoted, 20, link.local.port);
    set16(quoted, 22, link.remote.port);
    quoted[28] = 4;
    std::memcpy(quoted.data() + 32, &index_le, 4);
    return ip;
}

TEST_F(GatewayTest, BelievesPathMtuOnlyForItsOwnLiveSessions) {
    handshake();
    const auto mtu = [this] { return a_->dataplane.path(0)->mtu_bytes; };
    const auto report = [this](const std::vector<uint8_t>& ip) {
        a_->dataplane.punt(Punt::underlay_icmp, ip, {.port = kWan});
        a_->poll();
    };
    const Link link = *a_->dataplane.path(0);
    const uint32_t index_le = sending(*a_)->remote_index_le;
    report(fragmentation_needed(link, index_le ^ 1, 1400));
    EXPECT_EQ(mtu(), 1440) << "of no session";
    Link other = link;
    other.remote.port = 1;
    report(fragmentation_needed(other, index_le, 1400));
    EXPECT_EQ(mtu(), 1440) << "of another endpoint";
    report(fragmentation_needed(link, index_le, 575));
    EXPECT_EQ(mtu(), 1440) << "no path is so narrow";
    report(fragmentation_needed(link, index_le, 1400));
    EXPECT_EQ(mtu(), 1328);
    a_->gateway->watch_links();
    clock_ns_ += 601'000'000'000;
    a_->gateway->tick();
    EXPECT_EQ(mtu(), 1440) << "tried again after ten minutes";
}

TEST_F(GatewayTest, BoundsHandshakesThatWait) {
    std::vector<uint8_t> garbage(148, 0);
    garbage[0] = 1;
    for (int i = 0; i < 6000; ++i)
        b_->dataplane.punt(Punt::handshake, garbage, {.port = kWan});
    b_->poll();
    EXPECT_TRUE(b_->dataplane.take_sent().empty()) << "silence for strangers (W25)";
    EXPECT_EQ(
        b_->gateway->device().counters()[static_cast<size_t>(wireguard::HandshakeEvent::bad_mac1)],
        6000U);
}

// A flood that the workers hold back leaves no queue here by which it would be seen.
TEST_F(GatewayTest, DemandsCookiesWhileWorkersRefuseHandshakes) {
    const auto count = [this](wireguard::HandshakeEvent event) {
        return b_->gateway->device().counters()[static_cast<size_t>(event)];
    };
    b_->dataplane.count_worker_drop(Drop::handshake_flood);
    handshake();
    EXPECT_EQ(count(wireguard::HandshakeEvent::cookie_reply_sent), 1U);
    EXPECT_EQ(count(wireguard::HandshakeEvent::initiation_received), 0U);
    pass(std::chrono::seconds{6});
    for (const auto& sent : a_->settle())
        deliver(*b_, sent);
    EXPECT_EQ(count(wireguard::HandshakeEvent::cookie_reply_sent), 1U) << "the flood has ended";
    EXPECT_EQ(count(wireguard::HandshakeEvent::initiation_received), 1U);
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/gateway.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "config/diff.h"
#include "control/daemon/dataplane_options.h"
#include "control/daemon/reload.h"
#include "control/packets/ip.h"
#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

constexpr PortId kWan = 0;
constexpr PortId kLan = 1;
constexpr MacAddress kGatewayMac{{2, 0, 0, 0, 9, 9}};
constexpr MacAddress kHostMac{{2, 0, 0, 0, 8, 8}};

// ---- boxes ----

config::Port port(const char* name, config::Role role, const char* address) {
    config::Port result;
    result.name = name;
    result.role = role;
    result.device.argument = name;
    result.addresses = {*parse_prefix(address)};
    return result;
}

config::Peer peer_of(const char* name, const SecretKey& key, const char* prefix,
                     const char* endpoint = nullptr) {
    config::Peer peer;
    peer.name = name;
    peer.public_key = public_key_of(key);
    peer.allowed_ips = {*parse_prefix(prefix)};
    if (endpoint != nullptr)
        peer.endpoint = parse_endpoint(endpoint);
    return peer;
}

// A gateway on a fake dataplane, with a clock that only the test moves.
class Box {
public:
    Box(config::Model model, const SecretKey& key, uint64_t& clock_ns)
        : clock_ns_{clock_ns}, dataplane{options_of(model)} {
        dataplane.now_ns = clock_ns_;
        Secrets secrets;
        secrets.private_key = key.clone();
        auto made = Gateway::create(
            {.dataplane = dataplane, .log = log_, .clock = [this] { return now(); }, .timings = {}},
            std::move(model), std::move(secrets));
        EXPECT_TRUE(made);
        gateway = std::move(*made);
        gateway->up();
    }

    Now now() {
        dataplane.now_ns = clock_ns_;
        return Now::at(clock_ns_, 1'700'000'000'000'000'000 + clock_ns_);
    }
    void poll() {
        while (gateway->poll()) {
        }
    }

    // Answers questions for anything but our own addresses, as hosts on the network would; returns
    // what else was sent.
    std::vector<FakeDataplane::Sent> settle() {
        std::vector<FakeDataplane::Sent> rest;
        for (bool again = true; again;) {
            again = false;
            for (auto& sent : dataplane.take_sent()) {
                const auto asked = sent.info.inject == Inject::frame
                                       ? parse_neighbor_frame(sent.bytes, 0)
                                       : std::nullopt;
                if (!asked) {
                    rest.push_back(std::move(sent));
                    continue;
                }
                if (asked->kind != NeighborMessage::Kind::question || silent)
                    continue;
                const PortIdentity host{sent.info.port == kWan ? kGatewayMac : kHostMac, 0};
                dataplane.punt(Punt::arp, build_answer(host, *asked), {.port = sent.info.port});
                again = true;
            }
            poll();
        }
        return rest;
    }

private:
    static DataplaneOptions options_of(const config::Model& model) {
        DataplaneOptions options = dataplane_options(model);
        options.nb_mbufs = 4096;
        return options;
    }

    uint64_t& clock_ns_;
    Log log_{config::Log{.level = config::LogLevel::error, .format = config::LogFormat::text}};

public:
    FakeDataplane dataplane;
    std::unique_ptr<Gateway> gateway;
    bool silent = false;  // nobody answers questions
};

// ---- packets ----

std::vector<uint8_t> udp4(const char* source, const char* destination, uint8_t mark) {
    std::vector<uint8_t> ip(40, 0);
    ip[0] = 0x45;
    ip[3] = 40;
    ip[8] = 63;
    ip[9] = 17;
    const IpAddress from = *parse_address(source), to = *parse_address(destination);
    std::copy_n(from.bytes.begin(), 4, ip.begin() + 12);
    std::copy_n(to.bytes.begin(), 4, ip.begin() + 16);
    ip[39] = mark;
    return ip;
}

uint16_t sum16(std::span<const uint8_t> bytes) {
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.size(); ++i)
        sum += static_cast<uint32_t>(i % 2 == 0 ? bytes[i] << 8 : bytes[i]);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

void set16(std::span<uint8_t> bytes, size_t at, uint16_t value) {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}

std::vector<uint8_t> echo_request(const char* source, const char* destination) {
    std::vector<uint8_t> ip = udp4(source, destination, 7);
    ip[9] = 1;
    ip[20] = 8;
    set16(ip, 22, sum16(std::span{ip}.subspan(20)));
    return ip;
}

bool is_host_unreachable(const FakeDataplane::Sent& sent) {
    return sent.info.inject == Inject::route && sent.bytes.size() > 28 && sent.bytes[9] == 1 &&
           sent.bytes[20] == 3 && sent.bytes[21] == 1;
}

// What a worker does with a WireGuard frame that arrives: hands the message up.
void deliver(Box& to, const FakeDataplane::Sent& sent) {
    const auto& frame = sent.bytes;
    ASSERT_GT(frame.size(), 42U);
    const auto at16 = [&](size_t at) {
        return static_cast<uint16_t>(frame[at] << 8 | frame[at + 1]);
    };
    uint32_t source = 0, destination = 0;
    std::memcpy(&source, frame.data() + 26, 4);
    std::memcpy(&destination, frame.data() + 30, 4);
    PacketInfo info;
    info.port = kWan;
    info.remote = {IpAddress::v4(source), at16(34)};
    info.local = {IpAddress::v4(destination), at16(36)};
    to.dataplane.punt(Punt::handshake, std::span{frame}.subspan(42), info);
    to.poll();
}

// ---- two boxes that know each other ----

class GatewayTest : public testing::Test {
protected:
    GatewayTest() {
        config::Model a, b;
        a.ports = {port("wan0", config::Role::wan, "192.0.2.1/24"),
                   port("lan0", config::Role::lan, "10.1.0.1/24")};
        b.ports = {port("wan0", config::Role::wan, "198.51.100.1/24"),
                   port("lan0", config::Role::lan, "10.2.0.1/24")};
        a.ports[0].gateway_v4 = parse_address("192.0.2.254");
        b.ports[0].gateway_v4 = parse_address("198.51.100.254");
        a.peers = {peer_of("b", key_b_, "10.2.0.0/16", "198.51.100.1:51820")};
        b.peers = {peer_of("a", key_a_, "10.1.0.0/16")};
        a_ = std::make_unique<Box>(a, key_a_, clock_ns_);
        b_ = std::make_unique<Box>(b, key_b_, clock_ns_);
        a_->settle();
        b_->settle();
    }
    ~GatewayTest() override {
        a_.reset();
        b_.reset();
        EXPECT_EQ(fake_mbufs_in_use(), 0U) << "somebody forgot a packet";
    }

    void send_from_lan(Box& box, uint8_t mark) {
        PacketInfo info;
        info.peer = 0;
        box.dataplane.punt(Punt::no_session, udp4("10.1.0.20", "10.2.0.20", mark), info);
        box.poll();
    }

    // A's packets make it greet B; both have a session afterwards.
    std::vector<FakeDataplane::Sent> handshake() {
        send_from_lan(*a_, 1);
        for (const auto& sent : a_->settle())
            deliver(*b_, sent);
        for (const auto& sent : b_->settle())
            deliver(*a_, sent);
        return a_->settle();
    }

    // Time passes in steps of the deadlines.
    void pass(std::chrono::nanoseconds duration) {
        const uint64_t end_ns = clock_ns_ + static_cast<uint64_t>(duration.count());
        for (int steps = 0; steps < 10'000; ++steps) {
            const auto due = a_->gateway->next_deadline().time_since_epoch();
            if (static_cast<uint64_t>(due.count()) > end_ns)
                break;
            clock_ns_ = std::max(clock_ns_ + 1, static_cast<uint64_t>(due.count()));
            a_->gateway->tick();
        }
        clock_ns_ = end_ns;
    }

    Keypair* sending(Box& box) { return box.dataplane.sending_keypair(0); }

    SecretKey key_a_ = generate_private_key();
    SecretKey key_b_ = generate_private_key();
    uint64_t clock_ns_ = 3'600'000'000'000;
    std::unique_ptr<Box> a_, b_;
};

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

// ---- reload ----

class ReloadTest : public GatewayTest {
protected:
    void apply(const config::Model& after) {
        const config::Diff changes = config::diff(a_->gateway->model(), after);
        Secrets secrets;
        secrets.private_key = key_a_.clone();
        const auto applied = a_->gateway->apply(changes, after, std::move(secrets));
        EXPECT_TRUE(applied);
    }
};

TEST_F(ReloadTest, LeavesUnchangedPeersAlone) {
    handshake();
    Keypair* const keypair = sending(*a_);
    const Link* const path = a_->dataplane.path(0);
    config::Model after = a_->gateway->model();
    after.peers.push_back(peer_of("c", generate_private_key(), "10.3.0.0/16"));
    apply(after);
    EXPECT_EQ(sending(*a_), keypair);
    EXPECT_EQ(a_->dataplane.path(0), path);
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.entries[snapshot.fib->lookup(*parse_address("10.3.0.1"))].peer, 1U);
}

TEST_F(ReloadTest, AddsBeforeItRemoves) {
    handshake();
    config::Model after = a_->gateway->model();
    after.peers = {peer_of("c", generate_private_key(), "10.2.0.0/16")};
    apply(after);
    // That 0 went only when nothing led to it any more, the packet side asserts.
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.entries[snapshot.fib->lookup(*parse_address("10.2.0.1"))].peer, 1U);
    EXPECT_TRUE(a_->dataplane.keypairs.empty());
    EXPECT_EQ(a_->dataplane.path(0), nullptr);
}

TEST_F(ReloadTest, MovesPrefixesBetweenLivingPeers) {
    handshake();
    config::Model after = a_->gateway->model();
    after.peers[0].allowed_ips = {*parse_prefix("10.20.0.0/16")};
    apply(after);
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.fib->lookup(*parse_address("10.2.0.1")), 0U);
    EXPECT_NE(snapshot.fib->lookup(*parse_address("10.20.0.1")), 0U);
    EXPECT_NE(sending(*a_), nullptr);
}

TEST_F(ReloadTest, MovesAConfiguredEndpointAndKeepsARoamedOne) {
    handshake();
    a_->dataplane.notes.push_back({.kind = Note::Kind::endpoint_moved,
                                   .port = kWan,
                                   .peer = 0,
                                   .remote = *parse_endpoint("203.0.113.5:4000"),
                                   .local = *parse_endpoint("192.0.2.1:51820")});
    a_->poll();
    const auto remote = [this] { return to_string(a_->dataplane.path(0)->remote); };
    EXPECT_EQ(remote(), "203.0.113.5:4000");
    config::Model after = a_->gateway->model();
    after.peers[0].persistent_keepalive_s = 25;
    apply(after);
    EXPECT_EQ(remote(), "203.0.113.5:4000") << "the file did not move it";
    after.peers[0].endpoint = parse_endpoint("203.0.113.6:5000");
    apply(after);
    EXPECT_EQ(remote(), "203.0.113.6:5000");
}

TEST_F(ReloadTest, AcceptsTheOldListenPortForAWhile) {
    config::Model after = a_->gateway->model();
    after.wireguard.listen_port = 4444;
    apply(after);
    EXPECT_EQ(a_->dataplane.snapshot().listen_ports, (std::vector<uint16_t>{4444, 51820}));
    pass(181s);
    EXPECT_EQ(a_->dataplane.snapshot().listen_ports, (std::vector<uint16_t>{4444}));
}

TEST_F(ReloadTest, ChangesAddressesLive) {
    config::Model after = a_->gateway->model();
    after.ports[kLan].addresses.push_back(*parse_prefix("10.7.0.1/24"));
    a_->dataplane.take_sent();
    apply(after);
    const Snapshot& snapshot = a_->dataplane.snapshot();
    EXPECT_EQ(snapshot.entries[snapshot.fib->lookup(*parse_address("10.7.0.1"))].kind,
              ForwardKind::local);
    EXPECT_EQ(snapshot.ports[kLan].addresses.size(), 2U);
    EXPECT_EQ(a_->dataplane.take_sent().size(), 1U) << "announced";
}

TEST_F(ReloadTest, RefusesMorePeersThanThereIsRoomFor) {
    config::Model after = a_->gateway->model();
    after.peers.resize(1);
    for (unsigned i = 0; i < a_->dataplane.options().max_peers; ++i) {
        config::Peer peer = after.peers[0];
        std::memcpy(peer.public_key.bytes.data(), &i, sizeof i);
        peer.public_key.bytes[31] = 1;
        peer.allowed_ips.clear();
        after.peers.push_back(peer);
    }
    const config::Diff changes = config::diff(a_->gateway->model(), after);
    Secrets secrets;
    EXPECT_FALSE(a_->gateway->apply(changes, after, std::move(secrets)));
    EXPECT_EQ(a_->gateway->model().peers.size(), 1U);
}

TEST(LivePart, LeavesOutWhatNeedsARestart) {
    config::Model before;
    before.ports = {port("wan0", config::Role::wan, "192.0.2.1/24"),
                    port("lan0", config::Role::lan, "10.1.0.1/24")};
    config::Model after = before;
    after.dataplane.workers = 4;
    after.ports[1].addresses = {*parse_prefix("10.5.0.1/24")};
    after.wireguard.listen_port = 1;
    config::Model live = live_part(before, after);
    EXPECT_EQ(live.dataplane.workers, 1U);
    EXPECT_EQ(live.ports, after.ports);
    EXPECT_EQ(live.wireguard.listen_port, 1);
    after.ports[1].mtu_bytes = 1400;
    after.routes = {{*parse_prefix("10.8.0.0/16"), parse_address("10.5.0.2")}};
    live = live_part(before, after);
    EXPECT_EQ(live.ports, before.ports);
    EXPECT_TRUE(live.routes.empty()) << "routes go with their ports";
    EXPECT_FALSE(config::diff(before, live).needs_restart);
}

}  // namespace
}  // namespace meshgate::control

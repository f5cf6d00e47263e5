// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "control/daemon/dataplane_options.h"
#include "control/gateway/gateway.h"
#include "control/packets/ip.h"
#include "tests/unit/control/fake_dataplane.h"

// Whole gateways on fake dataplanes, and the frames that reach them.
namespace meshgate::control {

using namespace std::chrono_literals;

inline constexpr PortId kWan = 0;
inline constexpr PortId kLan = 1;
inline constexpr MacAddress kGatewayMac{{2, 0, 0, 0, 9, 9}};
inline constexpr MacAddress kHostMac{{2, 0, 0, 0, 8, 8}};

// ---- boxes ----

inline config::Port port(const char* name, config::Role role, const char* address) {
    config::Port result;
    result.name = name;
    result.role = role;
    result.device.argument = name;
    result.addresses = {*parse_prefix(address)};
    return result;
}

inline config::Peer peer_of(const char* name, const SecretKey& key, const char* prefix,
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

inline std::vector<uint8_t> udp4(const char* source, const char* destination, uint8_t mark) {
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

inline uint16_t sum16(std::span<const uint8_t> bytes) {
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.size(); ++i)
        sum += static_cast<uint32_t>(i % 2 == 0 ? bytes[i] << 8 : bytes[i]);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<uint16_t>(~sum);
}

inline void set16(std::span<uint8_t> bytes, size_t at, uint16_t value) {
    bytes[at] = static_cast<uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<uint8_t>(value);
}

inline std::vector<uint8_t> echo_request(const char* source, const char* destination) {
    std::vector<uint8_t> ip = udp4(source, destination, 7);
    ip[9] = 1;
    ip[20] = 8;
    set16(ip, 22, sum16(std::span{ip}.subspan(20)));
    return ip;
}

inline bool is_host_unreachable(const FakeDataplane::Sent& sent) {
    return sent.info.inject == Inject::route && sent.bytes.size() > 28 && sent.bytes[9] == 1 &&
           sent.bytes[20] == 3 && sent.bytes[21] == 1;
}

// What a worker does with a WireGuard frame that arrives: hands the message up.
inline void deliver(Box& to, const FakeDataplane::Sent& sent) {
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

}  // namespace meshgate::control

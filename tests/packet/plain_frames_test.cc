// SPDX-License-Identifier: Apache-2.0

// Bursts of frames, most of them with something wrong, through a world that looks at headers with
// vectors and through one that does not: what leaves and what is counted has to be the same.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>

#include "tests/packet/world.h"

namespace meshgate::packet_test {
namespace {

struct Arrival {
    std::string port;
    Bytes frame;
};
using Arrivals = std::vector<Arrival>;

struct Outcome {
    std::vector<std::pair<std::string, Bytes>> sent;
    std::vector<std::string> events;
    bool operator==(const Outcome&) const = default;
};

class Random {
public:
    explicit Random(uint64_t seed) : engine_{seed} {}
    size_t below(size_t end) { return engine_() % end; }
    bool one_in(size_t n) { return below(n) == 0; }
    template <typename Range>
    const auto& of(const Range& all) {
        return all[below(std::size(all))];
    }

private:
    std::mt19937_64 engine_;
};

void put16(Bytes& bytes, size_t offset, uint32_t value) {
    if (offset + 2 > bytes.size())
        return;
    bytes[offset] = static_cast<uint8_t>(value >> 8);
    bytes[offset + 1] = static_cast<uint8_t>(value);
}

constexpr std::array kAddresses{"10.1.0.1",  "10.1.0.9",  "10.9.0.2",     "10.20.3.4",
                                "10.66.0.1", "127.0.0.1", "126.255.0.1",  "224.0.0.5",
                                "239.1.1.1", "223.9.9.9", "240.0.0.1",    "255.255.255.255",
                                "0.0.0.0",   "0.0.0.1",   "198.51.100.2", "192.0.2.7"};

Bytes overlay_packet(Random& random) {
    static constexpr std::array kL4{"udp sport=5 dport=7",
                                    "tcp sport=5 dport=7 flags=ack",
                                    "tcp sport=5 dport=7 flags=syn mss=1460",
                                    "icmp type=8 code=0",
                                    "udp sport=5 dport=7 partial",
                                    "tcp flags=ack partial",
                                    "udp sport=5 dport=7 mf",
                                    "udp off=8 partial"};
    std::string text = "ip4 src=10.1.0.9 ttl=" + std::to_string(random.one_in(20) ? 1 : 2) + " ";
    text += "dst=" + std::string{random.one_in(3) ? random.of(kAddresses) : "10.9.0.2"} + " ";
    text += random.of(kL4);
    text += " len=" + std::to_string(random.below(60));
    if (random.one_in(8))
        text += " options=" + std::to_string(4 * (1 + random.below(10)));
    return build_packet(Fields::parse(text));
}

Bytes underlay_packet(Random& random, const Bytes& message) {
    std::string text = "ip4 src=192.0.2.7 dst=198.51.100.2 udp sport=51820 dport=51820 hex=";
    text += to_hex(message);
    if (random.one_in(8))
        text += " tos=3";
    if (random.one_in(10))
        text += " options=4";
    return build_packet(Fields::parse(text));
}

// What may be wrong with a packet; its header's checksum is made right again, mostly.
void spoil(Bytes& packet, Random& random) {
    switch (random.below(10)) {
        case 0:
            packet[0] = static_cast<uint8_t>(random.below(256));
            break;
        case 1:
            put16(packet, 2, static_cast<uint32_t>(packet.size() + 4 - random.below(9)));
            break;
        case 2:
            put16(packet, 2, static_cast<uint32_t>(random.below(64)));
            break;
        case 3:
            put16(packet, 6, 1U << random.below(16));  // a flag, or a bit of the offset
            break;
        case 4:
        case 5: {
            const IpAddress address = *parse_address(random.of(kAddresses));
            std::copy_n(address.bytes.data(), 4, packet.data() + (random.one_in(2) ? 12 : 16));
            break;
        }
        case 6:  // ports, UDP length and checksum
            put16(packet, 20 + 2 * random.below(4),
                  static_cast<uint32_t>(random.one_in(2) ? 0 : random.below(128)));
            break;
        case 7:
            packet[random.below(std::min<size_t>(packet.size(), 64))] ^=
                static_cast<uint8_t>(1U << random.below(8));
            break;
        case 8:
            packet.resize(packet.size() + random.below(40), 0xee);
            break;
        default:
            packet.resize(random.below(packet.size()));
            break;
    }
    if (packet.size() >= 20 && !random.one_in(6)) {
        put16(packet, 10, 0);
        const size_t header_len =
            std::clamp<size_t>(size_t{packet[0] & 15U} * 4, 20, packet.size());
        put16(packet, 10, internet_checksum(std::span{packet}.first(header_len)));
    }
}

Bytes frame_around(const PortView& view, const Bytes& packet, Random& random) {
    Bytes frame{view.mac.bytes.begin(), view.mac.bytes.end()};
    if (random.one_in(30))
        frame[random.below(6)] ^= static_cast<uint8_t>(1U << random.below(8));
    frame.insert(frame.end(), {2, 0, 0, 0, 0, 9});
    const bool odd = random.one_in(30);
    if ((view.vlan != kNoVlan) != odd) {
        const uint16_t vlan = random.one_in(30) ? 8 : view.vlan;
        const auto priority = static_cast<uint8_t>(16 * random.below(16));
        frame.insert(frame.end(), {0x81, 0, priority, static_cast<uint8_t>(vlan)});
    }
    frame.insert(frame.end(), {8, static_cast<uint8_t>(random.one_in(40) ? 6 : 0)});
    frame.insert(frame.end(), packet.begin(), packet.end());
    if (random.one_in(40))
        frame.resize(random.below(frame.size()));
    return frame;
}

Arrivals random_burst(World& world, uint64_t& next_counter, Random& random) {
    static constexpr std::array kPorts{"lan0", "lan1", "wan0"};
    const std::string port = random.of(kPorts);
    const size_t spoilt = 1 + random.below(8);
    Arrivals burst;
    for (size_t n = 1 + random.below(64); n > 0; --n) {
        Bytes packet;
        if (port == "wan0") {
            Bytes message = world.seal_as("alice", overlay_packet(random), next_counter++);
            if (random.one_in(20))
                message.resize(random.below(message.size()));
            packet = underlay_packet(random, message);
        } else {
            packet = overlay_packet(random);
        }
        if (random.one_in(spoilt))
            spoil(packet, random);
        burst.push_back({port, frame_around(world.view(port), packet, random)});
    }
    return burst;
}

std::vector<Outcome> outcomes(World::Headers headers, const std::vector<Arrivals>& bursts) {
    // A world for a few bursts: more, and ICMP errors would wait for the clock.
    constexpr size_t kBurstsOfWorld = 4;
    std::vector<Outcome> all;
    std::unique_ptr<World> world;
    for (size_t i = 0; i < bursts.size(); ++i) {
        if (i % kBurstsOfWorld == 0) {
            world.reset();
            world = std::make_unique<World>(1, headers);
        }
        for (const auto& [port, frame] : bursts[i])
            world->inject_frame(port, frame);
        world->turn();
        world->expire_fragments();
        Outcome outcome;
        for (Sent& sent : world->take_sent())
            outcome.sent.emplace_back(sent.port, std::move(sent.frame));
        outcome.events = world->take_events();
        all.push_back(std::move(outcome));
        EXPECT_EQ(world->imbalance(), 0);
    }
    return all;
}

TEST(PlainFrames, AreJudgedWithVectorsAsWithout) {
    Random random{7};
    std::vector<Arrivals> bursts;
    {
        World world{1};
        uint64_t next_counter = 0;
        for (int i = 0; i < 400; ++i)
            bursts.push_back(random_burst(world, next_counter, random));
    }
    const std::vector<Outcome> vector = outcomes(World::Headers::vector, bursts);
    const std::vector<Outcome> scalar = outcomes(World::Headers::scalar, bursts);
    size_t nb_sent = 0, nb_events = 0;
    for (size_t i = 0; i < bursts.size(); ++i) {
        ASSERT_EQ(vector[i].events, scalar[i].events) << "burst " << i;
        ASSERT_EQ(vector[i].sent, scalar[i].sent) << "burst " << i;
        nb_sent += vector[i].sent.size();
        nb_events += vector[i].events.size();
    }
    EXPECT_GT(nb_sent, 3000U);
    EXPECT_GT(nb_events, 1500U);
}

}  // namespace
}  // namespace meshgate::packet_test

// SPDX-License-Identifier: Apache-2.0

// Any bytes on any port, and any plaintext inside a session, through the real pipeline. The first
// byte of the input says where the rest arrives. After every input all packets are accounted for.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/assert.h"
#include "dataplane/ports/eal.h"
#include "tests/packet/world.h"

using namespace meshgate;
using namespace meshgate::packet_test;

namespace {

constexpr size_t kMaxFrameLen = 1900;
// Relayed to IPv4 and to IPv6.
constexpr std::array<uint32_t, 2> kRelayed{0x20000001, 0x20000002};

World& world() {
    static std::unique_ptr<World> instance = [] {
        static const auto eal = Eal::start({.memory = {.hugepages = false, .memory_mib = 128},
                                            .nb_workers = 1,
                                            .cores = {},
                                            .pci_addresses = {}});
        MG_ASSERT(eal.has_value());
        auto made = std::make_unique<World>(1U);
        made->set_link("v4", parse_endpoint("192.0.2.99:4500"), 1500);
        made->set_link("v6", parse_endpoint("[2001:db8:2::99]:4500"), 1400);
        MG_ASSERT(made->index().insert(kRelayed[0], IndexEntry::relay(made->link_id("v4"))));
        MG_ASSERT(made->index().insert(kRelayed[1], IndexEntry::relay(made->link_id("v6"))));
        return made;
    }();
    return *instance;
}

void put16(Bytes& bytes, unsigned value) {
    bytes.push_back(static_cast<uint8_t>(value >> 8));
    bytes.push_back(static_cast<uint8_t>(value));
}

// An Ethernet header that passes, so that the mutations reach what is behind it.
Bytes with_ethernet(const std::string& port, const Bytes& packet) {
    const PortView& view = world().view(port);
    Bytes frame{view.mac.bytes.begin(), view.mac.bytes.end()};
    frame.insert(frame.end(), {2, 0, 0, 0, 0, 9});
    if (view.vlan != kNoVlan) {
        put16(frame, 0x8100);
        put16(frame, view.vlan);
    }
    put16(frame, !packet.empty() && packet[0] >> 4 == 6 ? 0x86dd : 0x0800);
    frame.insert(frame.end(), packet.begin(), packet.end());
    return frame;
}

// IPv4 whose header checksum is made right, for the checksum would stop nearly every mutation.
Bytes with_checksum(Bytes packet) {
    const size_t header_len = packet.empty() ? 0 : size_t{packet[0] & 15U} * 4;
    if (header_len < 20 || packet.size() < header_len || packet[0] >> 4 != 4)
        return packet;
    packet[10] = packet[11] = 0;
    const uint16_t sum = internet_checksum(std::span{packet}.first(header_len));
    packet[10] = static_cast<uint8_t>(sum >> 8);
    packet[11] = static_cast<uint8_t>(sum);
    return packet;
}

Bytes sealed(const std::string& peer, const Bytes& inner) {
    Fields outer;
    outer.values = {
        {"ip4", ""},
        {"src", "192.0.2.7"},
        {"dst", "198.51.100.2"},
        {"udp", ""},
        {"sport", "51820"},
        {"dport", "51820"},
        {"hex", to_hex(world().seal_as(peer, inner, world().peer(peer).next_counter++))}};
    return with_ethernet("wan0", build_packet(outer));
}

Bytes udp_datagram(const Bytes& payload) {
    Fields outer;
    outer.values = {{"ip4", ""},     {"src", "203.0.113.77"}, {"dst", "198.51.100.2"}, {"udp", ""},
                    {"sport", "99"}, {"dport", "51820"},      {"hex", to_hex(payload)}};
    return with_ethernet("wan0", build_packet(outer));
}

// Hop limit, traffic class and which way on, then what follows the receiver index.
Bytes relayed(const char* ip, const char* source, const char* destination, const Bytes& data) {
    if (data.size() < 3)
        return {};
    Bytes message{4, 0, 0, 0};
    const uint32_t index = kRelayed[data[2] % 2];
    for (unsigned shift = 0; shift < 32; shift += 8)
        message.push_back(static_cast<uint8_t>(index >> shift));
    message.insert(message.end(), data.begin() + 3, data.end());
    Fields outer;
    outer.values = {{ip, ""},
                    {"src", source},
                    {"dst", destination},
                    {"ttl", std::to_string(data[0])},
                    {"tos", std::to_string(data[1])},
                    {"udp", ""},
                    {"sport", "99"},
                    {"dport", "51820"},
                    {"hex", to_hex(message)}};
    return with_ethernet("wan0", build_packet(outer));
}

// Fragments of datagrams for us, in one burst: IP version and sources by the first byte, then for
// each the identification, how many bytes, offset and "more", and the bytes.
void fragments(const Bytes& data) {
    const bool v6 = !data.empty() && data[0] % 2 != 0;
    for (size_t at = 1; at + 4 <= data.size();) {
        const size_t len = std::min<size_t>(data[at + 1] * size_t{8}, data.size() - at - 4);
        Fields fields;
        fields.values = {{v6 ? "ip6" : "ip4", ""},
                         {"src", v6 ? "2001:db8:9::9" : "203.0.113.77"},
                         {"dst", v6 ? "2001:db8:1::2" : "198.51.100.2"},
                         {"udp", ""},
                         {"set", "0:" + std::string{v6 ? "60" : "45"}}};
        Bytes packet = build_packet(fields);
        packet.resize(v6 ? 40 : 20);
        if (v6) {
            packet[6] = 44;
            packet.insert(packet.end(), {17, 0, data[at + 2], data[at + 3], 0, 0, 0, data[at]});
        } else {
            packet[5] = data[at];
            packet[6] = data[at + 2] & 0x3f;
            packet[7] = data[at + 3];
        }
        const auto payload = data.begin() + static_cast<ptrdiff_t>(at) + 4;
        packet.insert(packet.end(), payload, payload + static_cast<ptrdiff_t>(len));
        const size_t ip_len = packet.size() - (v6 ? 40 : 0);
        packet[v6 ? 4 : 2] = static_cast<uint8_t>(ip_len >> 8);
        packet[v6 ? 5 : 3] = static_cast<uint8_t>(ip_len);
        world().inject_frame("wan0", with_ethernet("wan0", with_checksum(packet)));
        at += 4 + len;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1 || size > kMaxFrameLen)
        return 0;
    const Bytes rest(data + 1, data + size);
    switch (data[0] % 11) {
        case 0:
            world().inject_frame("wan0", rest);
            break;
        case 1:
            world().inject_frame("lan0", rest);
            break;
        case 2:
            world().inject_frame("wan0", with_ethernet("wan0", with_checksum(rest)));
            break;
        case 3:
            world().inject_frame("lan0", with_ethernet("lan0", with_checksum(rest)));
            break;
        case 4:
            world().inject_frame("lan1", with_ethernet("lan1", with_checksum(rest)));
            break;
        case 5:
            world().inject_frame("wan0", sealed("alice", with_checksum(rest)));
            break;
        case 6:
            world().inject_frame("wan0", sealed("munich", with_checksum(rest)));
            break;
        case 7:
            world().inject_frame("wan0", udp_datagram(rest));
            break;
        case 8:
            world().inject_frame("wan0", relayed("ip4", "203.0.113.77", "198.51.100.2", rest));
            break;
        case 9:
            world().inject_frame("wan0", relayed("ip6", "2001:db8:9::9", "2001:db8:1::2", rest));
            break;
        case 10:
            fragments(rest);
            break;
        default:
            break;
    }
    world().turn();
    world().expire_fragments();
    world().take_sent();
    world().take_events();
    MG_ASSERT(world().imbalance() == 0);
    MG_ASSERT(world().mbufs_in_use() == 0);
    return 0;
}

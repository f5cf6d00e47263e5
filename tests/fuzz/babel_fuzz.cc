// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "control/babel/speaker.h"

namespace {

using namespace meshgate;
using namespace meshgate::babel;

IpAddress link_local(uint8_t last) {
    std::array<uint8_t, 16> bytes{0xfe, 0x80};
    bytes[15] = last;
    return IpAddress::v6(bytes.data());
}

// What was understood is written and understood again as the same.
void check_round_trip(Bytes packet, const IpAddress& source) {
    const auto decoded = decode(packet, source);
    if (!decoded || packet.size() > 20'000)
        return;
    PacketWriter writer{65'000};
    for (const Tlv& tlv : decoded->tlvs) {
        if (!writer.add(tlv, source))
            std::abort();
    }
    const auto again = decode(writer.finish(), source);
    if (!again || again->tlvs != decoded->tlvs || again->nb_ignored != 0)
        std::abort();
}

void fill(std::span<uint8_t> bytes) {
    static uint8_t next = 0;
    for (uint8_t& byte : bytes)
        byte = ++next;
}

}  // namespace

// Input: records of two bytes of length, one of time (units of 20 ms), one that chooses interface
// and sender, then a packet. The speaker is a hub with a LAN, a link to a leaf and an interface
// with a key.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    constexpr size_t kMaxRoutes = 32;
    Speaker speaker{{.fill_random = fill, .router_id = RouterId{1, 2, 3, 4, 5, 6, 7, 8}}};
    Time now = Time{} + std::chrono::hours{1};
    InterfaceOptions lan;
    lan.address = link_local(0xf0);
    lan.max_routes = kMaxRoutes;
    lan.max_neighbors = 4;
    speaker.add_interface(0, lan, {}, now);
    auto link = InterfaceOptions::tunnel(link_local(0xf1), link_local(1), Announce::aggregates);
    link.max_routes = kMaxRoutes;
    speaker.add_interface(1, link, {}, now);
    std::vector<MacKey> keys;
    keys.emplace_back(MacAlgorithm::hmac_sha256, std::array<uint8_t, 4>{1, 2, 3, 4});
    speaker.add_interface(2, lan, std::move(keys), now);
    speaker.originate(*parse_prefix("fd00:6d67:1::/48"), Scope::aggregate, now);
    speaker.originate(*parse_prefix("fd00:6d67:1::1/128"), Scope::everywhere, now);

    std::span<const uint8_t> rest{data, size};
    while (rest.size() >= 4) {
        const size_t len =
            std::min<size_t>(static_cast<size_t>(rest[0] | rest[1] << 8), rest.size() - 4);
        now += std::chrono::milliseconds{20} * rest[2];
        const uint8_t choice = rest[3];
        const Bytes packet = rest.subspan(4, len);
        const IpAddress source = link_local(static_cast<uint8_t>(1 + (choice >> 2) % 8));
        check_round_trip(packet, source);
        speaker.tick(now);
        speaker.receive({.interface = choice % 4U,
                         .flow = {{source, kPort}, {multicast_group(), kPort}},
                         .bytes = packet},
                        now);
        for (int i = 0; i < 8 && speaker.next_deadline() <= now; ++i)
            speaker.tick(now);
        if (speaker.next_deadline() <= now || speaker.routes().size() > 9 * kMaxRoutes)
            std::abort();
        for (const Outgoing& sent : speaker.take_packets()) {
            const auto decoded = decode(sent.bytes, sent.flow.source.address);
            if (!decoded || decoded->nb_ignored != 0 || sent.bytes.size() > lan.max_packet_len)
                std::abort();
        }
        speaker.take_route_changes();
        speaker.take_events();
        rest = rest.subspan(4 + len);
    }
    return 0;
}

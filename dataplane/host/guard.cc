// SPDX-License-Identifier: Apache-2.0
#include "dataplane/host/guard.h"

#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <utility>

namespace meshgate {

namespace {

constexpr uint16_t kLldp = 0x88cc;
constexpr uint16_t kPortAuthentication = 0x888e;  // 802.1X
constexpr uint8_t kNeighborHopLimit = 255;
constexpr uint8_t kTcpFin = 0x01, kTcpRst = 0x04, kTcpAck = 0x10;

// Since the last packet, that an exchange is remembered.
constexpr auto kTcpLifetime = std::chrono::minutes{124};  // of a connection; RFC 5382, section 5
constexpr auto kUdpLifetime = std::chrono::minutes{3};   // of UDP and others; RFC 4787, section 4.3
constexpr auto kIcmpLifetime = std::chrono::minutes{1};  // of echoes; RFC 5508, section 3.2
constexpr auto kClosedLifetime = std::chrono::minutes{1};  // of a connection after FIN or RST

bool is_dhcp(const HostPacket& packet) noexcept {
    if (packet.proto != IPPROTO_UDP)
        return false;
    if (packet.source.is_v4())
        return packet.source_port == 67 && packet.destination_port == 68;
    return packet.source_port == 547 && packet.destination_port == 546 &&
           packet.source.is_link_local();
}

// Router advertisements, solicitations and advertisements of neighbours; no redirects.
bool is_discovery(const HostPacket& packet) noexcept {
    return packet.proto == IPPROTO_ICMPV6 && packet.hop_limit == kNeighborHopLimit &&
           (packet.icmp_type == ND_ROUTER_ADVERT || packet.icmp_type == ND_NEIGHBOR_SOLICIT ||
            packet.icmp_type == ND_NEIGHBOR_ADVERT);
}

// A multicast router asks who listens to what.
bool is_group_query(const HostPacket& packet) noexcept {
    if (packet.hop_limit != 1)
        return false;
    return packet.source.is_v4()
               ? packet.proto == IPPROTO_IGMP
               : packet.proto == IPPROTO_ICMPV6 && packet.icmp_type == MLD_LISTENER_QUERY;
}

bool is_needed(const HostPacket& packet) noexcept {
    if (!packet.is_ip())
        return packet.ether_type == ETHERTYPE_ARP || packet.ether_type == kLldp ||
               packet.ether_type == kPortAuthentication;
    return is_dhcp(packet) || is_discovery(packet) || is_group_query(packet);
}

// Redirects and the like are no answers; without ports, only what follows in fragments is one.
bool may_answer(const HostPacket& packet) noexcept {
    if (packet.later_fragment || !packet.quoted.empty())
        return true;
    if (packet.proto == IPPROTO_ICMP)
        return packet.icmp_type == ICMP_ECHOREPLY;
    if (packet.proto == IPPROTO_ICMPV6)
        return packet.icmp_type == ICMP6_ECHO_REPLY;
    const bool has_ports = packet.proto == IPPROTO_TCP || packet.proto == IPPROTO_UDP;
    return !has_ports || packet.source_port != 0 || packet.destination_port != 0;
}

std::chrono::minutes lifetime_of(const HostPacket& packet) noexcept {
    if (packet.proto == IPPROTO_TCP)
        return (packet.tcp_flags & (kTcpFin | kTcpRst)) != 0 ? kClosedLifetime : kTcpLifetime;
    return packet.proto == IPPROTO_ICMP || packet.proto == IPPROTO_ICMPV6 ? kIcmpLifetime
                                                                          : kUdpLifetime;
}

size_t place_of(PortId port) noexcept {
    return std::min<size_t>(port, kMaxPorts);
}

}  // namespace

bool Guard::Flow::same(const Flow& other) const noexcept {
    return place == other.place && proto == other.proto && local_port == other.local_port &&
           remote_port == other.remote_port && local == other.local && remote == other.remote;
}

Guard::Guard(uint64_t seed)
    : seed_{seed},
      flows_(kNbFlows),
      sources_(kNbSources),
      groups_(kMaxPorts + 1, TokenBucket{kPerPort, kPerPort}),
      strangers_{groups_} {}

// FNV-1a over what nobody outside knows, and the bits mixed at the end.
uint64_t Guard::hash(const void* bytes, size_t len) const noexcept {
    uint64_t value = seed_;
    for (const uint8_t byte : std::span{static_cast<const uint8_t*>(bytes), len})
        value = (value ^ byte) * 0x100000001b3;
    value ^= value >> 32;
    value *= seed_ | 1;
    return value ^ value >> 29;
}

// Addresses that share a place begin anew each time they take turns.
bool Guard::take_of(const IpAddress& source, Time now) noexcept {
    const uint64_t owner = hash(source.bytes.data(), source.bytes.size());
    Source& place = sources_[owner % kNbSources];
    if (place.owner != owner)
        place = {.owner = owner};
    return place.bucket.take(now);
}

Verdict Guard::judge(PortId port, From from, const HostPacket& packet, Time now) noexcept {
    const size_t place = place_of(port);
    if (from == From::internet) {
        if (!packet.to_group && packet.is_ip() && is_invited(port, packet, now))
            return kSound;
        if (!is_needed(packet))
            return Drop::host_guarded;
        return strangers_[place].take(now) ? kSound : Drop::host_flood;
    }
    if (packet.to_group || !packet.is_ip())
        return groups_[place].take(now) ? kSound : Drop::host_flood;
    // The stream of a connection is limited by what its ends take.
    if (packet.proto == IPPROTO_TCP && (packet.tcp_flags & kTcpAck) != 0)
        return kSound;
    return take_of(packet.source, now) ? kSound : Drop::host_flood;
}

// True for an answer to what the host sent, or an error about it.
bool Guard::is_invited(PortId port, const HostPacket& packet, Time now) noexcept {
    if (!may_answer(packet))
        return false;
    HostPacket answer = packet;
    if (!packet.quoted.empty()) {
        const auto sent = parse_quoted_ip(packet.quoted);
        if (!sent || sent->source != packet.destination)
            return false;
        answer = *sent;
        std::swap(answer.source, answer.destination);
        std::swap(answer.source_port, answer.destination_port);
    }
    Flow* const flow = find({.local = answer.destination,
                             .remote = answer.source,
                             .local_port = answer.destination_port,
                             .remote_port = answer.source_port,
                             .place = static_cast<uint16_t>(place_of(port) + 1),
                             .proto = answer.proto},
                            now);
    if (flow == nullptr)
        return false;
    if (packet.quoted.empty())
        flow->expires = std::max(flow->expires, now + std::min(kUdpLifetime, lifetime_of(packet)));
    return true;
}

void Guard::sent(PortId port, const HostPacket& packet, Time now) noexcept {
    if (!packet.is_ip() || packet.to_group)
        return;
    Flow flow{.local = packet.source,
              .remote = packet.destination,
              .local_port = packet.source_port,
              .remote_port = packet.destination_port,
              .place = static_cast<uint16_t>(place_of(port) + 1),
              .proto = packet.proto};
    enter(flow, lifetime_of(packet), now);
    // Answers may come in fragments, of which only the first has ports.
    flow.local_port = flow.remote_port = 0;
    enter(flow, lifetime_of(packet), now);
}

Guard::Flow* Guard::find(const Flow& flow, Time now) noexcept {
    std::array<uint8_t, 40> key{};
    std::copy_n(flow.local.bytes.data(), 16, key.data());
    std::copy_n(flow.remote.bytes.data(), 16, key.data() + 16);
    std::memcpy(&key[32], &flow.local_port, 2);
    std::memcpy(&key[34], &flow.remote_port, 2);
    std::memcpy(&key[36], &flow.place, 2);
    key[38] = flow.proto;
    const size_t set = hash(key.data(), key.size()) % (kNbFlows / kWays) * kWays;
    Flow* oldest = &flows_[set];
    for (Flow& each : std::span{flows_}.subspan(set, kWays)) {
        if (each.expires > now && each.same(flow))
            return &each;
        if (each.expires < oldest->expires)
            oldest = &each;
    }
    victim_ = oldest;
    return nullptr;
}

// In place of a flow that is over, else of the one that would be over first.
void Guard::enter(Flow flow, std::chrono::seconds lifetime, Time now) noexcept {
    Flow* slot = find(flow, now);
    if (slot == nullptr) {
        slot = victim_;
        *slot = flow;
    }
    slot->expires = now + lifetime;
}

}  // namespace meshgate

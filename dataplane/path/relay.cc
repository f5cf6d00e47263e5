// SPDX-License-Identifier: Apache-2.0

// In:    transport data of others, data at the message, with the link that leads it on. Nothing of
//        it can be read here, and nothing is answered: one datagram in, at most one out.
// Out:   whole frames with the link's headers; true when some exceed its MTU and are to be cut: an
//        IPv6 packet of up to 1280 bytes has to get through (RFC 8200, section 5). Hop limit
//        (lowered), DSCP and ECN are carried over: loops die, congestion is signalled end to end.
// Drops: no_endpoint (the link is gone), ttl_expired, too_big, no_headroom.

#include <algorithm>

#include "dataplane/packet/verdict.h"
#include "dataplane/path/stages.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/outer.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

// What is kept of the outer headers, which the new ones overwrite.
struct Carried {
    uint8_t hop_limit = 0;
    uint8_t tos = 0;
    // Of the UDP datagram, and the sum over what of the headers goes into it and changes: addresses
    // and ports. 0: it had none.
    uint16_t checksum = 0;
    uint64_t sum = 0;
};

// Not reduced, see kSumModulus.
uint64_t sum_words(const uint8_t* from, size_t nb_words) noexcept {
    uint64_t sum = 0;
    for (size_t i = 0; i < nb_words; ++i) {
        uint32_t word = 0;
        std::memcpy(&word, from + i * sizeof word, sizeof word);
        sum += word;
    }
    return sum;
}

uint64_t sum_addresses_and_ports(const uint8_t* l3, const uint8_t* udp, bool v6) noexcept {
    const uint64_t addresses = v6 ? sum_words(l3 + offsetof(rte_ipv6_hdr, src_addr), 8)
                                  : sum_words(l3 + offsetof(rte_ipv4_hdr, src_addr), 2);
    return addresses + sum_words(udp, 1);
}

Carried carried_from(rte_mbuf* mbuf) noexcept {
    const uint8_t* l3 = outer_l3(mbuf);
    const bool v6 = (*l3 >> 4) == 6;
    Carried carried;
    carried.hop_limit = v6 ? reinterpret_cast<const rte_ipv6_hdr*>(l3)->hop_limits
                           : reinterpret_cast<const rte_ipv4_hdr*>(l3)->time_to_live;
    carried.tos = meta_of(mbuf).outer_tos;
    const uint8_t* udp = header_at<uint8_t>(mbuf) - kUdpLen;
    carried.checksum = reinterpret_cast<const rte_udp_hdr*>(udp)->dgram_cksum;
    if (carried.checksum != 0)
        carried.sum = sum_addresses_and_ports(l3, udp, v6);
    return carried;
}

void rewrite_ipv4(uint8_t* l3, uint16_t message_len, const Carried& carried) noexcept {
    fill_outer_ipv4(l3, message_len, carried.tos);
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(l3);
    const uint16_t before_be = rte_cpu_to_be_16(static_cast<uint16_t>(ip->time_to_live << 8));
    ip->time_to_live = carried.hop_limit - 1;
    ip->hdr_checksum =
        adjust_checksum(ip->hdr_checksum, before_be,
                        rte_cpu_to_be_16(static_cast<uint16_t>(ip->time_to_live << 8)));
}

// RFC 1624 over addresses and ports at once: what is wrong with the datagram stays wrong, and its
// receiver sees it. Never 0, which would say that there is none (RFC 768).
uint16_t move_checksum(const Carried& carried, uint64_t sum_after) noexcept {
    uint64_t sum = static_cast<uint16_t>(~carried.checksum);
    sum += kSumModulus - carried.sum % kSumModulus;
    sum += sum_after;
    return static_cast<uint16_t>(~(sum % kSumModulus));
}

void rewrite_ipv6(uint8_t* l3, uint16_t message_len, const Carried& carried) noexcept {
    fill_outer_ipv6(l3, message_len, carried.tos);
    reinterpret_cast<rte_ipv6_hdr*>(l3)->hop_limits = carried.hop_limit - 1;
}

Verdict rewrite(Worker& worker, rte_mbuf* mbuf, const Link& link) noexcept {
    const Carried carried = carried_from(mbuf);
    if (carried.hop_limit <= 1)
        return Drop::ttl_expired;
    const uint16_t message_len = mbuf->data_len;
    if (message_len > std::max(link.mtu_bytes, kIpv6MinMtu) + kMinTransportLen)
        return Drop::too_big;
    if (!prepend(mbuf, link.header_len))
        return Drop::no_headroom;
    auto* frame = header_at<uint8_t>(mbuf);
    copy_header(frame, link);
    mbuf->ol_flags = 0;
    uint8_t* l3 = frame + link.ip_offset;
    if (link.outer_ipv6)
        rewrite_ipv6(l3, message_len, carried);
    else
        rewrite_ipv4(l3, message_len, carried);
    if (carried.checksum == 0) {
        // No port makes the sum of what it sends in pieces.
        const bool offload = worker.shared.ports[link.port]->traits().tx_udp_checksum;
        sum_outer_udp(mbuf, l3, link, offload && !is_too_long(link.mtu_bytes, message_len));
        return kSound;
    }
    uint8_t* udp = frame + link.header_len - kUdpLen;
    reinterpret_cast<rte_udp_hdr*>(udp)->dgram_cksum =
        move_checksum(carried, sum_addresses_and_ports(l3, udp, link.outer_ipv6));
    return kSound;
}

}  // namespace

bool relay_stage(Worker& worker, Batch& relayed) noexcept {
    bool any_too_long = false;
    relayed.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        const Link* link = meta.link;
        const uint16_t message_len = mbuf->data_len;
        const Verdict verdict = link == nullptr ? Drop::no_endpoint : rewrite(worker, mbuf, *link);
        if (!verdict.is_sound()) {
            worker.drop(mbuf, verdict.reason());
            return false;
        }
        any_too_long = any_too_long || is_too_long(link->mtu_bytes, message_len);
        meta.mtu_bytes = link->mtu_bytes;
        meta.departure_port = link->port;
        LinkCounters& counters = worker.parts.links[meta.link_id];
        counters.relayed_packets.add(1);
        counters.relayed_bytes.add(message_len);
        return true;
    });
    return any_too_long;
}

}  // namespace meshgate

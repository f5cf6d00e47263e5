// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/plain_frames.h"

namespace meshgate {

PlainFrames::PlainFrames(uint16_t min_burst, const Snapshot& snapshot, const FrameFilter& filter,
                         const Batch& batch, Judge judge) noexcept
    : filter_{filter} {
    HeaderRules rules;
    if (batch.size() < min_burst || !fill_rules(rules, snapshot))
        return;
    if (filter.view.vlan != kNoVlan)
        l3_offset_ += kVlanLen;
    for (unsigned begin = 0; begin < batch.size(); begin += kHeaderLanes) {
        HeaderGroup group;
        for (unsigned lane = 0; lane < kHeaderLanes; ++lane) {
            group.l3[lane] = kNoHeader;
            if (begin + lane < batch.size())
                add(group, lane, batch[static_cast<uint16_t>(begin + lane)]);
        }
        const HeaderVerdict verdict = judge(&group, &rules);
        plain_ |= uint64_t{verdict.plain} << begin;
        partial_ |= uint64_t{verdict.partial} << begin;
    }
}

// False where they have no room.
bool PlainFrames::fill_rules(HeaderRules& rules, const Snapshot& snapshot) const noexcept {
    rules.nb_own_addresses = 0;
    for (const IpAddress& address : filter_.view.addresses) {
        if (!address.is_v4())
            continue;
        if (rules.nb_own_addresses == kMaxOwnAddresses)
            return false;
        rules.own_addresses_be[rules.nb_own_addresses++] = address.v4_be();
    }
    rules.nb_listen_ports = 0;
    for (const uint16_t port : snapshot.listen_ports) {
        if (rules.nb_listen_ports == kMaxListenPorts)
            return false;
        rules.listen_ports_be[rules.nb_listen_ports++] = rte_cpu_to_be_16(port);
    }
    // A port with a group's address would take none of its own frames for its own.
    return (filter_.mac & 1) == 0;
}

inline void PlainFrames::add(HeaderGroup& group, unsigned lane, rte_mbuf* mbuf) const noexcept {
    // Read whole, whatever the packet's length; so much of its buffer there is.
    const uint32_t end = mbuf->data_off + uint32_t{l3_offset_} + kHeaderBytes;
    if (mbuf->nb_segs != 1 || mbuf->data_len < l3_offset_ + kIpv4Len || end > mbuf->buf_len ||
        (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0)
        return;
    const auto* frame = header_at<const uint8_t>(mbuf);
    const Frame ethernet{.ether = reinterpret_cast<const rte_ether_hdr*>(frame)};
    uint16_t type_be = 0;
    std::memcpy(&type_be, frame + l3_offset_ - sizeof type_be, sizeof type_be);
    if (!ethernet.is_for(filter_.mac) || type_be != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4))
        return;
    if (l3_offset_ != kEtherLen) {
        const auto* tag = reinterpret_cast<const rte_vlan_hdr*>(frame + kEtherLen);
        if (ethernet.ether->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN) ||
            (rte_be_to_cpu_16(tag->vlan_tci) & 0xfff) != filter_.view.vlan)
            return;
    }
    group.l3[lane] = frame + l3_offset_;
    group.available[lane] = mbuf->data_len - uint32_t{l3_offset_};
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0

// In:    frames of a LAN port, data at the Ethernet header.
// Out:   IP packets with sound headers and whole checksums, data at the IP header, nothing behind.
// Punts: ARP, neighbour discovery, Babel.
// Host:  frames to groups and to link-local addresses, where the port has a twin; copies of ARP and
//        neighbour discovery.
// Drops: what contradicts itself, frames to groups, sources that cannot be.

#include <algorithm>

#include "dataplane/path/host.h"
#include "dataplane/path/punt.h"
#include "dataplane/path/punt_mesh.h"
#include "dataplane/path/scope.h"
#include "dataplane/path/stages.h"
#include "dataplane/ports/port.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/partial_checksum.h"
#include "dataplane/wire/plain_frames.h"

namespace meshgate {

namespace {

// What may not leave the link because of its source may be for us all the same.
Verdict check_scope(const PortView& view, const IpAddress& source,
                    const IpAddress& destination) noexcept {
    const Verdict verdict = check_source_scope(source);
    const bool for_us = std::ranges::count(view.addresses, destination) != 0;
    return verdict == Drop::link_local && for_us ? kSound : verdict;
}

// Frames to groups are not routed; neighbour discovery was taken out before. What other
// destinations may be is for the route stage to say.
Verdict check_addresses_v4(const PortView& view, const rte_ipv4_hdr& ip, Frame frame) noexcept {
    if (frame.is_for_group())
        return ip.dst_addr == UINT32_MAX ? Drop::broadcast : Drop::multicast;
    if (is_ours_v4(view, ip.src_addr))
        return Drop::martian_source;
    if ((kFirstOctets[ip.src_addr & 0xff] & kMaybeSpecialV4) == 0)
        return kSound;
    return check_scope(view, IpAddress::v4(ip.src_addr), IpAddress::v4(ip.dst_addr));
}

Verdict check_addresses_v6(const PortView& view, const rte_ipv6_hdr& ip, Frame frame) noexcept {
    if (frame.is_for_group())
        return Drop::multicast;
    if (is_ours_v6(view, ip.src_addr))
        return Drop::martian_source;
    if ((kFirstOctets[ip.src_addr[0]] & kMaybeSpecialV6) == 0)
        return kSound;
    return check_scope(view, IpAddress::v6(ip.src_addr), IpAddress::v6(ip.dst_addr));
}

Verdict check_addresses(const PortView& view, Frame frame) noexcept {
    return frame.ether_type == RTE_ETHER_TYPE_IPV4
               ? check_addresses_v4(view, frame.l3<rte_ipv4_hdr>(), frame)
               : check_addresses_v6(view, frame.l3<rte_ipv6_hdr>(), frame);
}

// True, and control or the kernel has it, for what routers and neighbours of the LAN say to us.
bool takes_for_control(Worker& worker, rte_mbuf* mbuf, const PortView& view, Frame frame) noexcept {
    if (resolves_neighbors(mbuf, frame)) {
        copy_to_host(worker, mbuf, frame, view);
        punt_resolution(worker, mbuf, frame);
        return true;
    }
    if (frame.ether_type != RTE_ETHER_TYPE_IPV6)
        return false;
    const uint8_t* destination = frame.l3<rte_ipv6_hdr>().dst_addr;
    const bool link_local = is_link_local_v6(destination);
    if ((destination[0] == 0xff || link_local) && takes_babel_in_clear(worker, mbuf, view, frame))
        return true;
    // The kernel may have link-local addresses of its own.
    if (!link_local || frame.is_for_group() ||
        !worker.shared.host.has_twin(meta_of(mbuf).arrival_port))
        return false;
    give_frame_to_host(worker, mbuf, frame);
    return true;
}

void give_leases_to_host(Worker& worker, const FrameFilter& filter, PortId port,
                         Batch& batch) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        meta_of(mbuf).arrival_port = port;
        Frame frame;
        return !parse_ethernet(frame, mbuf, filter).is_sound() ||
               !host_takes_lease(worker, mbuf, frame);
    });
}

// An IPv4 packet that nothing is wrong with.
void take_plain(rte_mbuf* mbuf, uint16_t l3_offset) noexcept {
    PacketMeta& meta = meta_of(mbuf);
    meta.from_peer = kNoPeer;
    meta.source_mac = Frame{.ether = header_at<rte_ether_hdr>(mbuf)}.source();
    narrow(mbuf, l3_offset,
           rte_be_to_cpu_16(header_at<rte_ipv4_hdr>(mbuf, l3_offset)->total_length));
}

}  // namespace

void classify_overlay_stage(Worker& worker, const Snapshot& snapshot, PortId port,
                            Batch& batch) noexcept {
    const FrameFilter filter{snapshot.ports[port]};
    const bool finish_checksums = worker.shared.ports[port]->traits().finish_partial_checksums;
    if (filter.view.addresses_from_host) [[unlikely]]
        give_leases_to_host(worker, filter, port, batch);
    const PlainFrames plain{worker.parts.min_vector_burst, snapshot, filter, batch,
                            judge_overlay_avx512};
    unsigned next = 0;
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        meta.arrival_port = port;
        const unsigned i = next++;
        if (plain.is_plain(i)) {
            take_plain(mbuf, plain.l3_offset());
            if (finish_checksums && plain.is_partial(i))
                finish_partial_checksum(mbuf);
            return true;
        }
        Frame frame;
        Verdict verdict = check_frame(frame, mbuf, filter);
        if (verdict.is_sound()) {
            if (takes_for_control(worker, mbuf, filter.view, frame))
                return false;
            verdict = check_addresses(filter.view, frame);
        }
        if (!verdict.is_sound()) {
            if (!host_takes_frame(worker, mbuf, frame, verdict.reason()))
                worker.drop(mbuf, verdict.reason());
            return false;
        }
        meta.from_peer = kNoPeer;
        meta.source_mac = frame.source();
        narrow(mbuf, frame.l3_offset, static_cast<uint16_t>(mbuf->data_len - frame.l3_offset));
        if (finish_checksums)
            finish_partial_checksum(mbuf);
        return true;
    });
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0

// In:    frames of a LAN port, data at the Ethernet header.
// Out:   IP packets with sound headers and whole checksums, data at the IP header, nothing behind.
// Punts: ARP, neighbour discovery.
// Drops: what contradicts itself, multicast and broadcast, sources that cannot be.

#include "dataplane/frame.h"
#include "dataplane/partial_checksum.h"
#include "dataplane/port.h"
#include "dataplane/stages.h"
#include "dataplane/wire.h"

namespace meshgate {

namespace {

// Multicast and broadcast are not routed; neighbour discovery was taken out before.
Drop check_inner_destination(const PortView& view, const IpAddress& source,
                             const IpAddress& destination, const Frame& frame) noexcept {
    if (destination.is_multicast() || frame.destination.is_multicast())
        return Drop::multicast;
    if (destination.is_loopback() || destination.is_unspecified() || source.is_unspecified())
        return Drop::martian;
    return is_ours(view, source) ? Drop::martian : kSound;
}

bool accept_inner(Worker& worker, const PortView& view, const PortTraits& traits, rte_mbuf* mbuf,
                  const Frame& frame) noexcept {
    const bool v4 = frame.ether_type == RTE_ETHER_TYPE_IPV4;
    rte_pktmbuf_adj(mbuf, frame.l3_offset);
    Drop wrong = v4 ? check_ipv4(mbuf, 0) : kSound;
    if (wrong == kSound) {
        const IpAddress source = v4 ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->src_addr)
                                    : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->src_addr);
        const IpAddress destination = v4 ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->dst_addr)
                                         : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->dst_addr);
        wrong = check_inner_destination(view, source, destination, frame);
    }
    if (wrong != kSound) {
        worker.drop(mbuf, wrong);
        return false;
    }
    if (traits.finish_partial_checksums)
        finish_partial_checksum(mbuf);
    PacketMeta& meta = meta_of(mbuf);
    meta.from_peer = kNoPeer;
    meta.info.source_mac = frame.source;
    return true;
}

}  // namespace

void classify_overlay_stage(Worker& worker, const Snapshot& snapshot, PortId port,
                            Batch& batch) noexcept {
    const PortView& view = snapshot.ports[port];
    const PortTraits& traits = worker.shared.ports[port]->traits();
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        Frame frame;
        meta_of(mbuf).arrival_port = port;
        return accept_frame(worker, mbuf, view, frame) &&
               accept_inner(worker, view, traits, mbuf, frame);
    });
}

}  // namespace meshgate

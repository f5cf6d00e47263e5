// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace meshgate {

// Where a packet is.
enum class Stage : uint8_t {
    rx,  // of workers, in the order of pipeline.cc
    classify,
    reassemble,
    index,
    relay,
    open,
    replay,
    decap,
    source_check,
    route,
    path,
    mss_clamp,
    fragment,
    seal,
    encap,
    cut_outer,
    icmp_error,
    l2,
    punt,
    tx,
    control,  // what the control thread does with packets it was given, or makes
    host,     // what the host thread does with packets from and to the kernel
    nb_stages,
};
constexpr size_t kNbStages = static_cast<size_t>(Stage::nb_stages);

// Why a packet died. One counter per reason; the name is the metric label (dots and capitals never
// appear). The order is the order of `meshgate show drops`.
enum class Drop : uint8_t {
    // rx, classify
    too_short,    // the frame ends inside a header
    truncated,    // the IP length exceeds the frame, such as a cut super-packet
    foreign_mac,  // not addressed to this port
    wrong_vlan,
    unknown_ethertype,
    bad_ip_header,  // version, header length, total length
    bad_ip_checksum,
    martian_source,       // a group, loopback, unspecified or our own
    martian_destination,  // loopback or unspecified
    multicast,            // nobody here listens to that group
    broadcast,            // the limited broadcast, or that of a network of ours
    link_local,           // an end that means something on its own link only
    reserved,             // class E, IPv4-mapped and IPv4-compatible IPv6
    reassembled,          // a further piece of a datagram that is whole now; not an error
    fragment_bad,        // a piece of impossible place or length, or a first one without UDP header
    fragment_overlap,    // pieces that contradict each other (RFC 5722)
    fragment_timeout,    // the rest did not come
    fragment_limit,      // too many datagrams of a source, or pieces, or bytes waited for the rest
    fragment_flood,      // more fragments than a worker's share
    fragment_too_large,  // whole it would not fit a packet buffer
    not_for_us,          // underlay destination is not an address of ours, or not UDP
    not_wireguard,       // UDP, but not to the listen port
    bad_udp,             // length field, or no checksum over IPv6 (W44)
    bad_message,         // not a WireGuard type and length (W01)
    handshake_flood,     // more handshake messages than control can answer
    // index, open, replay, source check
    unknown_index,
    expired_key,
    bad_tag,
    replayed,
    keepalive,           // empty data packet: consumed, nothing to forward; not an error
    bad_inner,           // the plaintext is not an IP packet of plausible length (W40)
    source_not_allowed,  // the inner source does not belong to the sending peer
    // route and onwards
    no_route,
    blackhole,
    ttl_expired,
    too_big,              // larger than the way onwards allows and not to be fragmented
    no_session,           // no session and the waiting room is full
    no_endpoint,          // the peer has no known endpoint
    sent_back,            // by a one-arm port, to the router that it came from
    unresolved_neighbor,  // next hop does not answer, or its waiting room is full
    local_no_listener,    // to an address of ours, but nothing answers there
    mesh_flood,           // more Babel or mesh control messages than one sender's share
    // control
    echo_flood,  // more echo requests to the box than it answers
    bad_echo,    // an echo request that contradicts itself
    // rings and tx
    no_mbuf,      // the pool is empty
    no_headroom,  // no room for headers in front of the packet
    no_tailroom,  // no room for padding and tag behind it
    batch_full,   // more fragments than a burst has room for
    handover_full,
    punt_full,
    // host
    host_full,     // the ring to or from the kernel is
    host_flood,    // more than the host takes of a source, of groups, or of strangers
    host_guarded,  // from a wan port, and no answer to anything the host sent
    host_refused,  // the kernel does not take it: the twin is down
    port_unbound,  // the port has no interface: it is gone, or not there yet
    tx_full,
    nb_reasons,
};
constexpr size_t kNbDrops = static_cast<size_t>(Drop::nb_reasons);

// Why a packet goes up to control.
enum class Punt : uint8_t {
    handshake,            // initiation, response, cookie reply; bytes start at the message
    arp,                  // bytes start at the Ethernet header
    neighbor_discovery,   // bytes start at the Ethernet header
    icmp_to_us,           // echo request to an address of ours; bytes start at the IP header
    underlay_icmp,        // ICMP error on a wan port; bytes start at the IP header
    no_session,           // inner packet waiting for a session; bytes start at the inner IP header
    unresolved_neighbor,  // inner packet waiting for its next hop; bytes start at the IP header
    mesh,  // Babel, or a mesh control message for us; bytes start at the inner IP header. `peer` is
           // kNoPeer for Babel that came in clear on a LAN port
    nb_reasons,
};
constexpr size_t kNbPunts = static_cast<size_t>(Punt::nb_reasons);

// Metric labels.
const char* to_string(Drop reason) noexcept;  // "bad_tag"
const char* to_string(Stage stage) noexcept;  // "open"
Stage usual_stage(Drop reason) noexcept;      // where most packets meet it
const char* help_for(Drop reason) noexcept;   // one sentence for the operator
const char* to_string(Punt reason) noexcept;

}  // namespace meshgate

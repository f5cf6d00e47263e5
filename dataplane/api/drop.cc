// SPDX-License-Identifier: Apache-2.0
#include "dataplane/api/drop.h"

#include <array>

#include "base/names.h"

namespace meshgate {

namespace {

struct DropRow {
    Drop reason;
    const char* name;
    Stage stage;
    const char* help;
};

constexpr std::array<DropRow, kNbDrops> kDrops{{
    {Drop::too_short, "too_short", Stage::classify, "The frame ends inside a header."},
    {Drop::truncated, "truncated", Stage::classify,
     "The IP length exceeds the frame: something upstream cut it, or segmentation offload is on."},
    {Drop::foreign_mac, "foreign_mac", Stage::classify,
     "The frame is addressed to another MAC address than the port's."},
    {Drop::wrong_vlan, "wrong_vlan", Stage::classify,
     "The frame carries another VLAN tag than the port is configured for, or none."},
    {Drop::unknown_ethertype, "unknown_ethertype", Stage::classify,
     "The frame is neither IPv4, IPv6 nor ARP."},
    {Drop::bad_ip_header, "bad_ip_header", Stage::classify,
     "The IP version, header length or total length makes no sense."},
    {Drop::bad_ip_checksum, "bad_ip_checksum", Stage::classify,
     "The IPv4 header checksum is wrong."},
    {Drop::martian_source, "martian_source", Stage::classify,
     "The source is a group, loopback, unspecified or an address of ours."},
    {Drop::martian_destination, "martian_destination", Stage::route,
     "The destination is loopback or unspecified."},
    {Drop::multicast, "multicast", Stage::classify,
     "The destination is a multicast group that nobody here listens to."},
    {Drop::broadcast, "broadcast", Stage::route,
     "The destination is all hosts of a network, which no router carries on."},
    {Drop::link_local, "link_local", Stage::route,
     "A link-local address (169.254.0.0/16, fe80::/10) is valid on its own link only."},
    {Drop::reserved, "reserved", Stage::route,
     "An address is of a reserved block (240.0.0.0/4, ::/96, ::ffff:0:0/96)."},
    {Drop::reassembled, "reassembled", Stage::reassemble,
     "A further fragment of a datagram that became whole: as intended, this is no error."},
    {Drop::fragment_bad, "fragment_bad", Stage::reassemble,
     "A fragment of impossible place or length, or a first one that ends inside the UDP header."},
    {Drop::fragment_overlap, "fragment_overlap", Stage::reassemble,
     "A fragment came twice, or contradicts others of its datagram, which dies with it."},
    {Drop::fragment_timeout, "fragment_timeout", Stage::reassemble,
     "The rest of a fragmented datagram did not come within 5 seconds."},
    {Drop::fragment_limit, "fragment_limit", Stage::reassemble,
     "Too many incomplete datagrams of one source, or in all: the oldest was given up."},
    {Drop::fragment_flood, "fragment_flood", Stage::classify,
     "More fragments arrive than the share of time that they get."},
    {Drop::fragment_too_large, "fragment_too_large", Stage::reassemble,
     "The whole datagram would not fit a packet buffer."},
    {Drop::not_for_us, "not_for_us", Stage::classify,
     "The underlay destination is not an address of ours, or the packet is not UDP."},
    {Drop::not_wireguard, "not_wireguard", Stage::classify,
     "A UDP datagram to another port than the listen port."},
    {Drop::bad_udp, "bad_udp", Stage::classify,
     "The UDP length is wrong, or the checksum is missing where IPv6 demands one."},
    {Drop::bad_message, "bad_message", Stage::classify,
     "The datagram has not the type and length of any WireGuard message."},
    {Drop::handshake_flood, "handshake_flood", Stage::classify,
     "More handshake messages arrive than can be answered, and this source had its share."},
    {Drop::unknown_index, "unknown_index", Stage::index,
     "No session has this receiver index; usual for a moment after a restart or a rekey."},
    {Drop::expired_key, "expired_key", Stage::index, "The session is older than 180 seconds."},
    {Drop::bad_tag, "bad_tag", Stage::open,
     "The packet did not authenticate: it was corrupted or forged."},
    {Drop::replayed, "replayed", Stage::replay,
     "The counter was seen before or lies too far behind the greatest one."},
    {Drop::keepalive, "keepalive", Stage::decap,
     "A keepalive: consumed as intended, this is no error."},
    {Drop::bad_inner, "bad_inner", Stage::decap,
     "The decrypted content is not an IP packet of plausible length."},
    {Drop::source_not_allowed, "source_not_allowed", Stage::source_check,
     "The inner source address is not among the allowed IPs of the peer that sent it."},
    {Drop::no_route, "no_route", Stage::route, "No route leads to the destination."},
    {Drop::blackhole, "blackhole", Stage::route, "The route to the destination refuses packets."},
    {Drop::ttl_expired, "ttl_expired", Stage::route, "The TTL or hop limit ran out here."},
    {Drop::too_big, "too_big", Stage::fragment,
     "The packet exceeds the MTU onwards and may not be fragmented; the sender was told."},
    {Drop::no_session, "no_session", Stage::seal,
     "The peer has no session yet and enough packets wait for one already."},
    {Drop::no_endpoint, "no_endpoint", Stage::path,
     "The peer's endpoint is unknown, or no wan port leads to it: it has to speak first, or needs "
     "one in the configuration."},
    {Drop::sent_back, "sent_back", Stage::l2,
     "The router beside a one-arm port sent it here, and our own routes lead it back there."},
    {Drop::unresolved_neighbor, "unresolved_neighbor", Stage::l2,
     "The next hop does not answer ARP or neighbour discovery, or enough packets wait for it."},
    {Drop::local_no_listener, "local_no_listener", Stage::route,
     "The packet is for an address of ours where nothing answers it."},
    {Drop::mesh_flood, "mesh_flood", Stage::punt,
     "A peer or LAN port sends more Babel or mesh control messages than its share."},
    {Drop::echo_flood, "echo_flood", Stage::control,
     "More echo requests to this box arrive than it answers."},
    {Drop::bad_echo, "bad_echo", Stage::control,
     "An echo request to this box is too short or its checksum is wrong."},
    {Drop::no_mbuf, "no_mbuf", Stage::fragment, "The packet buffer pool is empty."},
    {Drop::no_headroom, "no_headroom", Stage::encap,
     "The buffer has no room in front of the packet for the headers to be added."},
    {Drop::no_tailroom, "no_tailroom", Stage::seal,
     "The buffer has no room behind the packet for padding and the authentication tag."},
    {Drop::batch_full, "batch_full", Stage::fragment,
     "Fragmenting the packets of one burst made more pieces than a burst may have."},
    {Drop::handover_full, "handover_full", Stage::index,
     "The ring to the worker that owns the packet is full: that worker is overloaded."},
    {Drop::punt_full, "punt_full", Stage::punt,
     "The ring to the control thread is full: more packets for us than it can take."},
    {Drop::host_full, "host_full", Stage::host,
     "The ring between workers and the machine's kernel is full."},
    {Drop::host_flood, "host_flood", Stage::host,
     "More packets for the machine's kernel than it takes from one source, to groups, or from "
     "strangers."},
    {Drop::host_guarded, "host_guarded", Stage::host,
     "For the machine's kernel, from a wan port, and no answer to what it sent: as intended."},
    {Drop::host_refused, "host_refused", Stage::host,
     "The machine's kernel does not take it: the twin is down (`ip link`)."},
    {Drop::port_unbound, "port_unbound", Stage::tx,
     "The interface of the port it was to leave by is gone, or not there yet."},
    {Drop::tx_full, "tx_full", Stage::tx, "The port's transmit queue is full."},
}};

constexpr bool rows_in_order() {
    for (size_t i = 0; i < kNbDrops; ++i) {
        if (kDrops[i].reason != static_cast<Drop>(i) || kDrops[i].name == nullptr)
            return false;
    }
    return true;
}
static_assert(rows_in_order(), "one row per reason, in the order of the enumeration");

constexpr auto kPunts =
    names_of<kNbPunts>({"handshake", "arp", "neighbor_discovery", "icmp_to_us", "underlay_icmp",
                        "no_session", "unresolved_neighbor", "mesh"});

constexpr auto kStages = names_of<kNbStages>(
    {"rx",       "classify", "reassemble",   "index",     "relay",      "open",
     "replay",   "decap",    "source_check", "route",     "path",       "mss_clamp",
     "fragment", "seal",     "encap",        "cut_outer", "icmp_error", "l2",
     "punt",     "tx",       "control",      "host"});

// What a value outside the enumeration prints, rather than memory behind the table.
constexpr const char* kUnknown = "unknown";

}  // namespace

const char* to_string(Drop reason) noexcept {
    const auto i = static_cast<size_t>(reason);
    return i < kDrops.size() ? kDrops[i].name : kUnknown;
}

Stage usual_stage(Drop reason) noexcept {
    const auto i = static_cast<size_t>(reason);
    return i < kDrops.size() ? kDrops[i].stage : Stage::nb_stages;
}

const char* help_for(Drop reason) noexcept {
    const auto i = static_cast<size_t>(reason);
    return i < kDrops.size() ? kDrops[i].help : kUnknown;
}

const char* to_string(Punt reason) noexcept {
    const auto i = static_cast<size_t>(reason);
    return i < kPunts.size() ? kPunts[i] : kUnknown;
}

const char* to_string(Stage stage) noexcept {
    const auto i = static_cast<size_t>(stage);
    return i < kStages.size() ? kStages[i] : kUnknown;
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#include "config/schema/keys.h"

#include <algorithm>

#include "config/schema/values.h"

namespace meshgate::config {
namespace {

// How a row reaches its member: of a section (kGroup is a struct) or of the elements of a list.
template <auto kGroup>
auto& last_element(Model& model) {
    auto& group = model.*kGroup;
    if constexpr (requires { group.back(); })
        return group.back();
    else if constexpr (requires { group.emplace(); })
        return group ? *group : group.emplace();
    else
        return group;
}

template <auto kGroup>
const auto& element(const Model& model, [[maybe_unused]] size_t index) {
    const auto& group = model.*kGroup;
    if constexpr (requires { group[index]; }) {
        return group[index];
    } else if constexpr (requires { group.value(); }) {
        static const typename std::decay_t<decltype(group)>::value_type kAbsent{};
        return group ? *group : kAbsent;
    } else {
        return group;
    }
}

template <auto kGroup>
constexpr std::string_view kGroupName;
template <>
constexpr std::string_view kGroupName<&Model::node> = "node";
template <>
constexpr std::string_view kGroupName<&Model::ports> = "ports";
template <>
constexpr std::string_view kGroupName<&Model::routes> = "routes";
template <>
constexpr std::string_view kGroupName<&Model::wireguard> = "wireguard";
template <>
constexpr std::string_view kGroupName<&Model::dataplane> = "dataplane";
template <>
constexpr std::string_view kGroupName<&Model::peers> = "peers";
template <>
constexpr std::string_view kGroupName<&Model::babel> = "babel";
template <>
constexpr std::string_view kGroupName<&Model::network> = "network";
template <>
constexpr std::string_view kGroupName<&Model::control> = "control";
template <>
constexpr std::string_view kGroupName<&Model::log> = "log";

template <auto kGroup, auto kMember, const auto& kType>
constexpr KeyRule key(std::string_view name, Count count, std::string_view fallback, Reload reload,
                      std::string_view text) {
    return KeyRule{
        kGroupName<kGroup>,
        name,
        count,
        fallback,
        reload,
        kType.words,
        [](const Input& in, Model& model) { kType.read(in, last_element<kGroup>(model).*kMember); },
        [](const Model& model, size_t index) {
            return kType.show(element<kGroup>(model, index).*kMember);
        },
        text};
}

void read_port_gateways(const Input& in, Model& model) {
    read_gateways(in, model.ports.back());
}

void read_addresses_of_port(const Input& in, Model& model) {
    read_port_addresses(in, model.ports.back());
}

std::string show_addresses_of_port(const Model& model, size_t index) {
    return show_port_addresses(model.ports[index]);
}

std::string show_port_gateways(const Model& model, size_t index) {
    return show_gateways(model.ports[index]);
}

void read_endpoint_of_peer(const Input& in, Model& model) {
    read_peer_endpoint(in, model.peers.back());
}

std::string show_endpoint_of_peer(const Model& model, size_t index) {
    return show_peer_endpoint(model.peers[index]);
}

// A route without `via` is a blackhole: nothing to store.
void read_route_blackhole(const Input& in, Model&) {
    read_true(in);
}

std::string show_route_blackhole(const Model& model, size_t index) {
    return model.routes[index].via ? "" : "true";
}

constexpr auto kRequired = Count::required;
constexpr auto kOptional = Count::optional;
constexpr auto kLive = Reload::live;
constexpr auto kRestart = Reload::restart;

constexpr GroupRule kGroupRules[] = {
    {"node", kRequired, Shape::section, nullptr, "Who this box is."},
    {"ports", kRequired, Shape::list, [](Model& model) { model.ports.emplace_back(); },
     "The network ports that the dataplane owns: 1 to 16, at least one of them `wan`. WireGuard "
     "datagrams travel over `wan` ports, the site's own networks are at `lan` ports."},
    {"routes", kOptional, Shape::list, [](Model& model) { model.routes.emplace_back(); },
     "Further networks behind this site. Each entry has either `via` or `blackhole`."},
    {"wireguard", kOptional, Shape::section, nullptr, "The WireGuard protocol."},
    {"dataplane", kOptional, Shape::section, nullptr,
     "Cores, memory and crypto of the packet side."},
    {"peers", kOptional, Shape::list, [](Model& model) { model.peers.emplace_back(); },
     "The WireGuard devices and sites that may connect. On a reload a peer is its public key: a "
     "new name keeps its session, a new key is a new peer."},
    {"babel", kOptional, Shape::list, [](Model& model) { model.babel.emplace_back(); },
     "Where the box speaks Babel (RFC 8966) with routers that are no Meshgate, such as babeld, "
     "BIRD and FRR. Each entry has either `port` or `peer`. Routes of the box file and the box's "
     "own networks come before routes learned here. Never accepted, whatever `accept` says: what "
     "is in another peer's `allowed_ips`, what the network file gives to another member or a "
     "client, addresses of the box, and node addresses."},
    {"network", kOptional, Shape::presence, nullptr,
     "The signed network that this box is a member of. Without this section the box is a plain "
     "WireGuard gateway. The network file itself is described below."},
    {"control", kOptional, Shape::section, nullptr, "Where the running daemon can be reached."},
    {"log", kOptional, Shape::section, nullptr, "What the daemon writes to standard error."},
};

constexpr KeyRule kKeyRules[] = {
    key<&Model::node, &Node::name, kNameType>(
        "name", kRequired, "", kLive, "The name of this box, in `status`, metrics and the log."),
    key<&Model::node, &Node::private_key_file, kKeyFileType>(
        "private_key_file", kRequired, "", kRestart,
        "The box's private key. A relative name is looked for beside the box file. The file must "
        "be a regular one that only its owner can read. Naming another file with the same key "
        "changes nothing."),
    key<&Model::node, &Node::interface, kInterfaceNameType>(
        "interface", kOptional, "meshgate", kRestart,
        "The kernel's interface into the network, by which the machine itself reaches the other "
        "sites. Made where a port has `host: true`."),

    key<&Model::ports, &Port::name, kNameType>(
        "name", kRequired, "", kRestart,
        "Unique among the ports; the label in metrics and `show`."),
    key<&Model::ports, &Port::enabled, kBooleanType>(
        "enabled", kOptional, "true", kLive,
        "`false`: the port stays written and checked, and is not opened: its addresses and "
        "networks are not the box's, and routes by way of it refuse packets. Changes live where "
        "the device is `af_packet`, `af_xdp` or `tap` and the port has no twin, else at the next "
        "start."),
    key<&Model::ports, &Port::device, kDeviceType>(
        "device", kRequired, "", kRestart,
        "What carries the packets: a network card taken from the kernel (`pci`), a kernel "
        "interface (`af_xdp`, `af_packet`), one that is made (`tap`), shared memory with another "
        "process (`memif`), or any virtual device of DPDK (`vdev`). Each device serves one port."),
    key<&Model::ports, &Port::role, kRoleType>(
        "role", kRequired, "", kRestart,
        "`wan`: the internet side. `lan`: the site's side. `[wan, lan]`, one arm: the box stands "
        "with the site's hosts on the network of the router that leads to the internet. "
        "docs/one-arm.md."),
    KeyRule{"ports", "addresses", kRequired, "", kLive, kPortAddressesType.words,
            read_addresses_of_port, show_addresses_of_port,
            "The box's own addresses on this port. Networks of different ports must not overlap. "
            "IPv6 link-local addresses are made by the port itself. `host`: those that the "
            "machine's kernel has on the twin of this port, as a DHCP client or router "
            "advertisements gave them, and its default routes as gateways; needs `host: true`. "
            "docs/twin.md."},
    KeyRule{"ports", "gateway", kOptional, "", kLive, kGatewaysType.words, read_port_gateways,
            show_port_gateways,
            "`wan` only: the next hop to the internet. An IPv6 gateway may be link-local."},
    key<&Model::ports, &Port::on_link, kBooleanType>(
        "on_link", kOptional, "false", kLive,
        "`wan` only: the gateway is on this port's wire although it is on none of its networks, as "
        "at hosters that give a single address: `198.51.100.5/32` behind `172.31.1.1`."),
    key<&Model::ports, &Port::vlan, kVlanType>(
        "vlan", kOptional, "", kRestart,
        "Send and accept frames with this 802.1Q tag only. Without it: untagged frames only."),
    key<&Model::ports, &Port::priority, kPriorityType>(
        "priority", kOptional, "0", kLive,
        "With `vlan`: the 802.1p priority of frames that are sent. Frames of any priority are "
        "accepted. Some providers want one."),
    key<&Model::ports, &Port::mtu_bytes, kMtuType>("mtu", kOptional, "1500", kRestart,
                                                   "The largest IP packet in bytes."),
    key<&Model::ports, &Port::mac, kMacType>("mac", kOptional, "", kRestart,
                                             "Without it: the device's own."),
    key<&Model::ports, &Port::host, kBooleanType>(
        "host", kOptional, "false", kRestart,
        "Give the machine's kernel a twin of this port: an interface with its name and MAC "
        "address, on which ssh, DHCP, DNS and all else of the machine work as on the card itself. "
        "The box puts the port's addresses on it. docs/twin.md."),
    key<&Model::ports, &Port::host_name, kInterfaceNameType>(
        "host_name", kOptional, "", kRestart,
        "The name of the twin. Without it: the port's, which then must have 15 characters at most "
        "and not be that of an interface that a port stands on."),
    key<&Model::ports, &Port::metered, kBooleanType>(
        "metered", kOptional, "false", kLive,
        "`wan` only: what this port carries costs money. The mesh uses its links after all others "
        "and probes them slowly."),
    key<&Model::ports, &Port::cost_bias, kCostBiasType>(
        "cost_bias", kOptional, "0", kLive,
        "`wan` only: added to the cost of every link of this port. The cost of a link without "
        "loss is 96 and what its delay adds; the path with the least sum is used."),
    key<&Model::ports, &Port::udp_checksum, kUdpChecksumType>(
        "udp_checksum", kOptional, "always", kLive,
        "`wan` only: whether the UDP datagrams that carry WireGuard over IPv4 have a checksum. A "
        "NAT64 throws away those that have none, so `never` is for links where every box and "
        "client is known to have no translator before it; what it saves is in "
        "docs/performance.md. Over IPv6 there always is one."),

    key<&Model::routes, &Route::prefix, kNetworkType>(
        "prefix", kRequired, "", kLive, "The destinations. Each prefix stands in one route."),
    key<&Model::routes, &Route::enabled, kBooleanType>(
        "enabled", kOptional, "true", kLive,
        "`false`: the route stays written and checked, and leads nowhere."),
    key<&Model::routes, &Route::via, kViaType>("via", kOptional, "", kLive,
                                               "The router on a `lan` network that leads there."),
    KeyRule{"routes", "blackhole", kOptional, "", kLive, "true", read_route_blackhole,
            show_route_blackhole,
            "Refuse packets to this prefix. More specific peers and routes inside it still work."},

    key<&Model::wireguard, &WireGuard::listen_port, kPortNumberType>(
        "listen_port", kOptional, "51820", kLive,
        "The UDP port of WireGuard, the same on all `wan` ports."),

    key<&Model::dataplane, &Dataplane::workers, kWorkersType>(
        "workers", kOptional, "1", kRestart,
        "How many worker threads move packets. They float over the cores of the process. Not "
        "together with `cores`."),
    key<&Model::dataplane, &Dataplane::cores, kCoresType>(
        "cores", kOptional, "", kRestart,
        "One worker on each of these cores, as `lscpu -e` counts them. Not together with "
        "`workers`."),
    key<&Model::dataplane, &Dataplane::idle, kIdleType>(
        "idle", kOptional, "adaptive", kRestart,
        "`adaptive`: workers sleep when no packets come. `busy`: they never do, for the least "
        "delay."),
    key<&Model::dataplane, &Dataplane::crypto, kCryptoType>(
        "crypto", kOptional, "auto", kRestart,
        "The engine for ChaCha20-Poly1305. `auto`: the fastest one that passes its self-test, and "
        "for small batches another one if that is faster there."),
    key<&Model::dataplane, &Dataplane::hugepages, kHugepagesType>(
        "hugepages", kOptional, "auto", kRestart,
        "`auto`: use hugepages if there are enough. `require`: do not start without. `never`: use "
        "ordinary memory."),
    key<&Model::dataplane, &Dataplane::memory_bytes, kMemoryType>(
        "memory", kOptional, "256MiB", kRestart, "Memory for packets and tables, taken at start."),
    key<&Model::dataplane, &Dataplane::max_peers, kMaxPeersType>(
        "max_peers", kOptional, "16384", kRestart, "Room for this many peers, set aside at start."),

    key<&Model::peers, &Peer::name, kNameType>(
        "name", kRequired, "", kLive, "Unique among the peers; the label in metrics and `show`."),
    key<&Model::peers, &Peer::enabled, kBooleanType>(
        "enabled", kOptional, "true", kLive,
        "`false`: the peer stays written and checked, and has no session and no routes."),
    key<&Model::peers, &Peer::public_key, kPublicKeyType>(
        "public_key", kRequired, "", kLive, "The peer's public key. Each peer has its own."),
    key<&Model::peers, &Peer::preshared_key_file, kKeyFileType>(
        "preshared_key_file", kOptional, "", kLive,
        "A further secret that both sides share, as `wg genpsk` writes it. Same rules as for "
        "`private_key_file`. A reload notices changed contents too."),
    key<&Model::peers, &Peer::allowed_ips, kNetworksType>(
        "allowed_ips", kRequired, "", kLive,
        "What this peer may send from, and what is sent to it. Must not overlap with another "
        "peer's, with the networks of `lan` ports, or with a route `via` a router. `0.0.0.0/0` and "
        "`::/0` mean everything that nothing else holds, and count as no overlap."),
    KeyRule{
        "peers", "endpoint", kOptional, "", kLive, kPeerEndpointType.words, read_endpoint_of_peer,
        show_endpoint_of_peer,
        "Where the peer can be reached first. Without it the box waits for the peer. IPv6 needs "
        "quotes. A name is looked up at the start and again each minute; its addresses are tried "
        "in turn, and a new one is taken once the peer does not answer at the old one."},
    key<&Model::peers, &Peer::persistent_keepalive_s, kKeepaliveType>(
        "persistent_keepalive", kOptional, "off", kLive,
        "Send something at least this often, so that a NAT in between stays open."),

    key<&Model::babel, &Babel::port, kNameType>(
        "port", kOptional, "", kLive,
        "A `lan` port, where Babel runs in clear. Neighbours there are routers of the site."),
    key<&Model::babel, &Babel::peer, kNameType>(
        "peer", kOptional, "", kLive,
        "One of `peers`, inside whose tunnel Babel runs. What it announces it may also send from."),
    key<&Model::babel, &Babel::accept, kNetworksOrNoneType>(
        "accept", kRequired, "", kLive,
        "Prefixes that these routers may announce, and any longer ones inside them. All others are "
        "refused, counted and logged. `0.0.0.0/0` and `::/0` accept everything of their family."),
    key<&Model::babel, &Babel::announce, kOptionalNetworksType>(
        "announce", kOptional, "", kLive,
        "Tell these routers only of prefixes inside these. Without it: of the networks of `lan` "
        "ports, of `routes`, of the `allowed_ips` of other peers, of the prefixes of members of "
        "the network, and of what is learned from other routers."),
    key<&Model::babel, &Babel::hello_ms, kHelloType>(
        "hello", kOptional, "4s", kLive,
        "Hello interval. A neighbour that goes silent is lost after three of them."),
    key<&Model::babel, &Babel::medium, kMediumType>(
        "medium", kOptional, "wired", kLive,
        "`wireless`: loss raises the cost, and split horizon is off."),
    key<&Model::babel, &Babel::cost_bias, kCostBiasType>(
        "cost_bias", kOptional, "0", kLive,
        "Added to the cost of every neighbour here, in both directions. Without loss the cost is "
        "96, and 256 if `wireless`."),
    key<&Model::babel, &Babel::key_file, kMacKeyFileType>(
        "key_file", kOptional, "", kLive,
        "Authenticate all packets with this key (RFC 8967), which all routers there share. Same "
        "rules as for `private_key_file`. A reload notices changed contents too."),
    key<&Model::babel, &Babel::key_algorithm, kMacAlgorithmType>(
        "key_algorithm", kOptional, "hmac-sha256", kLive,
        "What is computed with `key_file`; `blake2s` takes keys of 32 bytes at most."),

    key<&Model::network, &NetworkOptions::file, kNetworkFileType>(
        "file", kRequired, "", kRestart,
        "The network file; its signature stands beside it in FILE`.sig`. A relative name is looked "
        "for beside the box file."),
    key<&Model::network, &NetworkOptions::authority, kAuthorityType>(
        "authority", kRequired, "", kRestart,
        "The public key that the network file must be signed with, as `meshgate network keygen` "
        "prints it."),

    key<&Model::control, &Control::socket, kSocketType>(
        "socket", kOptional, "/run/meshgate/meshgate.sock", kRestart,
        "The unix socket that the command `meshgate` speaks to."),
    key<&Model::control, &Control::http, kHttpType>(
        "http", kOptional, "127.0.0.1:9586", kRestart,
        "Where `/metrics`, `/api/v1` and the web page are served, to be read only."),
    key<&Model::control, &Control::wg_socket, kWgSocketType>(
        "wg_socket", kOptional, "auto", kRestart,
        "The socket for `wg show`, which takes the interface's name from the file's. `auto`: "
        "`/var/run/wireguard/NAME.sock`, with the first 15 characters of `node.name`."),

    key<&Model::log, &Log::level, kLogLevelType>("level", kOptional, "info", kLive,
                                                 "The least severe messages that are written."),
    key<&Model::log, &Log::format, kLogFormatType>(
        "format", kOptional, "text", kLive, "`text` for people, `json` with one object per line."),
};

}  // namespace

std::span<const GroupRule> groups() noexcept {
    return kGroupRules;
}

std::span<const KeyRule> keys() noexcept {
    return kKeyRules;
}

std::span<const KeyRule> keys_of(std::string_view group) noexcept {
    return Schema<Model>{kGroupRules, kKeyRules, nullptr, ""}.keys_of(group);
}

}  // namespace meshgate::config

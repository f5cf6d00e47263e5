// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/keys.h"
#include "config/authority.h"

namespace meshgate::config {

// The box file as typed values: defaults filled in, every rule of validate.cc holds. Holds no
// secret.

struct Node {
    std::string name;
    std::string private_key_file;  // resolved against the folder of the box file
    PublicKey public_key;          // of the private key in that file
    // Of the kernel, into the network; there where a port has a twin.
    std::string interface = "meshgate";
    bool operator==(const Node&) const = default;
};

enum class DeviceKind : uint8_t { pci, af_xdp, af_packet, tap, memif, vdev };

struct Device {
    DeviceKind kind = DeviceKind::af_packet;
    std::string argument;  // PCI address, interface, socket path, raw vdev string
    bool operator==(const Device&) const = default;
};

// One arm: both on one network, beside the router that leads to the internet.
enum class Role : uint8_t { wan, lan, one_arm };
constexpr bool is_wan(Role role) noexcept {
    return role != Role::lan;
}
constexpr bool is_lan(Role role) noexcept {
    return role != Role::wan;
}

// Of the UDP datagrams that carry WireGuard over IPv4; over IPv6 there is no choice.
enum class UdpChecksum : uint8_t { always, never };

struct Port {
    std::string name;
    bool enabled = true;
    Device device;
    Role role = Role::lan;
    std::vector<Prefix> addresses;        // with host bits: 10.1.0.1/24
    bool addresses_from_host = false;     // they are those of the twin; `addresses` is empty
    std::vector<IpAddress> deprecated;    // of the twin's: not for what is new
    std::optional<IpAddress> gateway_v4;  // wan only
    std::optional<IpAddress> gateway_v6;  // wan only; may be link-local
    bool on_link = false;                 // wan only: gateways need not be on its networks
    std::optional<uint16_t> vlan;         // 1 .. 4094
    uint8_t priority = 0;                 // 802.1p, of the tag
    uint16_t mtu_bytes = 1500;
    std::optional<MacAddress> mac;                   // none: the device's own
    bool host = false;                               // has a twin in the kernel
    std::string host_name;                           // of the twin; empty: as the port
    bool babel = false;                              // an entry of `babel` names it
    bool metered = false;                            // wan only
    uint16_t cost_bias = 0;                          // wan only
    UdpChecksum udp_checksum = UdpChecksum::always;  // wan only
    bool operator==(const Port&) const = default;
};

inline bool has_twin(const Port& port) noexcept {
    return port.host && port.enabled;
}

// What the kernel's interface that is this port is called, or would be if the port were enabled;
// empty: it has none.
std::string twin_of(const Port& port);

// On an interface of the kernel a port can be opened and closed while the box runs; not its twin.
inline bool opens_live(const Port& port) noexcept {
    const DeviceKind kind = port.device.kind;
    return !port.host &&
           (kind == DeviceKind::af_packet || kind == DeviceKind::af_xdp || kind == DeviceKind::tap);
}

struct Route {
    Prefix prefix;                 // a network: host bits clear
    std::optional<IpAddress> via;  // a host on a connected LAN network; none: blackhole
    bool enabled = true;
    bool operator==(const Route&) const = default;
};

struct WireGuard {
    uint16_t listen_port = 51820;
    bool operator==(const WireGuard&) const = default;
};

enum class Idle : uint8_t { busy, adaptive };
enum class Crypto : uint8_t { automatic, cross_packet, ipsec_mb, libsodium };
enum class Hugepages : uint8_t { automatic, require, never };

struct Dataplane {
    unsigned workers = 1;         // the number of cores when `cores` is given
    std::vector<unsigned> cores;  // empty: workers float
    Idle idle = Idle::adaptive;
    Crypto crypto = Crypto::automatic;
    Hugepages hugepages = Hugepages::automatic;
    uint64_t memory_bytes = uint64_t{256} << 20;  // a whole number of MiB
    uint32_t max_peers = 16384;
    bool operator==(const Dataplane&) const = default;
};

// A name that stands for the address of an endpoint, and its UDP port.
struct EndpointName {
    std::string host;
    uint16_t port = 0;
    bool operator==(const EndpointName&) const = default;
};

struct Peer {
    std::string name;
    bool enabled = true;
    PublicKey public_key;
    std::string preshared_key_file;  // resolved; empty: none
    // Keyed hash of the preshared key, all zero without one. Tells two loads by one process whether
    // the contents of the file changed; worth nothing outside of the process.
    std::array<uint8_t, 16> preshared_key_tag{};
    std::vector<Prefix> allowed_ips;  // networks, host bits clear
    std::optional<Endpoint> endpoint;
    std::optional<EndpointName> endpoint_name;  // in place of `endpoint`
    uint16_t persistent_keepalive_s = 0;        // 0: off
    bool operator==(const Peer&) const = default;
};

enum class Medium : uint8_t { wired, wireless };
enum class MacAlgorithm : uint8_t { hmac_sha256, blake2s };

// A network, or a stock peer's tunnel, on which we speak Babel with routers that are no Meshgate.
struct Babel {
    std::string port;                             // a lan port; or
    std::string peer;                             // one of peers[]; the other is empty
    std::vector<Prefix> accept;                   // what its routers may announce
    std::optional<std::vector<Prefix>> announce;  // what we tell them of; none: of all we have
    uint32_t hello_ms = 4000;
    Medium medium = Medium::wired;
    uint16_t cost_bias = 0;
    std::string key_file;  // resolved; empty: no authentication (RFC 8967)
    MacAlgorithm key_algorithm = MacAlgorithm::hmac_sha256;
    std::array<uint8_t, 16> key_tag{};  // as Peer::preshared_key_tag
    bool operator==(const Babel&) const = default;
};

// The network that the box is a member of.
struct NetworkOptions {
    std::string file;  // resolved against the folder of the box file
    AuthorityKey authority;
    bool operator==(const NetworkOptions&) const = default;
};

struct Control {
    std::string socket = "/run/meshgate/meshgate.sock";
    std::optional<Endpoint> http;  // none: off
    std::string wg_socket;         // INTERFACE.sock, as `wg show` looks for it; empty: off
    bool operator==(const Control&) const = default;
};

enum class LogLevel : uint8_t { trace, debug, info, warning, error };
enum class LogFormat : uint8_t { text, json };

struct Log {
    LogLevel level = LogLevel::info;
    LogFormat format = LogFormat::text;
    bool operator==(const Log&) const = default;
};

struct Model {
    Node node;
    std::vector<Port> ports;  // at least one wan port
    std::vector<Route> routes;
    WireGuard wireguard;
    Dataplane dataplane;
    std::vector<Peer> peers;  // in file order
    std::vector<Babel> babel;
    std::optional<NetworkOptions> network;
    Control control;
    Log log;
    bool operator==(const Model&) const = default;
};

// The words of the box file.
const char* to_string(DeviceKind kind) noexcept;
const char* to_string(Role role) noexcept;
const char* to_string(Idle idle) noexcept;
const char* to_string(Crypto crypto) noexcept;
const char* to_string(Hugepages hugepages) noexcept;
const char* to_string(Medium medium) noexcept;
const char* to_string(MacAlgorithm algorithm) noexcept;
const char* to_string(LogLevel level) noexcept;
const char* to_string(LogFormat format) noexcept;
std::string to_string(const EndpointName& name);  // "gw.example.net:51820"
std::string to_string(const Device& device);      // "af_packet:eth0"

}  // namespace meshgate::config

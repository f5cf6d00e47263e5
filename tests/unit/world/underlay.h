// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "tests/unit/world/datagram.h"

namespace meshgate::control::world {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// How a NAT maps and filters (RFC 4787).
enum class NatKind : uint8_t {
    none,
    cone,        // endpoint-independent mapping, address-dependent filtering
    restricted,  // endpoint-independent mapping, address- and port-dependent filtering
    symmetric,   // address- and port-dependent mapping and filtering
    firewall,    // no mapping, address- and port-dependent filtering
};
const char* to_string(NatKind kind) noexcept;

class Nat {
public:
    Nat(NatKind kind, IpAddress outside) : kind_{kind}, outside_{outside} {}

    // As what the datagram leaves.
    Endpoint outbound(const Endpoint& inside, const Endpoint& remote, uint64_t now_ns);
    // For whom it is; nothing: nobody asked for it.
    std::optional<Endpoint> inbound(const Endpoint& outside, const Endpoint& remote,
                                    uint64_t now_ns);
    // Whose port it is, whoever asks.
    std::optional<Endpoint> holder(const Endpoint& outside) const;
    const IpAddress& outside() const noexcept { return outside_; }
    NatKind kind() const noexcept { return kind_; }
    void restart() { mappings_.clear(); }

private:
    struct Mapping {
        Endpoint inside;
        Endpoint remote;  // symmetric: the only one; else none
        uint16_t port = 0;
        uint64_t used_ns = 0;
        std::map<Endpoint, uint64_t> sent_to;
    };
    Mapping* find(const Endpoint& inside, const Endpoint& remote, uint64_t now_ns);

    NatKind kind_;
    IpAddress outside_;
    std::vector<Mapping> mappings_;
    uint16_t next_port_ = 30000;
};

// A box's wan port, or a place of its own on the underlay.
struct Uplink {
    unsigned box = 0;
    uint16_t port = 0;
    IpAddress v4;  // as the box has it
    IpAddress v6;  // family none: it has none
    Nat* nat = nullptr;
    bool plugged = true;
};
using UplinkId = size_t;

// From one uplink to another.
struct Wire {
    bool cut = false;
    bool cut_v4 = false;
    double loss = 0;
    nanoseconds delay = 10ms;
    double jitter = 0;  // each datagram takes delay * (1 ± jitter)
};

// The internet between the boxes: knows where addresses are, and what happens on the way.
class Underlay {
public:
    explicit Underlay(uint64_t seed) : random_{seed} {}

    struct Arrival {
        uint64_t at_ns = 0;
        UplinkId from = 0;
        Datagram datagram;
    };
    // Nothing: it is lost.
    std::optional<Arrival> send(UplinkId from, Datagram datagram, uint64_t now_ns);
    // What has arrived is for this uplink; `datagram` is addressed as its box sees it. Nothing: the
    // way was cut, or a NAT does not let it in.
    std::optional<UplinkId> arrive(const Arrival& arrival, Datagram& datagram, uint64_t now_ns);

    UplinkId add(Uplink uplink);
    Nat* add_nat(NatKind kind, IpAddress outside);
    Wire& wire(UplinkId from, UplinkId to) { return wires_[{from, to}]; }
    void heal() { wires_.clear(); }

    std::vector<Uplink> uplinks;

private:
    std::optional<UplinkId> uplink_at(UplinkId from, const Endpoint& destination) const;
    Wire wire_of(UplinkId from, UplinkId to) const;

    std::mt19937_64 random_;
    std::vector<std::unique_ptr<Nat>> nats_;
    std::map<std::pair<UplinkId, UplinkId>, Wire> wires_;
};

}  // namespace meshgate::control::world

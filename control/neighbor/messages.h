// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/address.h"
#include "control/packets/ethernet.h"

namespace meshgate::control {

// ARP (RFC 826) and neighbour discovery (RFC 4861) in one shape: somebody asks who has `target`,
// or somebody says that `target` is at `target_mac`. Pure functions, bytes to values and back.
struct NeighborMessage {
    enum class Kind : uint8_t { question, answer };

    Kind kind = Kind::question;
    MacAddress frame_source;
    MacAddress frame_destination;
    IpAddress sender;  // question: who asks, unspecified for a probe; answer: the IP source
    IpAddress target;  // question: who is asked for; answer: whose address this is
    std::optional<MacAddress> sender_mac;  // question: as ARP field or source link-layer option
    std::optional<MacAddress> target_mac;  // answer: as ARP field or target link-layer option
    IpAddress asked_by;          // ARP answer: to whom; neighbour discovery: the IP destination
    bool solicited = false;      // answer: claims to be one to a question
    bool override_cache = true;  // neighbour advertisement: the O flag; ARP always overrides
};

// Empty for everything that is not a well-formed ARP message for IPv4 over Ethernet, neighbour
// solicitation or neighbour advertisement, and for frames of another VLAN. A frame without a tag
// passes on a tagged port too: the port may have stripped it.
std::optional<NeighborMessage> parse_neighbor_frame(std::span<const uint8_t> frame, uint16_t vlan);

struct Question {
    IpAddress target;
    IpAddress source;               // one of ours, same family
    std::optional<MacAddress> mac;  // where to ask; none: everybody
};
Frame build_question(const PortIdentity& port, const Question& question);

// The answer to `question` for `question.target`, which is ours.
Frame build_answer(const PortIdentity& port, const NeighborMessage& question);
// Asks whether anybody else has `address` (RFC 5227, section 2.1.1; RFC 4862, section 5.4.2).
Frame build_probe(const PortIdentity& port, const IpAddress& address);
// Tells everybody that `address` is here: gratuitous ARP or unsolicited advertisement.
Frame build_announcement(const PortIdentity& port, const IpAddress& address);

// fe80::/64 with the modified EUI-64 of the MAC address (RFC 4291, appendix A).
IpAddress link_local_address(const MacAddress& mac) noexcept;
// Multicast group of those who may have `address` (RFC 4291, section 2.7.1).
IpAddress solicited_node_group(const IpAddress& address) noexcept;

}  // namespace meshgate::control

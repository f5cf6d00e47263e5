// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace meshgate::cli {

// A network card of this machine, as its kernel has it.
struct Card {
    std::string name;
    std::string driver;
    std::string pci_address;  // empty: on no PCI bus
    bool link_up = false;
    std::vector<std::string> addresses;  // "198.51.100.2/24", link-local ones not among them
    std::vector<std::string> given;      // of them: for a time, by DHCP or router advertisements
    std::string gateway_v4, gateway_v6;  // of a default route by it
    bool carries_ssh = false;            // the session that asks came in by it
};

// What a card is called, and what of it a person recognises: "eth0  virtio_net  link up  10.0.2.15/24".
std::string describe(const Card& card);

// Of any interface, without link-local ones.
std::vector<std::string> addresses_on(const std::string& interface);

struct CardSources {
    std::string class_net = "/sys/class/net";
    std::string routes_v4 = "/proc/net/route";
    std::string routes_v6 = "/proc/net/ipv6_route";
    std::string ssh_address;  // ours, of the session; empty: no ssh
};

// The address of this machine that the calling ssh session is connected to, also behind sudo, which
// clears the environment; empty without one.
std::string ssh_address();

// Lets the lamp of a card blink, so that a person finds it; returns when it is over.
Result<void> blink(const std::string& card, unsigned seconds);

// Ethernet cards by name; no bridges, no tunnels.
std::vector<Card> find_cards(const CardSources& sources);

// The gateway of the first default route by `interface` in a file as the kernel writes it.
std::string gateway_v4(const std::string& routes, const std::string& interface);
std::string gateway_v6(const std::string& routes, const std::string& interface);

}  // namespace meshgate::cli

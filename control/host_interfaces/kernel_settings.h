// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace meshgate::control {

// A setting of an interface as it was before we changed it.
struct FoundSetting {
    std::string path;  // below /proc/sys/net: "ipv4/conf/lan0/forwarding"
    std::string value;
    bool operator==(const FoundSetting&) const = default;
};

// What an interface had before it became ours.
struct FoundInterface {
    std::string name;
    unsigned index = 0;
    std::vector<FoundSetting> settings;
    std::vector<Prefix> addresses;  // IPv6 ones, which go when IPv6 is switched off
    bool operator==(const FoundInterface&) const = default;
};

// A setting that an interface of ours needs.
struct NeededSetting {
    const char* family;
    const char* name;
    const char* value;
};

// Of what a port stands on. The first concerns the interface that a packet comes in by. IPv6 has no
// such switch (conf/IF/forwarding there says whether we are a router, conf/all decides on
// forwarding), and with disable_ipv6 go router advertisements, neighbour discovery, and an address
// that equals ours.
inline constexpr std::array kSettingsOfPorts{
    NeededSetting{"ipv4", "forwarding", "0"},
    NeededSetting{"ipv6", "disable_ipv6", "1"},
};
// Of twins, and of the way into the network. Packets of a site's further networks may come by
// another interface than the one that leads there.
inline constexpr std::array kSettingsOfTwins{
    NeededSetting{"ipv4", "forwarding", "0"},
    NeededSetting{"ipv4", "arp_ignore", "1"},
    NeededSetting{"ipv4", "rp_filter", "2"},
    // Without it the first address of a network takes the others along when it goes.
    NeededSetting{"ipv4", "promote_secondaries", "1"},
};
// Of a twin whose addresses are written in the box file: an address that the kernel makes of a router
// advertisement would be its first choice, and nobody here answers for it.
inline constexpr std::array kSettingsOfWritten{
    NeededSetting{"ipv6", "autoconf", "0"},
};
inline constexpr std::array kSettingsOfGiven{
    NeededSetting{"ipv6", "autoconf", "1"},
};
// Nobody is to be discovered there: no link-local address, no solicitations.
inline constexpr std::array kSettingsOfNetwork{
    NeededSetting{"ipv6", "addr_gen_mode", "1"},
};
// Of all interfaces together.
inline constexpr std::array kForwardingOfIpv6{
    NeededSetting{"ipv6", "forwarding", "0"},
};
inline constexpr std::array kSettingsForIpv6{
    NeededSetting{"ipv6", "disable_ipv6", "0"},
};

// The kernel's settings that concern one interface. What they keep up after a crash, when nobody
// drops frames any more: the kernel forwards nothing of what comes in by an interface of ours.
class KernelSettings {
public:
    // `root`: "/proc/sys/net"; tests have one of their own.
    explicit KernelSettings(std::string root,
                            std::span<const NeededSetting> needed = kSettingsOfPorts)
        : root_{std::move(root)}, needed_{needed} {}

    // What is there now.
    std::vector<FoundSetting> read(const std::string& interface) const;
    // Changes what differs from what we need: how many did, or the first that cannot be changed.
    Result<unsigned> apply(const std::string& interface) const;
    void give_back(const std::vector<FoundSetting>& settings) const;

private:
    std::string root_;
    std::span<const NeededSetting> needed_;
};

// Text of a file that tells what was found, and back. What belongs to an earlier boot of the
// machine is nothing: the kernel has forgotten it too.
std::string to_text(const std::vector<FoundInterface>& found, const std::string& boot_id);
std::vector<FoundInterface> parse_found(const std::string& text, const std::string& boot_id);

}  // namespace meshgate::control

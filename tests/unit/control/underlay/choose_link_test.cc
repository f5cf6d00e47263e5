// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/choose_link.h"

#include <endian.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

namespace meshgate::control {
namespace {

class ChooseLink : public testing::Test {
protected:
    std::string choice(const char* remote, const char* source = nullptr) const {
        const auto chosen = choose_link(ports_, *parse_address(remote),
                                        source == nullptr ? IpAddress{} : *parse_address(source));
        if (!chosen)
            return "none";
        return std::to_string(chosen->next_hop.port) + " " + to_string(chosen->source) + " " +
               to_string(chosen->next_hop.address);
    }

    std::vector<UnderlayPort> ports_{
        {.id = 0,
         .addresses = {*parse_prefix("198.51.100.2/24"), *parse_prefix("2001:db8:a::2/64")},
         .gateway_v4 = *parse_address("198.51.100.1"),
         .gateway_v6 = *parse_address("fe80::1")},
        {.id = 3,
         .addresses = {*parse_prefix("203.0.113.2/28"), *parse_prefix("203.0.113.50/24")},
         .gateway_v4 = *parse_address("203.0.113.1"),
         .gateway_v6 = {}},
    };
};

TEST_F(ChooseLink, PrefersTheConnectedNetworkThenTheFirstGateway) {
    EXPECT_EQ(choice("203.0.113.9"), "3 203.0.113.2 203.0.113.9");
    EXPECT_EQ(choice("203.0.113.99"), "3 203.0.113.50 203.0.113.99");
    EXPECT_EQ(choice("192.0.2.1"), "0 198.51.100.2 198.51.100.1");
    EXPECT_EQ(choice("2001:db8:b::1"), "0 2001:db8:a::2 fe80::1");
}

TEST_F(ChooseLink, AnswersFromTheAddressThatWasHit) {
    EXPECT_EQ(choice("192.0.2.1", "203.0.113.50"), "3 203.0.113.50 203.0.113.1");
    EXPECT_EQ(choice("198.51.100.9", "203.0.113.2"), "3 203.0.113.2 203.0.113.1");
    EXPECT_EQ(choice("192.0.2.1", "10.0.0.1"), "0 198.51.100.2 198.51.100.1") << "no longer ours";
}

// A provider that renumbers: the old prefix stays for a while, and is nearer to the destination.
TEST_F(ChooseLink, SpeaksFromNoDeprecatedAddressUnlessAskedThere) {
    ports_[0].addresses = {*parse_prefix("2001:db8:a::2/64"), *parse_prefix("2001:db8:b::2/64")};
    EXPECT_EQ(choice("2001:db8:b::1"), "0 2001:db8:b::2 2001:db8:b::1");
    ports_[0].deprecated = {*parse_address("2001:db8:b::2")};
    EXPECT_EQ(choice("2001:db8:b::1"), "0 2001:db8:a::2 2001:db8:b::1");
    EXPECT_EQ(choice("2001:db8:b::1", "2001:db8:b::2"), "0 2001:db8:b::2 2001:db8:b::1");
    ports_[0].deprecated.push_back(*parse_address("2001:db8:a::2"));
    EXPECT_EQ(choice("2001:db8:b::1"), "0 2001:db8:b::2 2001:db8:b::1") << "there is no other";
}

TEST_F(ChooseLink, LeavesPortsWhoseLinkIsDown) {
    ports_[0].up = false;
    EXPECT_EQ(choice("192.0.2.1"), "3 203.0.113.2 203.0.113.1");
    EXPECT_EQ(choice("192.0.2.1", "198.51.100.2"), "3 203.0.113.2 203.0.113.1");
    EXPECT_EQ(choice("2001:db8:b::1"), "0 2001:db8:a::2 fe80::1")
        << "better a port that may come back";
}

TEST_F(ChooseLink, PutsMeteredPortsBehindTheOthers) {
    ports_[0].metered = true;
    EXPECT_EQ(choice("192.0.2.1"), "3 203.0.113.2 203.0.113.1");
    EXPECT_EQ(choice("198.51.100.9"), "3 203.0.113.2 203.0.113.1") << "though it is connected";
    EXPECT_EQ(choice("192.0.2.1", "198.51.100.2"), "0 198.51.100.2 198.51.100.1")
        << "where the question came in";
    EXPECT_EQ(choice("2001:db8:b::1"), "0 2001:db8:a::2 fe80::1") << "there is no other";
    ports_[1].up = false;
    EXPECT_EQ(choice("192.0.2.1"), "0 198.51.100.2 198.51.100.1") << "better than one that is down";
    ports_[1].up = ports_[1].metered = true;
    EXPECT_EQ(choice("203.0.113.9"), "3 203.0.113.2 203.0.113.9") << "among equals as ever";
}

TEST_F(ChooseLink, FindsNothingWithoutTheFamily) {
    ports_.erase(ports_.begin());
    EXPECT_EQ(choice("2001:db8:b::1"), "none");
}

// What the rules say, port by port and in no hurry.
std::optional<LinkChoice> naive_choice(const std::vector<UnderlayPort>& ports,
                                       const IpAddress& remote, const IpAddress& source) {
    const auto gateway = [&](const UnderlayPort& port) {
        return remote.is_v4() ? port.gateway_v4 : port.gateway_v6;
    };
    for (const bool up : {true, false}) {
        for (const UnderlayPort& port : ports) {
            for (const Prefix& own : port.addresses) {
                if (port.up != up || own.address != source)
                    continue;
                const bool connected = std::ranges::any_of(
                    port.addresses, [&](const Prefix& one) { return one.contains(remote); });
                if (connected)
                    return LinkChoice{{port.id, remote}, source};
                if (gateway(port).family == remote.family)
                    return LinkChoice{{port.id, gateway(port)}, source};
            }
        }
        std::map<bool, std::optional<LinkChoice>> connected, by_gateway;  // by "metered"
        std::map<bool, unsigned> longest;
        for (const UnderlayPort& port : ports) {
            if (port.up != up)
                continue;
            const Prefix* network = nullptr;
            for (const Prefix& own : port.addresses) {
                if (own.contains(remote) && (network == nullptr || own.len > network->len))
                    network = &own;
            }
            if (network != nullptr && network->len > longest[port.metered]) {
                longest[port.metered] = network->len;
                connected[port.metered] = LinkChoice{{port.id, remote}, network->address};
            }
            if (!by_gateway[port.metered] && gateway(port).family == remote.family) {
                for (const Prefix& own : port.addresses) {
                    if (own.contains(gateway(port)))
                        by_gateway[port.metered] =
                            LinkChoice{{port.id, gateway(port)}, own.address};
                }
            }
        }
        for (const bool metered : {false, true}) {
            if (connected[metered] || by_gateway[metered])
                return connected[metered] ? connected[metered] : by_gateway[metered];
        }
    }
    return std::nullopt;
}

TEST(ChooseLinkModel, AgreesWithTheRulesOnRandomPorts) {
    std::minstd_rand random{7};
    const auto below = [&random](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    const auto address = [&](uint32_t net) {
        return IpAddress::v4(htobe32(0x0a000000 + (net << 8) + 1 + below(6)));
    };
    for (int round = 0; round < 20'000; ++round) {
        std::vector<UnderlayPort> ports(1 + below(3));
        for (size_t i = 0; i < ports.size(); ++i) {
            UnderlayPort& port = ports[i];
            port.id = static_cast<PortId>(i);
            port.up = below(3) != 0;
            port.metered = below(3) == 0;
            const uint32_t net = static_cast<uint32_t>(i) * 4;
            port.addresses.push_back({address(net), 24});
            if (below(2) == 0)
                port.addresses.push_back({address(net + 1), 28});
            if (below(3) != 0)
                port.gateway_v4 = IpAddress::v4(htobe32(0x0a000000 + (net << 8) + 200));
        }
        const IpAddress remote = below(2) == 0 ? address(below(12)) : *parse_address("192.0.2.1");
        const IpAddress source =
            below(2) == 0 ? ports[below(static_cast<uint32_t>(ports.size()))].addresses[0].address
                          : IpAddress{};
        EXPECT_EQ(choose_link(ports, remote, source), naive_choice(ports, remote, source))
            << "round " << round;
    }
}

}  // namespace
}  // namespace meshgate::control

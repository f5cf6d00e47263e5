// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/given.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace meshgate::control {
namespace {

constexpr unsigned kTwin = 7;

class GivenTest : public testing::Test {
protected:
    HostAddress& address(const char* prefix) {
        return addresses_.emplace_back(
            HostAddress{.interface_index = kTwin, .prefix = *parse_prefix(prefix)});
    }
    HostRoute& route(const char* destination, const char* gateway, uint32_t metric) {
        return routes_.emplace_back(HostRoute{.destination = *parse_prefix(destination),
                                              .interface_index = kTwin,
                                              .gateway = *parse_address(gateway),
                                              .source = {},
                                              .metric = metric});
    }
    Given given() const {
        return read_given({.link = link_, .addresses = addresses_, .routes = routes_}, taken_);
    }
    std::string addresses() const {
        std::string text;
        for (const Prefix& each : given().addresses)
            text += (text.empty() ? "" : " ") + to_string(each);
        return text;
    }
    std::string problem() const {
        const Given found = given();
        return found.problems.size() == 1 ? found.problems.front()
                                          : std::to_string(found.problems.size()) + " problems";
    }
    bool says(const char* part) const { return problem().find(part) != std::string::npos; }
    static std::string text_of(const std::optional<IpAddress>& gateway) {
        return gateway ? to_string(*gateway) : "none";
    }

    HostLink link_{.index = kTwin, .name = "wan0", .alias = "", .mtu_bytes = 1500};
    std::vector<HostAddress> addresses_;
    std::vector<HostRoute> routes_;
    std::vector<Prefix> networks_;
    Taken taken_;
};

TEST_F(GivenTest, PutsTemporaryAndDeprecatedAddressesBehindTheOthers) {
    address("2001:db8:1::1/64").deprecated = true;
    address("2001:db8:2::2/64").temporary = true;
    address("2001:db8:2::1/64");
    address("192.0.2.1/24");
    address("fe80::1/64");
    address("2001:db8:9::1/64").usable = false;
    address("203.0.113.1/24").interface_index = kTwin + 1;
    EXPECT_EQ(addresses(), "2001:db8:2::1/64 192.0.2.1/24 2001:db8:2::2/64 2001:db8:1::1/64");
    EXPECT_EQ(given().deprecated, std::vector{*parse_address("2001:db8:1::1")});
    EXPECT_EQ(problem(), "0 problems");
}

TEST_F(GivenTest, SaysThatThereIsNoneAndTheCure) {
    address("fe80::1/64");
    EXPECT_EQ(addresses(), "");
    EXPECT_TRUE(says("no address on wan0")) << problem();
    EXPECT_TRUE(says("DHCP client")) << problem();
}

TEST_F(GivenTest, UsesNoNetworkOfAnotherPort) {
    taken_.of_ports = {*parse_prefix("10.1.0.1/24")};
    address("10.1.0.200/16");
    EXPECT_EQ(addresses(), "");
    EXPECT_TRUE(says("10.1.0.200/16 on wan0 is a network of another port")) << problem();
    address("192.0.2.1/24");
    EXPECT_EQ(addresses(), "192.0.2.1/24");
    EXPECT_TRUE(says("another port"));
}

// Else whoever gives addresses would take those of a site's hosts away.
TEST_F(GivenTest, UsesNoAddressOfANetworkOfPeers) {
    networks_ = {*parse_prefix("10.0.0.0/8"), *parse_prefix("10.2.0.0/16"),
                 *parse_prefix("128.0.0.0/1"), *parse_prefix("2000::/3"),
                 *parse_prefix("fd10:2::/48")};
    taken_.of_peers = networks_;
    address("10.2.7.7/24");
    address("fd10:2::7/64");
    EXPECT_EQ(addresses(), "");
    EXPECT_TRUE(says("10.2.7.7/24 on wan0 is in 10.2.0.0/16")) << problem();
    address("10.3.0.1/24");
    address("192.0.2.1/24");
    address("2001:db8::1/64");
    EXPECT_EQ(addresses(), "10.3.0.1/24 192.0.2.1/24 2001:db8::1/64") << "an exit is no site";
}

// A site's network may be a part of what a greater site stands for, but not the same.
TEST_F(GivenTest, UsesPartsOfPeersNetworksOnALanPort) {
    networks_ = {*parse_prefix("10.2.0.0/16"), *parse_prefix("10.3.0.0/24"),
                 *parse_prefix("10.4.0.7/32")};
    taken_.of_peers = networks_;
    taken_.by_more_specific = true;
    address("10.2.7.7/24");
    address("10.3.0.7/24");
    address("10.4.0.7/24");
    EXPECT_EQ(addresses(), "10.2.7.7/24");
    EXPECT_TRUE(says("10.3.0.7/24 on wan0 is in 10.3.0.0/24")) << problem();
}

TEST_F(GivenTest, IsBounded) {
    for (unsigned i = 0; i < 1000; ++i) {
        const std::string host = std::to_string(i / 250) + "." + std::to_string(i % 250 + 1);
        address(("198.18." + host + "/32").c_str());
    }
    address("192.0.2.1/24");
    addresses_.front().deprecated = true;
    EXPECT_EQ(given().addresses.size(), 64U);
    EXPECT_EQ(to_string(given().addresses.front()), "198.18.0.2/32");
    EXPECT_TRUE(says("wan0 has 1001 addresses, of which the first 64")) << problem();
}

TEST_F(GivenTest, TakesTheDefaultRouteOfTheLowestMetric) {
    address("192.0.2.1/24");
    route("0.0.0.0/0", "192.0.2.20", 200);
    route("0.0.0.0/0", "192.0.2.10", 100);
    route("203.0.113.0/24", "192.0.2.5", 1);
    route("::/0", "fe80::2", 1024);
    route("::/0", "fe80::1", 1024).preference = 1;
    route("::/0", "fe80::3", 1024).preference = -1;
    EXPECT_EQ(text_of(given().gateway_v4), "192.0.2.10");
    EXPECT_EQ(text_of(given().gateway_v6), "fe80::1");
    routes_[1].usable = false;
    routes_[4].usable = false;
    EXPECT_EQ(text_of(given().gateway_v4), "192.0.2.20");
    EXPECT_EQ(text_of(given().gateway_v6), "fe80::2");
    routes_.clear();
    EXPECT_EQ(text_of(given().gateway_v4) + text_of(given().gateway_v6), "nonenone");
}

TEST_F(GivenTest, LowersTheMtuOfThePort) {
    address("192.0.2.1/24");
    config::Port port;
    const auto mtu = [&] {
        port.mtu_bytes = 1492;
        fill_in(port, given());
        return port.mtu_bytes;
    };
    EXPECT_EQ(mtu(), 1492) << "the box file's is less";
    link_.mtu_bytes = 1400;
    EXPECT_EQ(mtu(), 1400) << "as a DHCP client sets it";
    link_.ipv6_mtu_bytes = 1380;
    EXPECT_EQ(mtu(), 1380) << "as a router advertised it";
    link_.mtu_bytes = 68;
    EXPECT_EQ(mtu(), 1280);
    link_.mtu_bytes = link_.ipv6_mtu_bytes = 0;
    EXPECT_EQ(mtu(), 1492) << "not known";
}

}  // namespace
}  // namespace meshgate::control

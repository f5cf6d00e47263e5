// SPDX-License-Identifier: Apache-2.0
#include "config/network.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include "config/network_file.h"
#include "tests/unit/config_fixture.h"

namespace meshgate::config {
namespace {

constexpr char kGoodNetwork[] = R"(version: 12
name: acme
members:
  - name: berlin
    public_key: +OCEDpsQKdFyx9wuxm7lA1/AQrQJumtEe7fcV9zT/x4=
    prefixes: [10.1.0.0/16, "fd10:1::/48"]
    endpoints: ["198.51.100.2:51820", gw.example.net:4500]
    relay: true
    tags: [office, "2"]
  - name: munich
    public_key: F3+2R+7sLPJptOcdgOtjPQ5LOspU5ms3JtfyYW4WiHI=
    prefixes: 10.2.0.0/16
    published: berlin
clients:
  - name: alice
    public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    address: 10.1.9.2/32
    boxes: [munich]
)";

Network good(const std::string& text) {
    NetworkResult result = parse_network(text, "network.yaml");
    EXPECT_TRUE(result.network.has_value()) << format_text(result.diagnostics);
    return result.network.value_or(Network{});
}

// RFC 8032, section 7.1, test 1.
constexpr char kAuthority[] = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
SecretKey authority_secret() {
    return *parse_secret_key("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=");
}

TEST(Network, TakesTheExample) {
    const NetworkResult result =
        parse_network(contents_of(MESHGATE_EXAMPLES "/network.yaml"), "network.yaml");
    EXPECT_TRUE(result.network.has_value());
    EXPECT_TRUE(result.diagnostics.empty()) << format_text(result.diagnostics);
}

TEST(Network, IsReadWhole) {
    const Network network = good(kGoodNetwork);
    EXPECT_EQ(network.version, 12U);
    EXPECT_EQ(network.name, "acme");
    ASSERT_EQ(network.members.size(), 2U);
    const Member& berlin = network.members[0];
    EXPECT_EQ(to_string(berlin.public_key), "+OCEDpsQKdFyx9wuxm7lA1/AQrQJumtEe7fcV9zT/x4=");
    EXPECT_EQ(berlin.prefixes,
              (std::vector{*parse_prefix("10.1.0.0/16"), *parse_prefix("fd10:1::/48")}));
    ASSERT_EQ(berlin.endpoints.size(), 2U);
    EXPECT_EQ(berlin.endpoints[0].literal, parse_endpoint("198.51.100.2:51820"));
    EXPECT_EQ(berlin.endpoints[1].literal, std::nullopt);
    EXPECT_EQ(berlin.endpoints[1].host, "gw.example.net");
    EXPECT_EQ(berlin.endpoints[1].port, 4500);
    EXPECT_EQ(berlin.endpoints[1].text, "gw.example.net:4500");
    EXPECT_TRUE(berlin.relay);
    EXPECT_EQ(berlin.tags, (std::vector<std::string>{"office", "2"}));
    EXPECT_FALSE(network.members[1].relay);
    EXPECT_EQ(network.members[1].published, std::vector<std::string>{"berlin"});
    ASSERT_EQ(network.clients.size(), 1U);
    EXPECT_EQ(network.clients[0].addresses, std::vector{*parse_prefix("10.1.9.2/32")});
    EXPECT_EQ(network.clients[0].boxes, std::vector<std::string>{"munich"});
}

TEST(Network, AddressesFollowFromKeys) {
    // Computed with Python's hashlib.blake2s.
    const auto authority = parse_authority_key(kAuthority);
    ASSERT_TRUE(authority.has_value());
    const PublicKey box = *parse_public_key("+OCEDpsQKdFyx9wuxm7lA1/AQrQJumtEe7fcV9zT/x4=");
    EXPECT_EQ(to_string(node_prefix(*authority)), "fd08:fe4a:69ab::/48");
    EXPECT_EQ(to_string(node_address(*authority, box)), "fd08:fe4a:69ab:d852:d819:883c:705a:cb2e");
    EXPECT_EQ(to_string(link_local_address(box)), "fe80::d852:d819:883c:705a");
    EXPECT_TRUE(node_prefix(*authority).contains(node_address(*authority, box)));
}

TEST(Network, OfOneAuthorityIsNotOfAnother) {
    const SecretKey secret = authority_secret();
    const AuthorityKey authority = authority_key_of(secret);
    EXPECT_EQ(to_string(authority), kAuthority);
    SignedNetwork network{kGoodNetwork, sign(kGoodNetwork, secret)};
    EXPECT_TRUE(verify(network, authority));
    EXPECT_FALSE(verify(network, authority_key_of(generate_authority_secret())));
    EXPECT_TRUE(open_network(network, authority, "network.yaml"));
    SignedNetwork changed = network;
    changed.text.back() = ' ';
    EXPECT_FALSE(verify(changed, authority));
    const NetworkLoad refused = open_network(changed, authority, "network.yaml");
    ASSERT_EQ(refused.diagnostics.size(), 1U);
    EXPECT_EQ(refused.diagnostics[0].code, "bad-signature");
    changed = network;
    changed.signature[63] ^= 1;
    EXPECT_FALSE(verify(changed, authority));
}

}  // namespace
}  // namespace meshgate::config

// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/member_endpoints.h"

#include <gtest/gtest.h>

#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {
namespace {

TEST(MemberEndpoints, AreAddressesAsTheyStandInTheFile) {
    EXPECT_EQ(MemberEndpoints{}.of(info_of({"munich", Role::leaf, "192.0.2.1:7"})),
              std::vector{*parse_endpoint("192.0.2.1:7")});
}

TEST(MemberEndpoints, AreNamesOnceTheyWereLookedUp) {
    const config::Member munich = info_of({"munich", Role::leaf, "munich.example:7"});
    MemberEndpoints endpoints;
    EXPECT_TRUE(endpoints.of(munich).empty());
    endpoints.set_addresses("munich.example",
                            {*parse_address("192.0.2.1"), *parse_address("2001:db8::1")});
    EXPECT_EQ(endpoints.of(munich),
              (std::vector{*parse_endpoint("192.0.2.1:7"), *parse_endpoint("[2001:db8::1]:7")}));
    endpoints.set_addresses("munich.example", {*parse_address("192.0.2.9")});
    EXPECT_EQ(endpoints.of(munich), std::vector{*parse_endpoint("192.0.2.9:7")});
}

TEST(MemberEndpoints, NamesWhatIsToBeLookedUp) {
    MemberTable members{kAuthority, key_of("berlin")};
    const auto changes = members.set_network(network_of({{"berlin", Role::leaf, "berlin.example:7"},
                                                         {"munich", Role::leaf, "munich.example:7"},
                                                         {"london", Role::leaf, "192.0.2.1:7"}}));
    for (const config::Member& info : changes.fresh)
        members.add(info, 1);
    EXPECT_EQ(hosts_of(members), std::set<std::string>{"munich.example"})
        << "neither our own nor an address";
}

}  // namespace
}  // namespace meshgate::mesh::test

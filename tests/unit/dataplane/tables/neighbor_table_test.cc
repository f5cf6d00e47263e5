// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/neighbor_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <vector>

namespace meshgate {
namespace {

MacAddress mac(uint32_t n) {
    MacAddress result{{2, 0, 0, 0, 0, 0}};
    std::memcpy(result.bytes.data() + 1, &n, sizeof(n));
    return result;
}

TEST(NeighborTable, FindsNothingWhenEmpty) {
    const auto table = NeighborTable::build({});
    EXPECT_EQ(table->find(0, *parse_address("10.0.0.1")), nullptr);
    EXPECT_EQ(table->find(0, IpAddress{}), nullptr);
    EXPECT_EQ(NeighborTable{}.find(0, *parse_address("10.0.0.1")), nullptr);
}

TEST(NeighborTable, TellsPortsAndFamiliesApart) {
    const std::vector<NeighborTable::Neighbor> neighbors{
        {0, *parse_address("10.0.0.1"), mac(1)},
        {1, *parse_address("10.0.0.1"), mac(2)},
        {0, *parse_address("a00:1::"), mac(3)},  // the same bytes as 10.0.0.1
    };
    const auto table = NeighborTable::build(neighbors);
    for (const auto& neighbor : neighbors) {
        const MacAddress* found = table->find(neighbor.port, neighbor.address);
        ASSERT_NE(found, nullptr);
        EXPECT_EQ(*found, neighbor.mac);
    }
    EXPECT_EQ(table->find(2, neighbors[0].address), nullptr);
    EXPECT_EQ(table->find(1, neighbors[2].address), nullptr);
    EXPECT_EQ(table->find(0, *parse_address("10.0.0.2")), nullptr);
}

TEST(NeighborTable, LetsTheLaterOfEqualsWinAndIgnoresNoAddress) {
    const std::vector<NeighborTable::Neighbor> neighbors{{0, *parse_address("fe80::1"), mac(1)},
                                                         {0, IpAddress{}, mac(9)},
                                                         {0, *parse_address("fe80::1"), mac(2)}};
    const auto table = NeighborTable::build(neighbors);
    EXPECT_EQ(*table->find(0, *parse_address("fe80::1")), mac(2));
    EXPECT_EQ(table->find(0, IpAddress{}), nullptr);
}

TEST(NeighborTable, AgreesWithAMap) {
    std::mt19937 random{826};
    for (const size_t nb_neighbors : {1U, 2U, 3U, 4U, 7U, 100U, 5000U}) {
        std::vector<NeighborTable::Neighbor> neighbors;
        std::map<std::pair<PortId, IpAddress>, MacAddress> map;
        const auto any_address = [&] {
            IpAddress address;
            address.family = random() % 2 == 0 ? Family::ipv4 : Family::ipv6;
            const size_t last = address.is_v4() ? 3 : 15;
            address.bytes[0] = 10;
            address.bytes[last] = static_cast<uint8_t>(random());
            address.bytes[last - 1] = static_cast<uint8_t>(random() % 8);
            return address;
        };
        for (uint32_t i = 0; i < nb_neighbors; ++i) {
            neighbors.push_back({static_cast<PortId>(random() % 3), any_address(), mac(i)});
            map[{neighbors.back().port, neighbors.back().address}] = mac(i);
        }
        const auto table = NeighborTable::build(neighbors);
        for (const auto& [key, expected] : map) {
            ASSERT_NE(table->find(key.first, key.second), nullptr);
            ASSERT_EQ(*table->find(key.first, key.second), expected);
        }
        for (int i = 0; i < 5000; ++i) {
            const auto port = static_cast<PortId>(random() % 4);
            const IpAddress address = any_address();
            ASSERT_EQ(table->find(port, address) != nullptr, map.contains({port, address}));
        }
    }
}

}  // namespace
}  // namespace meshgate

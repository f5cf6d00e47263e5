// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/fib.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <random>
#include <vector>

namespace meshgate {
namespace {

Fib::Route route(const char* prefix, uint32_t value) {
    return {*parse_prefix(prefix), value};
}

uint32_t lookup(const Fib& fib, const char* address) {
    return fib.lookup(*parse_address(address));
}

// The longest of all prefixes that contain the address, the later of equals.
class NaiveFib {
public:
    explicit NaiveFib(std::span<const Fib::Route> routes) {
        for (const Fib::Route& one : routes)
            routes_[one.prefix.network()] = one.value;
    }
    uint32_t lookup(const IpAddress& address) const {
        for (int len = address.bits(); len >= 0; --len) {
            const auto found = routes_.find(Prefix{address, static_cast<uint8_t>(len)}.network());
            if (found != routes_.end())
                return found->second;
        }
        return 0;
    }
    size_t size() const { return routes_.size(); }

private:
    std::map<Prefix, uint32_t> routes_;
};

TEST(Fib, KnowsNothingWhenEmpty) {
    const auto fib = Fib::build({});
    EXPECT_EQ(fib->nb_routes(), 0U);
    EXPECT_EQ(lookup(*fib, "10.0.0.1"), 0U);
    EXPECT_EQ(lookup(*fib, "fd00::1"), 0U);
    EXPECT_EQ(fib->lookup(IpAddress{}), 0U);
    EXPECT_LT(fib->memory_bytes(), 1024U);
}

TEST(Fib, TakesTheLongestPrefix) {
    const std::array routes{
        route("0.0.0.0/0", 1),   route("10.0.0.0/8", 2),  route("10.1.0.0/16", 3),
        route("10.1.2.0/24", 4), route("10.1.2.3/32", 5), route("::/0", 6),
        route("fd10::/16", 7),   route("fd10:1::/64", 8), route("fd10:1::1/128", 9)};
    const auto fib = Fib::build(routes);
    EXPECT_EQ(fib->nb_routes(), routes.size());
    struct Case {
        const char* address;
        uint32_t value;
    };
    for (const auto& [address, value] :
         {Case{"192.0.2.1", 1}, Case{"10.255.255.255", 2}, Case{"10.2.0.0", 2},
          Case{"10.1.255.255", 3}, Case{"10.1.2.2", 4}, Case{"10.1.2.4", 4}, Case{"10.1.2.3", 5},
          Case{"2001:db8::1", 6}, Case{"fd11::", 6}, Case{"fd10:2::", 7}, Case{"fd10:1::2", 8},
          Case{"fd10:1:0:1::1", 7}, Case{"fd10:1::1", 9}})
        EXPECT_EQ(lookup(*fib, address), value) << address;
}

TEST(Fib, KeepsTheFamiliesApart) {
    const std::array routes{route("0.0.0.0/0", 1)};
    const auto fib = Fib::build(routes);
    EXPECT_EQ(lookup(*fib, "::"), 0U);
    EXPECT_EQ(lookup(*fib, "0.0.0.0"), 1U);
}

TEST(Fib, LetsTheLaterOfEqualPrefixesWin) {
    const std::array routes{route("10.1.2.3/16", 1), route("10.0.0.0/8", 9),
                            route("10.1.200.0/16", 2)};  // host bits are ignored
    const auto fib = Fib::build(routes);
    EXPECT_EQ(lookup(*fib, "10.1.0.1"), 2U);
    EXPECT_EQ(fib->nb_routes(), 2U);
}

TEST(Fib, SeparatesNeighbouringHostRoutes) {
    std::vector<Fib::Route> routes;
    for (uint32_t i = 0; i < 256; ++i) {
        Prefix host = *parse_prefix("192.0.2.0/32");
        host.address.bytes[3] = static_cast<uint8_t>(i);
        routes.push_back({host, i + 1});
        host = *parse_prefix("fd00:1:2:3:4:5:6:0/128");
        host.address.bytes[15] = static_cast<uint8_t>(i);
        routes.push_back({host, i + 1001});
    }
    const auto fib = Fib::build(routes);
    for (const Fib::Route& one : routes)
        EXPECT_EQ(fib->lookup(one.prefix.address), one.value);
    EXPECT_EQ(lookup(*fib, "192.0.1.255"), 0U);
    EXPECT_EQ(lookup(*fib, "192.0.3.0"), 0U);
    EXPECT_EQ(lookup(*fib, "fd00:1:2:3:4:5:6:100"), 0U);
    EXPECT_EQ(lookup(*fib, "fd00:1:2:3:4:5:5:ffff"), 0U);
}

TEST(Fib, KeepsTheGreatestValue) {
    const std::array routes{route("10.0.0.0/8", Fib::kMaxValue), route("fd00::/8", Fib::kMaxValue)};
    const auto fib = Fib::build(routes);
    EXPECT_EQ(lookup(*fib, "10.0.0.1"), Fib::kMaxValue);
    EXPECT_EQ(lookup(*fib, "fd00::1"), Fib::kMaxValue);
}

TEST(Fib, IsSmallForAFewRoutes) {
    const std::array routes{route("0.0.0.0/0", 1),
                            route("10.1.0.0/16", 2),
                            route("10.2.0.0/16", 3),
                            route("10.9.0.2/32", 4),
                            route("10.9.0.3/32", 5),
                            route("192.168.0.0/24", 6),
                            route("fd10:1::/64", 7),
                            route("fd10:2::/64", 8),
                            route("fd12:3456:789a:bcde:f012:3456:789a:bcde/128", 9),
                            route("::/0", 10)};
    EXPECT_LT(Fib::build(routes)->memory_bytes(), 4096U);
}

// Prefixes that overlap heavily: few distinct bits, all lengths, and often one inside another.
Prefix random_prefix(std::mt19937_64& random, Family family, const Prefix* inside) {
    Prefix prefix;
    prefix.address.family = family;
    const unsigned bits = prefix.address.bits();
    for (size_t i = 0; i < bits / 8; ++i)
        prefix.address.bytes[i] =
            static_cast<uint8_t>(random() % 8 == 0 ? random() : (random() % 2 == 0 ? 0 : 0xff));
    unsigned len = static_cast<unsigned>(random() % (bits + 1));
    if (inside != nullptr) {
        len = std::max<unsigned>(len, inside->len);
        for (unsigned bit = 0; bit < inside->len; ++bit) {
            const auto mask = static_cast<uint8_t>(0x80U >> (bit % 8));
            uint8_t& byte = prefix.address.bytes[bit / 8];
            byte = static_cast<uint8_t>((byte & ~mask) | (inside->address.bytes[bit / 8] & mask));
        }
    }
    prefix.len = static_cast<uint8_t>(len);
    return prefix;
}

std::vector<Fib::Route> random_routes(std::mt19937_64& random, size_t nb_routes) {
    std::vector<Fib::Route> routes;
    for (size_t i = 0; i < nb_routes; ++i) {
        const Family family = random() % 2 == 0 ? Family::ipv4 : Family::ipv6;
        const Prefix* inside = nullptr;
        if (!routes.empty() && random() % 2 == 0) {
            const Prefix& other = routes[random() % routes.size()].prefix;
            inside = other.address.family == family ? &other : nullptr;
        }
        // Few values, so that neighbours and covering prefixes often agree.
        const auto value = static_cast<uint32_t>(1 + random() % 5);
        routes.push_back({random_prefix(random, family, inside), value});
    }
    return routes;
}

IpAddress moved(IpAddress address, int by) {
    for (int i = address.bits() / 8 - 1; i >= 0; --i) {
        uint8_t& byte = address.bytes[static_cast<size_t>(i)];
        byte = static_cast<uint8_t>(byte + by);
        if (byte != (by > 0 ? 0 : 0xff))
            break;
    }
    return address;
}

// Where mistakes show: the first and last address of every prefix, and those just outside.
std::vector<IpAddress> edges(const std::vector<Fib::Route>& routes) {
    std::vector<IpAddress> addresses;
    for (const Fib::Route& one : routes) {
        const IpAddress first = one.prefix.network().address;
        IpAddress last = first;
        for (unsigned bit = one.prefix.len; bit < last.bits(); ++bit)
            last.bytes[bit / 8] = static_cast<uint8_t>(last.bytes[bit / 8] | (0x80U >> (bit % 8)));
        for (const IpAddress& address : {first, last, moved(first, -1), moved(last, 1)})
            addresses.push_back(address);
    }
    return addresses;
}

void compare_with_naive(const std::vector<Fib::Route>& routes,
                        const std::vector<IpAddress>& addresses) {
    const auto fib = Fib::build(routes);
    const NaiveFib naive{routes};
    ASSERT_EQ(fib->nb_routes(), naive.size());
    std::vector<uint32_t> v4, expected_v4, expected_v6;
    std::vector<const uint8_t*> v6;
    for (const IpAddress& address : addresses) {
        const uint32_t expected = naive.lookup(address);
        ASSERT_EQ(fib->lookup(address), expected)
            << to_string(address) << " among " << routes.size() << " routes";
        if (address.is_v4()) {
            v4.push_back(address.v4_be());
            expected_v4.push_back(expected);
        } else {
            v6.push_back(address.bytes.data());
            expected_v6.push_back(expected);
        }
    }
    std::vector<uint32_t> values(v4.size());
    fib->lookup_v4(values, v4);
    ASSERT_EQ(values, expected_v4);
    std::fill(values.begin(), values.end(), UINT32_MAX);
    Fib::build(routes, Fib::BulkLookup::scalar)->lookup_v4(values, v4);
    ASSERT_EQ(values, expected_v4);
    values.resize(v6.size());
    fib->lookup_v6(values, v6);
    ASSERT_EQ(values, expected_v6);
}

TEST(Fib, AgreesWithTheNaiveOneOnOverlappingPrefixes) {
    std::mt19937_64 random{6};
    for (const size_t nb_routes : {1U, 2U, 3U, 5U, 8U, 13U, 40U, 100U, 400U, 3000U}) {
        for (int round = 0; round < (nb_routes < 100 ? 25 : 2); ++round) {
            const std::vector<Fib::Route> routes = random_routes(random, nb_routes);
            std::vector<IpAddress> addresses = edges(routes);
            for (int i = 0; i < 500; ++i) {
                const Family family = i % 2 == 0 ? Family::ipv4 : Family::ipv6;
                addresses.push_back(random_prefix(random, family, nullptr).address);
            }
            compare_with_naive(routes, addresses);
        }
    }
}

// Every length once around one address, in both families: 33 and 129 nested prefixes.
TEST(Fib, AgreesWithTheNaiveOneOnNestedLengths) {
    for (const char* text : {"170.170.170.170", "255.255.255.255", "0.0.0.0",
                             "aaaa:5555:aaaa:5555:aaaa:5555:aaaa:5555",
                             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::"}) {
        std::vector<Fib::Route> routes;
        const IpAddress address = *parse_address(text);
        for (unsigned len = 0; len <= address.bits(); ++len)
            routes.push_back({Prefix{address, static_cast<uint8_t>(len)}, len + 1});
        compare_with_naive(routes, edges(routes));
    }
}

// Each length alone: what is covered and what is not.
TEST(Fib, AgreesWithTheNaiveOneOnSinglePrefixes) {
    for (const char* text : {"170.170.170.170", "aaaa:5555:aaaa:5555:aaaa:5555:aaaa:5555"}) {
        const IpAddress address = *parse_address(text);
        for (unsigned len = 0; len <= address.bits(); ++len) {
            const std::vector<Fib::Route> routes{{Prefix{address, static_cast<uint8_t>(len)}, 7}};
            compare_with_naive(routes, edges(routes));
        }
    }
}

// Many uniformly spread routes, so that the table over the first bits is at its widest.
TEST(Fib, AgreesWithTheNaiveOneOnManyRoutes) {
    std::mt19937_64 random{18};
    std::vector<Fib::Route> routes;
    for (uint32_t i = 0; i < 150'000; ++i) {
        Prefix prefix;
        prefix.address.family = i % 3 == 0 ? Family::ipv6 : Family::ipv4;
        const uint64_t bits = random();
        std::memcpy(prefix.address.bytes.data(), &bits, prefix.address.is_v4() ? 4 : 8);
        prefix.len =
            static_cast<uint8_t>(prefix.address.is_v4() ? 12 + random() % 21 : 20 + random() % 109);
        routes.push_back({prefix, 1 + i});
    }
    std::vector<Fib::Route> some(routes.begin(), routes.begin() + 3000);
    compare_with_naive(routes, edges(some));
}

}  // namespace
}  // namespace meshgate

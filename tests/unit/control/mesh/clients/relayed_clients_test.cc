// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/clients/relayed_clients.h"

#include <gtest/gtest.h>

#include <map>

#include "control/wireguard/cookie.h"
#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {

namespace {

using namespace std::chrono_literals;
using wireguard::bytes_of;
using wireguard::to_le32;

struct OneWay final : RouteLookup {
    std::optional<NextHop> next_hop_to(const IpAddress& target) const override {
        const auto found = routes.find(target);
        return found == routes.end() ? std::nullopt : std::optional{found->second};
    }
    std::map<IpAddress, NextHop> routes;
};
struct Table final : RelayEntries {
    bool install(uint32_t index, LinkId link) override {
        return index != taken && links.emplace(index, link).second;
    }
    void move(uint32_t index, LinkId link) override { links.at(index) = link; }
    void remove(uint32_t index) override { EXPECT_EQ(links.erase(index), 1U); }
    std::map<uint32_t, LinkId> links;
    std::optional<uint32_t> taken;
};
struct Links final : ClientLinks {
    LinkId open(const ClientAddress& client) override {
        EXPECT_TRUE(known.emplace(client, next).second) << "opened twice";
        return full ? kNoLink : next++;
    }
    void close(LinkId link) override {
        EXPECT_EQ(std::erase_if(known, [&](const auto& one) { return one.second == link; }), 1U);
    }
    std::map<ClientAddress, LinkId> known;
    LinkId next = 1000;
    bool full = false;
};

const IpAddress kShop = node(2);
const IpAddress kOffice = node(3);
constexpr LinkId kShopLink = 20;
constexpr LinkId kOfficeLink = 30;
constexpr uint32_t kClientIndex = 0x11111111;
constexpr uint32_t kShopIndex = 0x22222222;

PublicKey key_of(const IpAddress& member) {
    PublicKey key;
    key.bytes.fill(member.bytes[15]);
    return key;
}

ClientAddress client(const char* remote) {
    return {endpoint(remote), endpoint("198.51.100.1:51820"), 0};
}

// Only what a relay can see of it is real.
std::vector<uint8_t> initiation(const IpAddress& member, uint32_t sender = kClientIndex) {
    wireguard::InitiationMessage message{};
    message.type = to_le32(1);
    message.sender_index = to_le32(sender);
    wireguard::CookieJar{key_of(member)}.stamp(bytes_of(message), 0);
    const auto bytes = bytes_of(std::as_const(message));
    return {bytes.begin(), bytes.end()};
}
std::vector<uint8_t> response(uint32_t receiver = kClientIndex, uint32_t sender = kShopIndex) {
    wireguard::ResponseMessage message{};
    message.type = to_le32(2);
    message.sender_index = to_le32(sender);
    message.receiver_index = to_le32(receiver);
    const auto bytes = bytes_of(std::as_const(message));
    return {bytes.begin(), bytes.end()};
}
std::vector<uint8_t> cookie_reply(uint32_t receiver = kClientIndex) {
    wireguard::CookieReplyMessage message{};
    message.type = to_le32(3);
    message.receiver_index = to_le32(receiver);
    const auto bytes = bytes_of(std::as_const(message));
    return {bytes.begin(), bytes.end()};
}

class MeshPublished : public testing::Test {
protected:
    MeshPublished() {
        routes.routes = {{kShop, {kShopLink, kShop}}, {kOffice, {kOfficeLink, kOffice}}};
        publish({kShop, kOffice});
    }
    void publish(const std::vector<IpAddress>& nodes) {
        std::vector<PublishedMember> members;
        for (const IpAddress& one : nodes)
            members.push_back({one, key_of(one)});
        published.set_published(members);
    }
    void from_client(const std::vector<uint8_t>& bytes, const ClientAddress& source) {
        published.receive(bytes, source, std::nullopt, now);
    }
    void from_member(const std::vector<uint8_t>& bytes, const IpAddress& member = kShop) {
        published.receive(bytes, client("203.0.113.9:51820"), member, now);
    }
    void handshake(uint32_t client_index, uint32_t member_index) {
        from_client(initiation(kShop, client_index), kPhone);
        from_member(response(client_index, member_index));
        published.take_datagrams();
    }
    void expect_nothing() { EXPECT_TRUE(published.take_datagrams().empty()); }
    void pass(Time::duration time) {
        const Time end = now + time;
        while (published.next_deadline() <= end) {
            now = std::max(now, published.next_deadline());
            published.tick(now);
        }
        now = end;
    }
    uint64_t counted(RelayedClientsCounter counter) const { return published.counter(counter); }

    const ClientAddress kPhone = client("192.0.2.7:4000");
    const ClientAddress kThief = client("192.0.2.66:6666");
    Time now = Time{} + 1h;
    OneWay routes;
    Table entries;
    Links links;
    RelayedClients published{routes, entries, links};
};

}  // namespace

TEST_F(MeshPublished, AHandshakePassesAndMakesTheSession) {
    from_client(initiation(kShop), kPhone);
    auto out = published.take_datagrams();
    ASSERT_EQ(out.size(), 1U);
    EXPECT_EQ(out[0].link, kShopLink);
    EXPECT_EQ(out[0].bytes, initiation(kShop));
    EXPECT_TRUE(entries.links.empty()) << "not before the member answers";
    from_member(response());
    out = published.take_datagrams();
    ASSERT_EQ(out.size(), 1U);
    EXPECT_FALSE(out[0].link);
    EXPECT_EQ(out[0].client, kPhone);
    EXPECT_EQ(out[0].bytes, response());
    EXPECT_EQ(entries.links.at(kShopIndex), kShopLink);
    EXPECT_EQ(entries.links.at(kClientIndex), links.known.at(kPhone));
}

TEST_F(MeshPublished, EachMemberIsToldByItsMac1) {
    from_client(initiation(kOffice), kPhone);
    EXPECT_EQ(published.take_datagrams().at(0).link, kOfficeLink);
    from_client(initiation(node(9), 5), kPhone);
    auto forged = initiation(kShop, 6);
    forged[20] ^= 1;
    from_client(forged, kPhone);
    expect_nothing();
    EXPECT_EQ(counted(RelayedClientsCounter::not_for_us), 2U);
    publish({kShop});
    from_client(initiation(kOffice, 7), kPhone);
    expect_nothing();
}

TEST_F(MeshPublished, NoAnswerWithoutAQuestion) {
    from_member(response());
    from_client(initiation(kShop), kPhone);
    published.take_datagrams();
    from_member(response(), kOffice);         // of another member
    from_client(response(), kThief);          // of nobody
    from_member(response(kClientIndex + 1));  // to nobody
    from_member({4, 0, 0, 0});
    auto longer = response();
    longer.push_back(0);
    from_member(longer);
    expect_nothing();
    EXPECT_EQ(counted(RelayedClientsCounter::not_for_us), 6U);
    EXPECT_TRUE(entries.links.empty());
    pass(kPublishedHandshake);
    from_member(response());
    expect_nothing();
    EXPECT_EQ(published.nb_waiting(), 0U);
}

TEST_F(MeshPublished, NeverMoreBackThanWasSent) {
    from_client(initiation(kShop), kPhone);
    published.take_datagrams();
    size_t nb_bytes = 0;
    for (int i = 0; i < 10; ++i) {
        from_member(cookie_reply());
        from_member(response());
        for (const RelayedClientsDatagram& one : published.take_datagrams())
            nb_bytes += one.bytes.size();
    }
    EXPECT_GT(nb_bytes, 0U);
    EXPECT_LE(nb_bytes, initiation(kShop).size());
    from_client(initiation(kShop, 5), kPhone);
    from_client(initiation(kShop, 5), kPhone);  // repeated: two may be answered
    published.take_datagrams();
    for (int i = 0; i < 10; ++i)
        from_member(cookie_reply(5));
    EXPECT_EQ(published.take_datagrams().size(), 2 * 148 / 64U);
    EXPECT_GT(counted(RelayedClientsCounter::over_budget), 0U);
}

// Whoever listens knows the index. Neither while the handshake runs nor afterwards can he turn the
// member's answers to himself.
TEST_F(MeshPublished, AnIndexInUseIsNobodyElses) {
    from_client(initiation(kShop), kPhone);
    published.take_datagrams();
    from_client(initiation(kShop), kThief);
    expect_nothing();
    from_member(response());
    EXPECT_EQ(published.take_datagrams().at(0).client, kPhone);
    from_client(initiation(kShop), kThief);
    from_client(initiation(kOffice), kThief);
    expect_nothing();
    EXPECT_EQ(entries.links.at(kClientIndex), links.known.at(kPhone));
    EXPECT_EQ(counted(RelayedClientsCounter::index_taken), 3U);
    // Nor does a second response of the member move its index.
    from_client(initiation(kShop, 77), kThief);
    from_member(response(77, kShopIndex));
    EXPECT_EQ(entries.links.size(), 2U);
    EXPECT_EQ(links.known.size(), 1U);
    EXPECT_EQ(counted(RelayedClientsCounter::index_taken), 4U);
}

TEST_F(MeshPublished, IndicesOfOthersAreLeftAlone) {
    for (const uint32_t taken : {kClientIndex, kShopIndex}) {
        entries.taken = taken;
        from_client(initiation(kShop), kPhone);
        published.take_datagrams();
        from_member(response());
        expect_nothing();
        EXPECT_TRUE(entries.links.empty());
        EXPECT_TRUE(links.known.empty());
    }
}

TEST_F(MeshPublished, SessionsEndAfter180SecondsAndShareALink) {
    handshake(1, 101);
    pass(120s);
    handshake(2, 102);  // rekeyed
    EXPECT_EQ(entries.links.size(), 4U);
    EXPECT_EQ(links.known.size(), 1U);
    pass(60s);
    EXPECT_EQ(entries.links.size(), 2U);
    EXPECT_TRUE(entries.links.contains(2));
    pass(120s);
    EXPECT_TRUE(entries.links.empty());
    EXPECT_TRUE(links.known.empty());
    EXPECT_EQ(published.next_deadline(), kNever);
}

TEST_F(MeshPublished, TheMembersLinkIsFollowed) {
    handshake(1, 101);
    routes.routes[kShop].link = 21;
    published.on_next_hop_changed(kShop);
    EXPECT_EQ(entries.links.at(101), 21U);
    routes.routes[kShop].link = 22;
    published.on_link_gone(21);
    EXPECT_EQ(entries.links.at(101), 22U);
    published.on_link_gone(22);
    EXPECT_TRUE(entries.links.empty());
    handshake(2, 102);
    published.on_link_gone(entries.links.at(2));
    EXPECT_TRUE(entries.links.empty()) << "the client's";
    handshake(3, 103);
    routes.routes[kShop] = {30, kOffice};  // only over another relay now
    published.on_next_hop_changed(kShop);
    EXPECT_TRUE(entries.links.empty());
    from_client(initiation(kShop), kPhone);
    expect_nothing();
    EXPECT_EQ(counted(RelayedClientsCounter::no_link), 1U);
}

TEST_F(MeshPublished, EndWithThePublication) {
    handshake(1, 101);
    from_client(initiation(kShop, 2), kPhone);
    publish({kOffice});
    EXPECT_EQ(published.nb_waiting(), 0U);
    EXPECT_TRUE(entries.links.empty());
    EXPECT_TRUE(links.known.empty());
}

TEST_F(MeshPublished, AFloodIsBounded) {
    for (uint32_t i = 0; i < 100'000; ++i) {
        ClientAddress source = kThief;
        source.remote.address = IpAddress::v4(0x01010101U + i);
        from_client(initiation(kShop, i), source);
        now += 10us;
    }
    EXPECT_LE(published.take_datagrams().size(), 500U + 500U) << "in a second";
    EXPECT_LE(published.nb_waiting(), 4096U);
    pass(kPublishedHandshake);
    EXPECT_EQ(published.nb_waiting(), 0U);
    for (uint32_t i = 0; i < 100; ++i)
        from_client(initiation(kShop, i), kThief);
    EXPECT_EQ(published.take_datagrams().size(), 16U) << "of one address";
    from_client(initiation(kShop, 200), kPhone);
    EXPECT_EQ(published.take_datagrams().size(), 1U);
}

TEST_F(MeshPublished, NotFromMembersAndNotFromNowhere) {
    from_member(initiation(kShop), kOffice);
    for (const char* source : {"127.0.0.1:1", "224.0.0.1:9", "0.0.0.0:7", "255.255.255.255:8"})
        from_client(initiation(kShop), client(source));
    expect_nothing();
    EXPECT_EQ(counted(RelayedClientsCounter::refused_source), 5U);
    EXPECT_EQ(published.nb_waiting(), 0U);
}

TEST_F(MeshPublished, WithoutRoomForALinkNothingIsLeft) {
    links.full = true;
    from_client(initiation(kShop), kPhone);
    published.take_datagrams();
    from_member(response());
    expect_nothing();
    EXPECT_TRUE(entries.links.empty());
    EXPECT_EQ(counted(RelayedClientsCounter::table_full), 1U);
    links.known.clear();
}

}  // namespace meshgate::mesh::test

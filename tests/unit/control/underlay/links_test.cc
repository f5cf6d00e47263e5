// SPDX-License-Identifier: Apache-2.0
#include <random>

#include "tests/unit/control/underlay/links_fixture.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

// ---- links of the mesh ----

TEST_F(LinksTest, AddressesALinkOnceTheNextHopAnswers) {
    const LinkId id = links.add(far, now);
    ASSERT_NE(id, kNoLink);
    EXPECT_EQ(links.find(id), nullptr);
    links.use(peer, id);
    EXPECT_NE(path(), nullptr) << "packets wait, they are not refused";
    resolve_gateways();
    ASSERT_NE(links.find(id), nullptr);
    EXPECT_EQ(path(), links.find(id)) << "the path follows its link";
    EXPECT_EQ(fake.link_table.at(id).get(), links.find(id));
    EXPECT_EQ(links.find(id)->remote, far.remote);
    EXPECT_EQ(links.find(id)->local, (Endpoint{*parse_address("192.0.2.1"), 51820}));
}

TEST_F(LinksTest, MovesAPeerByOneStoreAndRefusesItWithoutItsLink) {
    resolve_gateways();
    const LinkId one = links.add(far, now);
    const LinkId other = links.add({0, {*parse_address("198.51.100.8"), 51820}}, now);
    links.use(peer, one);
    EXPECT_EQ(path(), links.find(one));
    links.use(peer, other);
    EXPECT_EQ(path(), links.find(other));
    links.remove(one);
    EXPECT_EQ(path(), links.find(other)) << "what it does not use is nothing to it";
    links.remove(other);
    EXPECT_EQ(path(), nullptr);
}

TEST_F(LinksTest, IsOneLinkForTwoHolders) {
    const LinkId id = links.add(far, now);
    EXPECT_EQ(links.add(far, now), id);
    links.remove(id);
    EXPECT_EQ(links.id_of(far), id);
    links.remove(id);
    EXPECT_EQ(links.id_of(far), kNoLink);
}

TEST_F(LinksTest, SendsAHandshakeAsSoonAsTheNextHopAnswers) {
    const LinkId id = links.add(far, now);
    wireguard::SendMessage message;
    message.message.len = 148;
    links.send(id, message, now);
    EXPECT_TRUE(fake.take_sent().empty()) << "nobody knows the next hop yet";
    resolve_gateways();
    const auto sent = fake.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].info.inject, Inject::frame);
    EXPECT_EQ(sent[0].bytes.size(), 14U + 20 + 8 + 148);
    EXPECT_TRUE(std::ranges::equal(std::span{sent[0].bytes}.first(6), gateway_mac(0).bytes));
}

TEST_F(LinksTest, HasNoWayOverAPortThatIsNotThere) {
    EXPECT_FALSE(links.has_way({3, far.remote}));
    EXPECT_EQ(links.add({3, far.remote}, now), kNoLink);
    EXPECT_FALSE(links.has_way({0, {*parse_address("2001:db8::1"), 51820}})) << "no IPv6 here";
}

// ---- stock peers ----

TEST_F(LinksTest, LetsAPeerWaitUntilTheNextHopAnswers) {
    links.set_endpoint(peer, {.remote = far_end}, now);
    EXPECT_TRUE(waits(peer));
    EXPECT_EQ(links.path_of(peer)->mtu_bytes, 0);
    resolve_gateways();
    ASSERT_FALSE(waits(peer));
    EXPECT_EQ(path()->remote, far_end);
    EXPECT_EQ(path()->port, 0);
    EXPECT_EQ(links.path_of(peer)->mtu_bytes, 1440);
    links.refuse(peer);
    EXPECT_EQ(path(), nullptr);
    EXPECT_FALSE(links.path_of(peer));
}

TEST_F(LinksTest, MovesWithThePortsAndKeepsTheOldHeadersUntilThereAreBetterOnes) {
    resolve_gateways();
    links.set_endpoint(peer, {.remote = far_end}, now);
    ports[0].gateway_v4 = *parse_address("192.0.2.253");
    links.set_ports(ports, now);
    EXPECT_FALSE(waits(peer)) << "the new gateway has not answered yet";
    ports[0].up = false;
    links.set_ports(ports, now);
    EXPECT_EQ(path()->port, 1);
    EXPECT_EQ(path()->local.address, ports[1].addresses[0].address);
    links.set_ports({}, now);
    EXPECT_EQ(path(), nullptr);
    links.set_ports(ports, now);
    EXPECT_EQ(path()->port, 1);
}

TEST_F(LinksTest, AnswersFromTheAddressAndPortThatThePeerKnows) {
    resolve_gateways();
    links.set_listen_ports({kListenPort, 4000}, now);
    const Endpoint known{ports[1].addresses[0].address, 4000};
    links.set_endpoint(peer, {.remote = far_end, .local = known}, now);
    EXPECT_EQ(path()->local, known);
    links.set_listen_ports({kListenPort}, now);
    EXPECT_EQ(path()->local.port, kListenPort) << "the old port has expired";
}

TEST_F(LinksTest, AsksASilentNextHopAgain) {
    links.set_endpoint(peer, {.remote = {*parse_address("192.0.2.9"), 1}}, now);
    links.wait(peers[1]);
    resolve_gateways();
    neighbors.take_frames();
    links.set_endpoint(peer, {.remote = {*parse_address("192.0.2.10"), 1}}, now);
    pass(4);
    EXPECT_EQ(neighbors.state(0, *parse_address("192.0.2.10")), Neighbors::State::failed);
    EXPECT_NE(links.next_deadline(), kNever);
    pass(12);
    neighbors.take_frames();
    pass(6);
    bool asked = false;
    for (const auto& frame : neighbors.take_frames()) {
        const auto question = parse_neighbor_frame(frame.frame, 0);
        asked = asked || (question && question->target == *parse_address("192.0.2.10"));
    }
    EXPECT_TRUE(asked) << "for as long as it is wanted";
    resolve_gateways();
    links.refuse(peer);
    EXPECT_EQ(links.next_deadline(), kNever);
}

TEST_F(LinksTest, CountsHandshakesThatCannotLeave) {
    links.send(initiation_to({*parse_address("2001:db8::1"), 1}), now);
    EXPECT_EQ(fake.drops(Drop::no_endpoint), 1U);
    links.send(initiation_to({*parse_address("192.0.2.9"), 1}), now);
    EXPECT_EQ(fake.drops(Drop::unresolved_neighbor), 0U) << "it waits";
    pass(4);
    EXPECT_EQ(fake.drops(Drop::unresolved_neighbor), 1U);
    links.send(initiation_to({*parse_address("192.0.2.9"), 1}), now);
    EXPECT_EQ(fake.drops(Drop::unresolved_neighbor), 2U) << "it failed just now";
}

// ---- path MTU ----

class LinksMtu : public LinksTest {
protected:
    LinksMtu() {
        resolve_gateways();
        links.set_endpoint(peer, {.remote = far_end}, now);
        start_session(peer, 7);
    }
    PathMtuReport report(uint16_t mtu_bytes) const {
        return {.local = path()->local,
                .remote = far_end,
                .receiver_index_le = 7,
                .mtu_bytes = mtu_bytes};
    }
};

TEST_F(LinksMtu, BelievesWhatQuotesALiveSession) {
    auto strange = report(1400);
    strange.receiver_index_le = 8;
    links.on_path_mtu(strange, now);
    strange = report(1400);
    strange.remote.port = 1;
    links.on_path_mtu(strange, now);
    strange = report(1400);
    strange.local.port = 1;
    links.on_path_mtu(strange, now);
    EXPECT_EQ(path()->mtu_bytes, 1440);
    links.on_path_mtu(report(1400), now);
    EXPECT_EQ(path()->mtu_bytes, 1328);
    links.on_path_mtu(report(1450), now);
    EXPECT_EQ(path()->mtu_bytes, 1328) << "never wider";
    now += 10min;
    EXPECT_LE(links.next_deadline(), now);
    links.tick(now);
    EXPECT_EQ(path()->mtu_bytes, 1440);
}

TEST_F(LinksMtu, BelievesAQuoteOfPortsOnlyOfASessionThatSentJustNow) {
    auto short_quote = report(1400);
    short_quote.receiver_index_le.reset();
    fake.now_ns = 100'000'000'000;
    links.on_path_mtu(short_quote, now);
    EXPECT_EQ(path()->mtu_bytes, 1440) << "nothing was sent";
    fake.activities[peer] = {.last_any_tx_tsc = 94'000'000'000};
    links.on_path_mtu(short_quote, now);
    EXPECT_EQ(path()->mtu_bytes, 1440) << "not of late";
    fake.activities[peer] = {.last_any_tx_tsc = 99'000'000'000};
    auto strange = short_quote;
    strange.local.port = 1;
    links.on_path_mtu(strange, now);
    EXPECT_EQ(path()->mtu_bytes, 1440) << "not by this link";
    links.on_path_mtu(short_quote, now);
    EXPECT_EQ(path()->mtu_bytes, 1328);
    now += 1min;
    links.tick(now);
    EXPECT_EQ(path()->mtu_bytes, 1440) << "tried again soon";
}

TEST_F(LinksMtu, HoldsForLinksOfTheMeshToo) {
    links.refuse(peer);
    const LinkId id = links.add(far, now);
    links.use(peer, id);
    links.on_path_mtu(report(1400), now);
    EXPECT_EQ(links.find(id)->mtu_bytes, 1328);
    EXPECT_EQ(path()->mtu_bytes, 1328);
}

TEST_F(LinksMtu, HoldsForAllLinksAlongThePath) {
    const LinkId same = links.add({0, {far_end.address, 9}}, now);
    const LinkId other_port = links.add({1, far_end}, now);
    const LinkId other_end = links.add({0, {*parse_address("198.51.100.8"), 9}}, now);
    links.on_path_mtu(report(1400), now);
    EXPECT_EQ(links.find(same)->mtu_bytes, 1328);
    EXPECT_EQ(links.find(other_port)->mtu_bytes, 1440);
    EXPECT_EQ(links.find(other_end)->mtu_bytes, 1440);
    const LinkId later = links.add({0, {far_end.address, 10}}, now);
    EXPECT_EQ(links.find(later)->mtu_bytes, 1328) << "known already";
}

TEST_F(LinksMtu, ComesBackWithTheEndpoint) {
    links.on_path_mtu(report(1400), now);
    links.set_endpoint(peer, {.remote = {*parse_address("198.51.100.8"), 9}}, now);
    EXPECT_EQ(path()->mtu_bytes, 1440) << "of another path nothing is known";
    links.set_endpoint(peer, {.remote = far_end}, now);
    EXPECT_EQ(path()->mtu_bytes, 1328);
}

TEST_F(LinksMtu, LooksAtSoManyReportsOnly) {
    for (int i = 0; i < 100; ++i)
        links.on_path_mtu({.local = {}, .remote = far_end}, now);
    links.on_path_mtu(report(1400), now);
    EXPECT_EQ(path()->mtu_bytes, 1440);
    links.on_path_mtu(report(1400), now + 1s);
    EXPECT_EQ(path()->mtu_bytes, 1328);
}

// ---- all of it, at random ----

// What each peer's path must be, said in the simplest way: no state but what was asked for.
bool forbids_fragments(const Link& link) {
    return (link.header[link.ip_offset + 6U] & 0x40) != 0;  // DF
}

// Who cannot answer probes must get what routers cut without a word; members find their size.
TEST_F(LinksTest, RoutersMayCutWhatGoesToStockPeersAndClients) {
    links.set_endpoint(peer, {.remote = far_end, .local = {}}, now);
    const LinkId member = links.add(far, now);
    const LinkId client = links.add({1, far_end}, now, OuterFragments::allowed);
    resolve_gateways();
    EXPECT_FALSE(forbids_fragments(*path()));
    EXPECT_TRUE(forbids_fragments(*links.find(member)));
    EXPECT_FALSE(forbids_fragments(*links.find(client)));
}

class LinksModel : public LinksTest {
protected:
    struct Wanted {
        enum class Kind : uint8_t { refused, waits, endpoint, link } kind = Kind::refused;
        LinkTarget target{};
    };
    uint32_t below(uint32_t n) { return static_cast<uint32_t>(random() % n); }
    Endpoint some_endpoint() {
        return {IpAddress::v4(0x076433c6 + (below(3) << 24)), static_cast<uint16_t>(1 + below(2))};
    }
    void step();
    void check(int round) const;

    std::minstd_rand random{1};
    std::map<PeerId, Wanted> wanted;
    std::map<LinkKey, std::pair<LinkId, int>> held;  // by key: id, holders
};

void LinksModel::step() {
    const PeerId which = peers[below(static_cast<uint32_t>(peers.size()))];
    const LinkKey key{static_cast<PortId>(below(2)), some_endpoint()};
    switch (below(8)) {
        case 0:
        case 1: {
            const LinkTarget target{.remote = some_endpoint(),
                                    .local = {ports[below(2)].addresses[0].address, kListenPort}};
            links.set_endpoint(which, {.remote = target.remote, .local = target.local}, now);
            wanted[which] = {Wanted::Kind::endpoint, target};
            return;
        }
        case 2:
            links.refuse(which);
            wanted[which] = {};
            return;
        case 3:
            links.wait(which);
            wanted[which] = {Wanted::Kind::waits};
            return;
        case 4: {
            const LinkId id = links.add(key, now);
            if (id != kNoLink)
                held[key] = {id, held[key].second + 1};
            return;
        }
        case 5:
            if (const auto found = held.find(key); found != held.end()) {
                links.remove(found->second.first);
                if (--found->second.second > 0)
                    return;
                held.erase(found);
                for (auto& [user, want] : wanted) {
                    if (want.kind == Wanted::Kind::link &&
                        want.target == LinkTarget{.remote = key.remote, .port = key.port})
                        want = {};
                }
            }
            return;
        case 6:
            if (const auto found = held.find(key); found != held.end()) {
                links.use(which, found->second.first);
                wanted[which] = {Wanted::Kind::link, {.remote = key.remote, .port = key.port}};
            }
            return;
        default:
            ports[below(2)].mtu_bytes = static_cast<uint16_t>(1400 + below(2) * 100);
            links.set_ports(ports, now);
            return;
    }
}

void LinksModel::check(int round) const {
    for (const PeerId which : peers) {
        const auto found = wanted.find(which);
        const Wanted want = found == wanted.end() ? Wanted{} : found->second;
        const Link* path = fake.path(which);
        if (want.kind == Wanted::Kind::refused) {
            EXPECT_EQ(path, nullptr) << "round " << round;
            continue;
        }
        if (want.kind == Wanted::Kind::waits) {
            EXPECT_TRUE(waits(which)) << "round " << round;
            continue;
        }
        const bool any = want.target.port == kNoPort;
        const auto choice =
            choose_link(any ? std::span{ports} : std::span{ports}.subspan(want.target.port, 1),
                        want.target.remote.address, want.target.local.address);
        ASSERT_TRUE(choice && path != nullptr) << "round " << round;
        const UnderlayPort& port = ports[choice->next_hop.port];
        const Link expected =
            make_link({.port = port.id,
                       .port_mtu_bytes = port.mtu_bytes,
                       .vlan = port.vlan,
                       .source_mac = port.mac,
                       .next_hop_mac = gateway_mac(port.id),
                       .local = {choice->source, kListenPort},
                       .remote = want.target.remote,
                       .fragments = any ? OuterFragments::allowed : OuterFragments::forbidden});
        EXPECT_EQ(path->header, expected.header) << "round " << round;
        EXPECT_EQ(path->mtu_bytes, port.mtu_bytes == 1400 ? 1328 : 1440) << "round " << round;
    }
    EXPECT_EQ(fake.link_table.size(), held.size()) << "round " << round;
    for (const auto& [key, holder] : held)
        EXPECT_EQ(fake.link_table.at(holder.first).get(), links.find(holder.first));
}

TEST_F(LinksModel, AgreesAtRandom) {
    resolve_gateways();
    for (int round = 0; round < 5'000 && !HasFatalFailure(); ++round) {
        step();
        check(round);
    }
    for (const PeerId which : peers)
        links.refuse(which);
    for (const auto& [key, holder] : held) {
        for (int i = 0; i < holder.second; ++i)
            links.remove(holder.first);
    }
    EXPECT_TRUE(fake.link_table.empty());
    EXPECT_EQ(links.next_deadline(), kNever);
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
// The parts of the mesh that touch packets, links and the disk.
#include <gtest/gtest.h>
#include <sodium.h>

#include <filesystem>
#include <fstream>

#include "config/network_file.h"
#include "control/mesh/members/network_store.h"
#include "control/packets/udp.h"
#include "control/underlay/link_table.h"
#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::mesh {
namespace {

using control::FakeDataplane;
using namespace std::chrono_literals;

DataplaneOptions one_wan() {
    DataplaneOptions options;
    options.ports.push_back({.name = "wan0", .role = PortRole::wan});
    return options;
}

// ---- UDP ----

class MeshUdp : public testing::Test {
protected:
    std::vector<uint8_t> datagram(std::span<const uint8_t> payload) {
        const Packet packet = make_udp(fake, options, payload);
        return packet ? std::vector<uint8_t>{packet.bytes().begin(), packet.bytes().end()}
                      : std::vector<uint8_t>{};
    }

    FakeDataplane fake{one_wan()};
    UdpOptions options{.source = {*parse_address("fd00::1"), 6698},
                       .destination = {*parse_address("fd00::2"), 6698},
                       .hop_limit = 64};
};

TEST_F(MeshUdp, ReadsWhatItWrote) {
    for (const size_t len : {0U, 1U, 2U, 777U, 1200U}) {
        std::vector<uint8_t> payload(len);
        for (uint8_t& byte : payload)
            byte = static_cast<uint8_t>(randombytes_random());
        const auto ip = datagram(payload);
        const auto view = parse_udp(ip);
        ASSERT_TRUE(view) << len;
        EXPECT_EQ(view->source, options.source);
        EXPECT_EQ(view->destination, options.destination);
        EXPECT_TRUE(std::ranges::equal(view->payload, payload));
        EXPECT_EQ(ip[7], 64);
    }
}

TEST_F(MeshUdp, NoticesEveryChangedBitThatCounts) {
    const auto good = datagram(std::vector<uint8_t>(33, 0xa5));
    for (size_t at = 0; at < good.size(); ++at) {
        if (at < 4 || at == 7)
            continue;  // traffic class, flow label, hop limit: no part of it
        for (unsigned bit = 0; bit < 8; ++bit) {
            auto bad = good;
            bad[at] = static_cast<uint8_t>(bad[at] ^ (1U << bit));
            EXPECT_FALSE(parse_udp(bad)) << at << '.' << bit;
        }
    }
}

TEST_F(MeshUdp, RefusesWhatIsCutShortAndWhatIsTooLong) {
    const auto good = datagram(std::vector<uint8_t>(20, 1));
    for (size_t len = 0; len < good.size(); ++len)
        EXPECT_FALSE(parse_udp(std::span{good}.first(len))) << len;
    EXPECT_TRUE(datagram(std::vector<uint8_t>(1401)).empty());
}

// ---- links ----

class MeshLinkTable : public testing::Test {
protected:
    MeshLinkTable() {
        UnderlayPort port;
        port.id = 0;
        port.mac = FakeDataplane::mac_of(0);
        port.addresses = {*parse_prefix("192.0.2.1/24")};
        port.gateway_v4 = *parse_address("192.0.2.254");
        neighbors.set_ports({{.identity = {port.mac, 0},
                              .addresses = {port.addresses[0].address},
                              .networks = {port.addresses[0].network()},
                              .gateways = {port.gateway_v4}}},
                            now);
        table.set_ports({port}, now);
        table.set_listen_port(51820, now);
        peer = fake.add_peer();
    }

    // Answers the question that is out for the gateway; everybody beyond it is reached by this.
    void resolve_gateway() {
        for (const auto& frame : neighbors.take_frames()) {
            const auto question = control::parse_neighbor_frame(frame.frame, 0);
            if (question && question->target == *parse_address("192.0.2.254"))
                neighbors.receive(0, control::build_answer({gateway, 0}, *question), now);
        }
        for (const auto& event : neighbors.take_events())
            table.on_neighbor(event, now);
    }
    const Link* path() { return fake.path(peer); }

    const MacAddress gateway{{2, 9, 9, 9, 9, 9}};
    const LinkKey far{0, {*parse_address("198.51.100.7"), 51820}};
    Time now = Time{} + 1h;
    FakeDataplane fake{one_wan()};
    Neighbors neighbors;
    LinkTable table{fake, neighbors};
    PeerId peer = kNoPeer;
};

TEST_F(MeshLinkTable, AddressesALinkOnceTheNextHopAnswers) {
    const LinkId id = table.add(far, now);
    ASSERT_NE(id, kNoLink);
    EXPECT_EQ(table.find(id), nullptr);
    table.use(peer, id);
    EXPECT_NE(path(), nullptr) << "packets wait, they are not refused";
    resolve_gateway();
    ASSERT_NE(table.find(id), nullptr);
    EXPECT_EQ(path(), table.find(id)) << "the path follows its link";
    EXPECT_EQ(fake.link_table.at(id).get(), table.find(id));
    EXPECT_EQ(table.find(id)->remote, far.remote);
    EXPECT_EQ(table.find(id)->local, (Endpoint{*parse_address("192.0.2.1"), 51820}));
}

TEST_F(MeshLinkTable, MovesAPeerByOneStoreAndRefusesItWithoutItsLink) {
    resolve_gateway();
    const LinkId one = table.add(far, now);
    const LinkId other = table.add({0, {*parse_address("198.51.100.8"), 51820}}, now);
    table.use(peer, one);
    EXPECT_EQ(path(), table.find(one));
    table.use(peer, other);
    EXPECT_EQ(path(), table.find(other));
    table.remove(one);
    EXPECT_EQ(path(), table.find(other)) << "what it does not use is nothing to it";
    table.remove(other);
    EXPECT_EQ(path(), nullptr);
}

TEST_F(MeshLinkTable, IsOneLinkForTwoHolders) {
    const LinkId id = table.add(far, now);
    EXPECT_EQ(table.add(far, now), id);
    table.remove(id);
    EXPECT_EQ(table.id_of(far), id);
    table.remove(id);
    EXPECT_EQ(table.id_of(far), kNoLink);
}

TEST_F(MeshLinkTable, SendsAHandshakeAsSoonAsTheNextHopAnswers) {
    const LinkId id = table.add(far, now);
    wireguard::SendMessage message;
    message.message.len = 148;
    table.send(id, message, now);
    EXPECT_TRUE(fake.take_sent().empty()) << "nobody knows the next hop yet";
    resolve_gateway();
    const auto sent = fake.take_sent();
    ASSERT_EQ(sent.size(), 1U);
    EXPECT_EQ(sent[0].info.inject, Inject::frame);
    EXPECT_EQ(sent[0].bytes.size(), 14U + 20 + 8 + 148);
    EXPECT_TRUE(std::ranges::equal(std::span{sent[0].bytes}.first(6), gateway.bytes));
}

TEST_F(MeshLinkTable, HasNoWayOverAPortThatIsNotThere) {
    EXPECT_FALSE(table.has_way({3, far.remote}));
    EXPECT_EQ(table.add({3, far.remote}, now), kNoLink);
    EXPECT_FALSE(table.has_way({0, {*parse_address("2001:db8::1"), 51820}})) << "no IPv6 here";
}

// ---- the network file ----

class MeshNetworkStore : public testing::Test {
protected:
    MeshNetworkStore() {
        std::string name = std::filesystem::temp_directory_path() / "meshgate-store-XXXXXX";
        folder = mkdtemp(name.data());
        options.file = folder / "network.yaml";
        options.authority = authority;
        model.network = options;
        model.node.public_key = box;
    }
    ~MeshNetworkStore() override { std::filesystem::remove_all(folder); }

    config::SignedNetwork version(uint64_t number, const std::string& name = "acme") const {
        config::SignedNetwork result;
        result.text = "version: " + std::to_string(number) + "\nname: " + name +
                      "\nmembers:\n  - {name: berlin, public_key: \"" + to_string(box) + "\"}\n";
        result.signature = config::sign(result.text, secret);
        return result;
    }
    void install(const config::SignedNetwork& network) const {
        std::ofstream{options.file} << network.text;
        std::ofstream{options.file + ".sig"}
            << config::to_string(config::SignatureFile{.signature = network.signature});
    }

    std::filesystem::path folder;
    const SecretKey secret = config::generate_authority_secret();
    const config::AuthorityKey authority = config::authority_key_of(secret);
    const PublicKey box = public_key_of(generate_private_key());
    config::NetworkOptions options;
    config::Model model;
    std::vector<config::Diagnostic> diagnostics;
};

TEST_F(MeshNetworkStore, TakesOnlyWhatIsSignedAndNewer) {
    install(version(5));
    NetworkStore store{authority, folder / "kept"};
    ASSERT_TRUE(store.load(model, diagnostics));
    EXPECT_EQ(store.network().version, 5U);

    EXPECT_FALSE(store.offer(version(5), "test").taken);
    EXPECT_FALSE(store.offer(version(4), "test").taken);
    EXPECT_FALSE(store.offer(version(9, "other"), "test").taken) << "another network";
    auto forged = version(9);
    forged.text += "# more\n";
    EXPECT_FALSE(store.offer(forged, "test").taken);
    config::SignedNetwork wrong{.text = "version: 9\n", .signature = {}};
    wrong.signature = config::sign(wrong.text, secret);
    EXPECT_FALSE(store.offer(wrong, "test").taken) << "signed, but no network";
    EXPECT_EQ(store.network().version, 5U);

    const auto offer = store.offer(version(6), "test");
    EXPECT_TRUE(offer.taken);
    EXPECT_TRUE(offer.warning.empty()) << offer.warning;
    EXPECT_EQ(store.network().version, 6U);
}

TEST_F(MeshNetworkStore, KeepsTheLastGoodOneOverARestart) {
    install(version(5));
    {
        NetworkStore store{authority, folder / "kept"};
        ASSERT_TRUE(store.load(model, diagnostics));
        ASSERT_TRUE(store.offer(version(8), "test").taken);
    }
    NetworkStore store{authority, folder / "kept"};
    ASSERT_TRUE(store.load(model, diagnostics));
    EXPECT_EQ(store.network().version, 8U);
    // A newer one that was installed by hand wins, and a broken one is no reason not to start.
    install(version(9));
    ASSERT_TRUE(store.load(model, diagnostics));
    EXPECT_EQ(store.network().version, 9U);
    std::ofstream{options.file} << "version: broken";
    ASSERT_TRUE(store.load(model, diagnostics));
    EXPECT_EQ(store.network().version, 8U);
    EXPECT_FALSE(diagnostics.empty());
}

TEST_F(MeshNetworkStore, DoesNotStartWithoutAGoodOne) {
    NetworkStore store{authority, folder / "kept"};
    EXPECT_FALSE(store.load(model, diagnostics));
    EXPECT_FALSE(diagnostics.empty());
    std::ofstream{folder / "kept"} << "rubbish";
    EXPECT_FALSE(store.load(model, diagnostics));
}

TEST_F(MeshNetworkStore, TakesAFileThatCannotBeKeptAndSaysSo) {
    install(version(5));
    NetworkStore store{authority, folder / "no" / "such" / "folder" / "kept"};
    ASSERT_TRUE(store.load(model, diagnostics));
    const auto offer = store.offer(version(6), "test");
    EXPECT_TRUE(offer.taken);
    EXPECT_FALSE(offer.warning.empty());
}

}  // namespace
}  // namespace meshgate::mesh

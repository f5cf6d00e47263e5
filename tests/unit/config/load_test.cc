// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <regex>
#include <set>

#include "config/schema/keys.h"
#include "config/schema/values.h"
#include "tests/unit/config/fixture.h"

namespace meshgate::config {
namespace {

class Load : public testing::Test {
protected:
    Model good(const std::string& text) const {
        LoadResult result = folder_.load(text);
        EXPECT_TRUE(result.model.has_value()) << explain(result);
        return result.model.value_or(Model{});
    }
    // Codes of all that is said about a file, in order.
    std::string codes(const std::string& text) const {
        std::string all;
        for (const Diagnostic& diagnostic : folder_.load(text).diagnostics)
            all += (all.empty() ? "" : " ") + diagnostic.code;
        return all;
    }
    KeyFolder folder_;
};

TEST_F(Load, TakesEachExample) {
    unsigned nb_examples = 0;
    for (const auto& entry : std::filesystem::directory_iterator(MESHGATE_EXAMPLES)) {
        if (entry.path().filename() == "network.yaml")
            continue;
        std::string text = contents_of(entry.path());
        const std::regex key_file{"_file: (/etc/meshgate/)?(\\S+)"};
        for (std::sregex_iterator it{text.begin(), text.end(), key_file}, end; it != end; ++it)
            folder_.write((*it)[2], (*it)[2].str().ends_with(".mac")
                                        ? "00112233445566778899aabbccddeeff\n"
                                        : to_base64(generate_private_key()) + "\n");
        const LoadResult result = folder_.load(std::regex_replace(text, key_file, "_file: $2"));
        EXPECT_TRUE(result.diagnostics.empty()) << entry.path() << "\n" << explain(result);
        ++nb_examples;
    }
    EXPECT_EQ(nb_examples, 4U);
}

TEST_F(Load, FullExampleHasEveryKey) {
    const std::string text = contents_of(std::string{MESHGATE_EXAMPLES} + "/full.yaml");
    for (const KeyRule& rule : keys())
        EXPECT_NE(text.find(std::string{rule.name} + ":"), std::string::npos) << rule.name;
}

TEST_F(Load, FillsTheModel) {
    const Model model = good(std::string{kGoodFile} + R"(routes:
  - {prefix: 10.1.8.0/21, via: 10.1.0.254}
  - {prefix: 10.0.0.0/8, blackhole: true}
wireguard: {listen_port: 4500}
dataplane: {cores: [2, 3], idle: busy, crypto: libsodium, hugepages: never, memory: 1GiB, max_peers: 100}
peers:
  - name: alice
    public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    preshared_key_file: alice.psk
    allowed_ips: [10.9.0.2, "fd10:9::/64"]
    endpoint: "[2001:db8::7]:51820"
    persistent_keepalive: 2min
control: {socket: /tmp/a.sock, http: "[::1]:80", wg_socket: off}
log: {level: trace, format: json}
)");
    EXPECT_EQ(model.node.name, "berlin");
    EXPECT_EQ(model.node.private_key_file, folder_.str() + "/berlin.key");
    EXPECT_EQ(to_string(model.node.public_key), kPublicKey);
    ASSERT_EQ(model.ports.size(), 2U);
    EXPECT_EQ(model.ports[0].device, (Device{DeviceKind::af_packet, "eth0"}));
    EXPECT_EQ(model.ports[0].role, Role::wan);
    EXPECT_EQ(model.ports[0].gateway_v4, parse_address("198.51.100.1"));
    EXPECT_EQ(model.ports[1].addresses,
              (std::vector{*parse_prefix("10.1.0.1/24"), *parse_prefix("fd10:1::1/64")}));
    ASSERT_EQ(model.routes.size(), 2U);
    EXPECT_EQ(model.routes[0].via, parse_address("10.1.0.254"));
    EXPECT_FALSE(model.routes[1].via.has_value());
    EXPECT_EQ(model.wireguard.listen_port, 4500);
    EXPECT_EQ(model.dataplane.workers, 2U);
    EXPECT_EQ(model.dataplane.cores, (std::vector<unsigned>{2, 3}));
    EXPECT_EQ(model.dataplane.idle, Idle::busy);
    EXPECT_EQ(model.dataplane.crypto, Crypto::libsodium);
    EXPECT_EQ(model.dataplane.hugepages, Hugepages::never);
    EXPECT_EQ(model.dataplane.memory_bytes, uint64_t{1} << 30);
    EXPECT_EQ(model.dataplane.max_peers, 100U);
    ASSERT_EQ(model.peers.size(), 1U);
    EXPECT_EQ(model.peers[0].allowed_ips,
              (std::vector{*parse_prefix("10.9.0.2/32"), *parse_prefix("fd10:9::/64")}));
    EXPECT_EQ(model.peers[0].endpoint, parse_endpoint("[2001:db8::7]:51820"));
    EXPECT_EQ(model.peers[0].persistent_keepalive_s, 120);
    EXPECT_NE(model.peers[0].preshared_key_tag, (std::array<uint8_t, 16>{}));
    EXPECT_EQ(model.control.socket, "/tmp/a.sock");
    EXPECT_EQ(model.control.http, parse_endpoint("[::1]:80"));
    EXPECT_EQ(model.control.wg_socket, "");
    EXPECT_EQ(model.log.level, LogLevel::trace);
    EXPECT_EQ(model.log.format, LogFormat::json);
}

TEST_F(Load, TakesBothRolesOnOnePort) {
    std::string text = kGoodFile;
    text.replace(text.find("role: wan"), 9, "role: [lan, wan]");
    const Model model = good(text);
    EXPECT_EQ(model.ports[0].role, Role::one_arm);
    EXPECT_TRUE(is_wan(model.ports[0].role) && is_lan(model.ports[0].role));
    EXPECT_FALSE(is_wan(model.ports[1].role));
    text.replace(text.find("[lan, wan]"), 10, "[wan]");
    EXPECT_EQ(good(text).ports[0].role, Role::wan);
}

TEST_F(Load, TakesNamesAsEndpoints) {
    const Model model =
        good(std::string{kGoodFile} + kAlice + "    endpoint: gw.example.net:4500\n");
    EXPECT_EQ(model.peers[0].endpoint_name, (EndpointName{"gw.example.net", 4500}));
    EXPECT_FALSE(model.peers[0].endpoint.has_value());
}

TEST_F(Load, KeepsWhatIsDisabled) {
    const Model model =
        good(std::string{kGoodFile} + "    enabled: false\n" + kAlice + "    enabled: false\n" +
             "routes: [{prefix: 10.8.0.0/24, via: 10.1.0.9, enabled: false}]\n");
    EXPECT_TRUE(model.ports[0].enabled);
    EXPECT_FALSE(model.ports[1].enabled || model.peers[0].enabled || model.routes[0].enabled);
    EXPECT_EQ(model.ports[1].addresses.size(), 2U);
}

TEST_F(Load, FillsTheEntriesOfBabel) {
    folder_.write("lan.mac", "00ff0102\n");
    const Model model = good(std::string{kGoodFile} + kAlice + R"(babel:
  - {port: lan0, accept: [10.6.0.0/16], announce: [], hello: 500ms, medium: wireless, cost_bias: 7,
     key_file: lan.mac, key_algorithm: blake2s}
  - {peer: alice, accept: []}
)");
    ASSERT_EQ(model.babel.size(), 2U);
    const Babel& lan = model.babel[0];
    EXPECT_EQ(lan.port, "lan0");
    EXPECT_EQ(lan.accept, std::vector{*parse_prefix("10.6.0.0/16")});
    EXPECT_EQ(lan.announce, std::vector<Prefix>{});
    EXPECT_EQ(lan.hello_ms, 500U);
    EXPECT_EQ(lan.medium, Medium::wireless);
    EXPECT_EQ(lan.cost_bias, 7);
    EXPECT_EQ(lan.key_file, folder_.str() + "/lan.mac");
    EXPECT_EQ(lan.key_algorithm, MacAlgorithm::blake2s);
    EXPECT_NE(lan.key_tag, (std::array<uint8_t, 16>{}));
    const Babel& alice = model.babel[1];
    EXPECT_EQ(alice.peer, "alice");
    EXPECT_TRUE(alice.accept.empty());
    EXPECT_FALSE(alice.announce.has_value());
    EXPECT_EQ(alice.hello_ms, 4000U);
    EXPECT_EQ(alice.cost_bias, 0);
    EXPECT_TRUE(model.ports[1].babel);
    EXPECT_FALSE(model.ports[0].babel);
}

TEST_F(Load, RefusesWhatIsNoKeyForMacs) {
    const auto code_of = [this](const std::string& contents, const char* algorithm) {
        folder_.write("lan.mac", contents);
        const LoadResult result = folder_.load(
            std::string{kGoodFile} + "babel: [{port: lan0, accept: [], key_file: lan.mac, " +
            "key_algorithm: " + algorithm + "}]\n");
        return result.diagnostics.empty() ? "" : result.diagnostics[0].code;
    };
    const std::string longest(128, 'a');
    EXPECT_EQ(code_of("00\n", "hmac-sha256"), "");
    EXPECT_EQ(code_of(longest + "\r\n", "hmac-sha256"), "");
    EXPECT_EQ(code_of(longest.substr(64), "blake2s"), "");
    for (const std::string& bad :
         {std::string{}, std::string{"\n"}, std::string{"0"}, std::string{"0x00"},
          std::string{"00 11"}, longest + "00", std::string{"00\n11\n"}})
        EXPECT_EQ(code_of(bad, "hmac-sha256"), "key-file") << bad;
    EXPECT_EQ(code_of(longest.substr(62), "blake2s"), "key-file");
}

TEST_F(Load, TakesTheRoleAndNumberOfAMemif) {
    const std::string text{kGoodFile};
    const auto with_device = [&text](const std::string& device) {
        return std::regex_replace(text, std::regex{"af_packet:eth1"}, "\"" + device + "\"");
    };
    for (const char* argument : {"/run/m.sock", "/run/m.sock,role=client", "/run/m.sock,id=7",
                                 "/run/m.sock,id=7,role=server"}) {
        const Model model = good(with_device(std::string{"memif:"} + argument));
        EXPECT_EQ(model.ports.at(1).device, (Device{DeviceKind::memif, argument}));
    }
    for (const char* argument : {"m.sock", ",role=client", "/run/m.sock,", "/run/m.sock,role=peer",
                                 "/run/m.sock,id=", "/run/m.sock,id=x", "/run/m.sock,,id=7"}) {
        const LoadResult result = folder_.load(with_device(std::string{"memif:"} + argument));
        EXPECT_FALSE(result.diagnostics.empty()) << argument;
    }
}

TEST_F(Load, GivesTheDefaultsOfTheModel) {
    const Model model = good(kGoodFile);
    Control control;
    control.http = parse_endpoint("127.0.0.1:9586");
    control.wg_socket = "/var/run/wireguard/berlin.sock";
    EXPECT_EQ(model.wireguard, WireGuard{});
    EXPECT_EQ(model.dataplane, Dataplane{});
    EXPECT_EQ(model.control, control);
    EXPECT_EQ(model.log, Log{});
    EXPECT_EQ(model.ports[0].mtu_bytes, 1500);
    EXPECT_TRUE(model.peers.empty());
}

TEST_F(Load, CutsTheInterfaceNameForWg) {
    std::string text = kGoodFile;
    text.replace(text.find("name: berlin,"), 13, "name: a-very-long-box-name,");
    EXPECT_EQ(good(text).control.wg_socket, "/var/run/wireguard/a-very-long-box.sock");
}

TEST_F(Load, TakesNamesLiterally) {
    for (const char* name : {"no", "true", "1e3", "0x10", "007"}) {
        std::string text = kGoodFile;
        text.replace(text.find("berlin,"), 7, std::string{name} + ",");
        EXPECT_EQ(good(text).node.name, name);
    }
}

TEST_F(Load, TakesEmptySectionsAndWindowsLineEnds) {
    std::string text = std::string{kGoodFile} + "routes:\npeers: []\nlog:\ndataplane: {}\n";
    EXPECT_EQ(codes(text), "");
    for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2)
        text.insert(at, "\r");
    EXPECT_EQ(codes(text), "");
}

TEST_F(Load, TakesADefaultPeerBesideNarrowerOnes) {
    EXPECT_EQ(codes(std::string{kGoodFile} + R"(peers:
  - {name: hq, public_key: TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=, allowed_ips: [0.0.0.0/0, "::/0"]}
  - {name: alice, public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=, allowed_ips: 10.9.0.2}
)"),
              "");
}

TEST_F(Load, TakesPeersInsideOfABlackhole) {
    EXPECT_EQ(codes(std::string{kGoodFile} + kAlice +
                    "routes: [{prefix: 10.0.0.0/8, blackhole: true}]\n"),
              "");
}

TEST_F(Load, TakesNestedPrefixesOfOnePeer) {
    EXPECT_EQ(codes(std::string{kGoodFile} + R"(peers:
  - name: munich
    public_key: TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=
    allowed_ips: [10.2.0.0/16, 10.2.3.0/24]
)"),
              "");
}

TEST_F(Load, TakesALinkLocalGateway) {
    std::string text = kGoodFile;
    text.replace(text.find("gateway: 198.51.100.1"), 21, "gateway: [198.51.100.1, \"fe80::1\"]");
    const Model model = good(text);
    EXPECT_EQ(model.ports[0].gateway_v6, parse_address("fe80::1"));
}

TEST_F(Load, TakesTheLastAddressOfPointToPointNetworks) {
    std::string text = kGoodFile;
    text.replace(text.find("198.51.100.2/24"), 15, "198.51.100.0/31");
    EXPECT_EQ(codes(text), "");
}

// Each with all its keys.
std::string peers_of_a_full_box(unsigned nb_peers) {
    std::string text = "peers:\n";
    for (unsigned i = 0; i < nb_peers; ++i) {
        PublicKey key;
        key.bytes[0] = static_cast<uint8_t>(i);
        key.bytes[1] = static_cast<uint8_t>(i >> 8);
        key.bytes[9] = 1;
        const std::string host = std::to_string(i / 256) + "." + std::to_string(i % 256);
        text += "  - name: laptop-" + std::to_string(i) + "\n    public_key: " + to_string(key) +
                "\n    preshared_key_file: alice.psk\n    allowed_ips: [10.9." + host +
                "/32, \"fd10:9::" + std::to_string(i % 10'000) + ":" + std::to_string(i / 10'000) +
                "/128\"]\n    endpoint: 198.18." + host + ":51820\n    persistent_keepalive: 25s\n";
    }
    return text;
}

TEST_F(Load, TakesAsManyPeersAsTheDefaultHasRoomFor) {
    constexpr unsigned kRoom = config::Dataplane{}.max_peers;
    const std::string text = kGoodFile + peers_of_a_full_box(kRoom);
    EXPECT_EQ(good(text).peers.size(), kRoom);
    EXPECT_LT(text.size(), kMaxFileBytes * 3 / 4) << "room for longer names";
}

TEST_F(Load, SaysWhereThereAreMorePeersThanRoom) {
    const LoadResult result = folder_.load(kGoodFile + peers_of_a_full_box(16'385));
    ASSERT_EQ(result.diagnostics.size(), 1U) << explain(result);
    EXPECT_EQ(result.diagnostics[0].code, "too-many-peers");
    EXPECT_EQ(result.diagnostics[0].message, "16385 peers, and room for 16384");
    EXPECT_EQ(result.diagnostics[0].fix, "raise dataplane.max_peers");
}

TEST_F(Load, SaysWhereAFileIsTooLarge) {
    const LoadResult result = folder_.load(kGoodFile + peers_of_a_full_box(40'000));
    ASSERT_EQ(result.diagnostics.size(), 1U) << explain(result);
    EXPECT_EQ(result.diagnostics[0].code, "too-large");
    EXPECT_EQ(result.diagnostics[0].message, "more than 8 MiB");
}

TEST_F(Load, WarnsAndStillGivesAModel) {
    const LoadResult result = folder_.load(std::string{kGoodFile} + kAlice +
                                           "    persistent_keepalive: 25s\n"
                                           "control: {http: 0.0.0.0:9586}\n");
    EXPECT_TRUE(result.model.has_value());
    ASSERT_EQ(result.diagnostics.size(), 2U);
    EXPECT_EQ(result.diagnostics[0].code, "keepalive-without-endpoint");
    EXPECT_EQ(result.diagnostics[1].code, "http-exposed");
    EXPECT_FALSE(has_errors(result.diagnostics));
}

TEST_F(Load, WarnsOfAnEndpointThatNoPortReaches) {
    EXPECT_EQ(codes(std::string{kGoodFile} + kAlice + "    endpoint: \"[2001:db8::7]:51820\"\n"),
              "endpoint-unreachable");
    EXPECT_EQ(codes(std::string{kGoodFile} + kAlice + "    endpoint: 192.0.2.7:51820\n"), "");
    std::string given{kGoodFile};
    const std::string fixed = "198.51.100.2/24\n    gateway: 198.51.100.1";
    given.replace(given.find(fixed), fixed.size(), "host\n    host: true");
    EXPECT_EQ(codes(given + kAlice + "    endpoint: \"[2001:db8::7]:51820\"\n"), "")
        << "the kernel may get any";
}

TEST_F(Load, TakesARouterOfANetworkThatTheKernelIsGiven) {
    const std::string route = "routes: [{prefix: 10.8.0.0/16, via: 10.7.0.254}]\n";
    EXPECT_EQ(codes(kGoodFile + route), "via-not-connected");
    std::string given{kGoodFile};
    const std::string fixed = "[10.1.0.1/24, \"fd10:1::1/64\"]";
    given.replace(given.find(fixed), fixed.size(), "host\n    host: true");
    EXPECT_EQ(codes(given + route), "");
}

TEST_F(Load, OffersTheNearestKey) {
    const LoadResult result = folder_.load(std::string{kGoodFile} + "dataplan: {}\n");
    ASSERT_EQ(result.diagnostics.size(), 1U);
    EXPECT_EQ(result.diagnostics[0].suggestion, "dataplane");
}

TEST_F(Load, OffersTheWordOfOtherWritings) {
    const LoadResult result = folder_.load(std::string{kGoodFile} + "wireguard: {ListenPort: 1}\n");
    ASSERT_EQ(result.diagnostics.size(), 1U);
    EXPECT_EQ(result.diagnostics[0].suggestion, "listen_port");
}

TEST_F(Load, ReadsAFileFromDisk) {
    folder_.write("meshgate.yaml", kGoodFile, 0644);
    const std::string path = folder_.str() + "/meshgate.yaml";
    EXPECT_TRUE(load_file(path).model.has_value());

    for (const std::string& wrong : {path + ".old", folder_.str(), std::string{"/dev/zero"}}) {
        const LoadResult result = load_file(wrong);
        ASSERT_EQ(result.diagnostics.size(), 1U);
        EXPECT_EQ(result.diagnostics[0].code, "unreadable");
        EXPECT_FALSE(result.diagnostics[0].fix.empty());
    }
}

TEST_F(Load, LoadsTheSecretWithTheSameChecks) {
    const auto key = load_secret_key(folder_.str() + "/berlin.key");
    ASSERT_TRUE(key.has_value());
    EXPECT_EQ(to_string(public_key_of(*key)), kPublicKey);
    for (const char* name :
         {"open.key", "link.key", "folder.key", "long.key", "garbage.key", "zero.key", "none"}) {
        const auto refused = load_secret_key(folder_.str() + "/" + name);
        ASSERT_FALSE(refused.has_value()) << name;
        EXPECT_NE(refused.error().message.find(name), std::string::npos);
    }
}

TEST_F(Load, TellsAPathFromAKey) {
    const std::string path = folder_.str() + "/HereIsAFolderWithAVeryLongName";
    std::filesystem::create_directory(path);
    std::filesystem::rename(folder_.str() + "/berlin.key", path + "/box");
    std::string text = kGoodFile;
    EXPECT_EQ(codes(text.replace(text.find("berlin.key"), 10, path + "/box")), "");
    text = kGoodFile;
    EXPECT_EQ(codes(text.replace(text.find("berlin.key"), 10,
                                 "/wIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")),
              "inline-secret");
}

TEST_F(Load, SaysWhatIsWrongWithAKeyFile) {
    const auto message = [this](const char* name) {
        return load_secret_key(folder_.str() + "/" + name).error().message;
    };
    EXPECT_NE(message("link.key").find("symbolic link"), std::string::npos);
    EXPECT_NE(message("folder.key").find("regular file"), std::string::npos);
    EXPECT_NE(message("open.key").find("chmod 600"), std::string::npos);
    EXPECT_NE(message("long.key").find("too long"), std::string::npos);
    EXPECT_NE(message("none").find("genkey"), std::string::npos);
}

TEST_F(Load, WaitsForNoPipe) {
    ASSERT_EQ(mkfifo((folder_.str() + "/pipe.key").c_str(), 0600), 0);
    EXPECT_FALSE(load_secret_key(folder_.str() + "/pipe.key").has_value());
    ASSERT_EQ(mkfifo((folder_.str() + "/pipe.yaml").c_str(), 0600), 0);
    EXPECT_FALSE(load_file(folder_.str() + "/pipe.yaml").model.has_value());
}

TEST_F(Load, SeesAPresharedKeyChangeInPlace) {
    const std::string text =
        std::string{kGoodFile} + kAlice + "    preshared_key_file: alice.psk\n";
    const auto first = good(text).peers[0].preshared_key_tag;
    EXPECT_EQ(good(text).peers[0].preshared_key_tag, first);
    folder_.write("alice.psk", to_base64(generate_private_key()) + "\n");
    EXPECT_NE(good(text).peers[0].preshared_key_tag, first);
}

TEST(WeakKeys, AreThoseThatLibsodiumRefuses) {
    unsigned nb_weak = 0;
    const std::array<uint8_t, 32> scalar{8};
    const auto check = [&](PublicKey key) {
        std::array<uint8_t, 32> shared{};
        const bool refused = crypto_scalarmult(shared.data(), scalar.data(), key.bytes.data()) != 0;
        EXPECT_EQ(is_weak_key(key), refused) << to_string(key);
        nb_weak += refused ? 1 : 0;
    };
    for (const uint8_t top : {uint8_t{0}, uint8_t{0x80}}) {
        for (unsigned low = 0; low < 256; ++low) {  // 0, 1 and p-1, p, p+1 are among these
            PublicKey small;
            small.bytes[0] = static_cast<uint8_t>(low);
            small.bytes[31] = top;
            check(small);
            PublicKey large;
            large.bytes.fill(0xff);
            large.bytes[0] = static_cast<uint8_t>(low);
            large.bytes[31] = static_cast<uint8_t>(0x7f | top);
            check(large);
        }
        for (const char* text : {"4Ot6fDtBuK4WVuP68Z/EatoJjeucMrH9hmIFFl9JuAA=",
                                 "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc="}) {
            PublicKey key = *parse_public_key(text);
            key.bytes[31] = static_cast<uint8_t>(key.bytes[31] | top);
            check(key);
        }
    }
    EXPECT_EQ(nb_weak, 14U);
}

TEST(Reference, IsTheCommittedPage) {
    EXPECT_EQ(contents_of(MESHGATE_REFERENCE), reference_markdown())
        << "write it again: build/config/write_reference > docs/configure.md";
}

TEST(Keys, HaveOneRowEachAndAGroup) {
    std::set<std::string> seen;
    for (const KeyRule& rule : keys()) {
        EXPECT_TRUE(seen.insert(std::string{rule.group} + "." + std::string{rule.name}).second);
        EXPECT_FALSE(rule.words.empty());
        EXPECT_TRUE(rule.text.ends_with('.')) << rule.name;
    }
    size_t nb_in_groups = 0;
    for (const GroupRule& group : groups())
        nb_in_groups += keys_of(group.name).size();
    EXPECT_EQ(nb_in_groups, keys().size());
}

}  // namespace
}  // namespace meshgate::config

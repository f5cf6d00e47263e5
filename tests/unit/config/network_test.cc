// SPDX-License-Identifier: Apache-2.0
#include "config/network.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include "config/network_file.h"
#include "tests/unit/config/fixture.h"

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

std::string replaced(std::string text, const std::string& what, const std::string& with) {
    return text.replace(text.find(what), what.size(), with);
}

// Codes of all that is said, in order.
std::string codes(const std::vector<Diagnostic>& diagnostics) {
    std::string all;
    for (const Diagnostic& diagnostic : diagnostics)
        all += (all.empty() ? "" : " ") + diagnostic.code;
    return all;
}

TEST(Network, AClientMayBeTheExceptionInAMembersPrefix) {
    const std::string inside = replaced(kGoodNetwork, "10.1.9.2/32", "10.1.0.0/17");
    EXPECT_TRUE(parse_network(inside, "network.yaml"));
    EXPECT_FALSE(parse_network(replaced(kGoodNetwork, "10.1.9.2/32", "10.1.0.0/16"), "n"));
    EXPECT_FALSE(parse_network(replaced(kGoodNetwork, "10.1.9.2/32", "10.0.0.0/15"), "n"));
}

TEST(Network, ADefaultPrefixIsWhatNobodyElseHas) {
    const Network network = good(replaced(kGoodNetwork, "10.2.0.0/16", "[0.0.0.0/0, \"::/0\"]"));
    EXPECT_EQ(network.members[1].prefixes[1], *parse_prefix("::/0"));
}

TEST(Network, PrefixesMustNotReachIntoTheBoxesOwnAddresses) {
    const AuthorityKey authority = *parse_authority_key(kAuthority);
    const std::string text = replaced(kGoodNetwork, "10.2.0.0/16", "\"fd08:fe4a:69ab:7::/64\"");
    EXPECT_TRUE(parse_network(text, "network.yaml"));
    EXPECT_EQ(codes(parse_network(text, "network.yaml", authority).diagnostics), "prefix-overlap");
    const std::string around = replaced(kGoodNetwork, "10.2.0.0/16", "\"fd00::/8\"");
    EXPECT_FALSE(parse_network(around, "network.yaml", authority));
    const std::string all = replaced(kGoodNetwork, "10.2.0.0/16", "\"::/0\"");
    EXPECT_TRUE(parse_network(all, "network.yaml", authority));
}

TEST(Network, WarnsOfBoxesThatNobodyCanCall) {
    std::string text = replaced(
        kGoodNetwork, "    endpoints: [\"198.51.100.2:51820\", gw.example.net:4500]\n", "");
    EXPECT_EQ(codes(parse_network(text, "network.yaml").diagnostics), "no-endpoints");
    text = replaced(text, "prefixes: 10.2.0.0/16", "endpoints: 192.0.2.1:1");
    const NetworkResult result = parse_network(text, "network.yaml");
    EXPECT_TRUE(result);
    EXPECT_EQ(codes(result.diagnostics), "relay-without-endpoint");
}

TEST(Network, TakesVersionsUpToTwoToThe53) {
    EXPECT_EQ(good(replaced(kGoodNetwork, "12", "9007199254740992")).version, uint64_t{1} << 53);
    EXPECT_EQ(good(replaced(kGoodNetwork, "12", "1")).version, 1U);
}

TEST(Network, TakesNamesOfHostsAsTheyAre) {
    for (const char* host : {"gw", "gw.example.net", "gw.example.net.", "a-b.c", "4th.example",
                             "_srv.example", "xn--mnchen-3ya.example"})
        EXPECT_EQ(good(replaced(kGoodNetwork, "gw.example.net", host)).members[0].endpoints[1].host,
                  host);
    for (const char* host : {"10.1.2", "256.1.1.1", "-a.example", "a-.example", "a..b", ".a", "a b",
                             "a/b", "exa\xcc\x88mple"})
        EXPECT_FALSE(parse_network(
            replaced(kGoodNetwork, "gw.example.net:4500", "\"" + std::string{host} + ":4500\""),
            "network.yaml"))
            << host;
    EXPECT_FALSE(parse_network(
        replaced(kGoodNetwork, "gw.example.net", std::string(64, 'a') + ".example"), "n"));
}

TEST(NetworkDiff, NamesWhatCameWentAndChanged) {
    const Network before = good(kGoodNetwork);
    EXPECT_TRUE(diff(before, before).empty());
    Network after = before;
    std::swap(after.members[0].prefixes[0], after.members[0].prefixes[1]);
    std::swap(after.members[0].endpoints[0], after.members[0].endpoints[1]);
    std::swap(after.members[0], after.members[1]);
    after.version = 13;
    EXPECT_TRUE(diff(before, after).empty()) << "the order says nothing";

    after = before;
    after.members[0].name = "hamburg";
    after.members[1].prefixes = {*parse_prefix("10.3.0.0/16")};
    after.clients[0].boxes = {};
    NetworkDiff changes = diff(before, after);
    ASSERT_EQ(changes.changed_members.size(), 2U);
    EXPECT_TRUE(changes.changed_members[0].name);
    EXPECT_FALSE(changes.changed_members[0].prefixes);
    EXPECT_TRUE(changes.changed_members[1].prefixes);
    EXPECT_EQ(changes.changed_members[1].before.prefixes, before.members[1].prefixes);
    ASSERT_EQ(changes.changed_clients.size(), 1U);
    EXPECT_TRUE(changes.changed_clients[0].boxes);
    EXPECT_TRUE(changes.added_members.empty() && changes.removed_members.empty());

    after = before;
    after.members[1].public_key.bytes[0] ^= 1;
    after.clients.clear();
    changes = diff(before, after);
    ASSERT_EQ(changes.added_members.size(), 1U);
    ASSERT_EQ(changes.removed_members.size(), 1U);
    EXPECT_EQ(changes.removed_members[0].public_key, before.members[1].public_key);
    EXPECT_EQ(changes.removed_clients.size(), 1U);
}

class NetworkFile : public testing::Test {
protected:
    SignedNetwork signed_by(const SecretKey& secret, const std::string& text = kGoodNetwork) {
        return {text, sign(text, secret)};
    }
    std::string path(const std::string& name) const { return folder_.str() + "/" + name; }
    size_t nb_files() const {
        const std::filesystem::directory_iterator files{folder_.str()};
        return static_cast<size_t>(std::distance(begin(files), end(files)));
    }
    KeyFolder folder_;
    SecretKey secret_ = authority_secret();
};

TEST_F(NetworkFile, IsKeptWholeOrNotAtAll) {
    const size_t before = nb_files();
    const auto nothing = load_kept_network(path("kept"));
    ASSERT_TRUE(nothing.has_value());
    EXPECT_EQ(*nothing, std::nullopt);
    const SignedNetwork network = signed_by(secret_);
    ASSERT_TRUE(keep_network(path("kept"), network).has_value());
    EXPECT_EQ(**load_kept_network(path("kept")), network);
    struct stat status {};
    ASSERT_EQ(::stat(path("kept").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    const SignedNetwork next = signed_by(secret_, std::string{kGoodNetwork} + "#\n");
    ASSERT_TRUE(keep_network(path("kept"), next).has_value());
    EXPECT_EQ(**load_kept_network(path("kept")), next);
    EXPECT_EQ(nb_files(), before + 1) << "no temporary file stays";
    EXPECT_FALSE(keep_network(path("none/kept"), network).has_value());
    // Onto a folder it cannot be renamed: what is there stays, and nothing else comes.
    EXPECT_FALSE(keep_network(path("folder.key"), network).has_value());
    EXPECT_EQ(nb_files(), before + 1);
}

TEST_F(NetworkFile, ThatWasKeptMayBeDamaged) {
    folder_.write("kept", "short");
    EXPECT_FALSE(load_kept_network(path("kept")).has_value());
    folder_.write("kept", std::string(64 + kMaxNetworkBytes + 1, 'x'));
    EXPECT_FALSE(load_kept_network(path("kept")).has_value());
    EXPECT_FALSE(load_kept_network(path("folder.key")).has_value());
    folder_.write("kept", std::string(64, 'x'));
    const auto empty = load_kept_network(path("kept"));
    ASSERT_TRUE(empty.has_value() && empty->has_value());
    EXPECT_FALSE(verify(**empty, authority_key_of(secret_)));
}

TEST_F(NetworkFile, IsReadWithTheSignatureBesideIt) {
    const SignedNetwork network = signed_by(secret_);
    folder_.write("network.yaml", network.text);
    EXPECT_FALSE(read_signed_network(path("network.yaml")).has_value());
    const SignatureFile file{network.signature, 12, authority_key_of(secret_)};
    folder_.write("network.yaml.sig", to_string(file));
    EXPECT_EQ(*read_signed_network(path("network.yaml")), network);
    const auto again = parse_signature_file(to_string(file));
    EXPECT_EQ(again->version, 12U);
    EXPECT_EQ(again->authority, file.authority);
    EXPECT_FALSE(read_signed_network(path("none.yaml")).has_value());
    ASSERT_EQ(::mkfifo(path("pipe.yaml").c_str(), 0600), 0);
    EXPECT_FALSE(read_signed_network(path("pipe.yaml")).has_value()) << "and must not wait";
    folder_.write("large.yaml", std::string(kMaxNetworkBytes + 1, ' '));
    EXPECT_FALSE(read_network_text(path("large.yaml")).has_value());
    folder_.write("large.yaml", std::string(kMaxNetworkBytes, ' '));
    EXPECT_TRUE(read_network_text(path("large.yaml")).has_value());
}

TEST_F(NetworkFile, HasASignatureOfOneForm) {
    const std::string base64 = to_string(SignatureFile{signed_by(secret_).signature, {}, {}});
    ASSERT_EQ(base64.size(), 89U);
    const std::string bare = base64.substr(0, 88);
    for (const std::string& text : {base64, bare, bare + "\r\n", base64 + "version 7\n"})
        EXPECT_TRUE(parse_signature_file(text).has_value()) << text;
    for (const std::string& text :
         {std::string{}, std::string{"\n"}, bare.substr(1), bare + "=", " " + bare, bare + " ",
          "\n" + bare, bare.substr(0, 87) + "?", base64 + "version 0\n", base64 + "version -1\n",
          base64 + "version 1 \n", base64 + "version 1\nversion 1\n", base64 + "\n",
          base64 + "authority x\n", base64 + "comment\n", base64 + std::string{"version 1\0", 10},
          base64 + base64})
        EXPECT_FALSE(parse_signature_file(text).has_value()) << text;
    folder_.write("n.sig", base64 + std::string(2000, 'x'));
    EXPECT_FALSE(read_signature_file(path("n.sig")).has_value());
}

TEST_F(NetworkFile, OfASecretIsTakenForNoOtherKey) {
    ASSERT_TRUE(write_authority_secret(path("authority.key"), secret_).has_value());
    EXPECT_TRUE(load_authority_secret(path("authority.key"))->equals(secret_));
    EXPECT_FALSE(load_secret_key(path("authority.key")).has_value());
    EXPECT_FALSE(load_authority_secret(path("berlin.key")).has_value());
    EXPECT_FALSE(write_authority_secret(path("authority.key"), secret_).has_value());
    EXPECT_FALSE(write_authority_secret("/dev/full", secret_).has_value());
}

class BoxInNetwork : public NetworkFile {
protected:
    // The box file of a member, with the key that the good network gives to munich.
    std::string box_file(const std::string& more = "") const {
        return std::string{kGoodFile} + "network: {file: network.yaml, authority: " + kAuthority +
               "}\n" + more;
    }
    Model model(const std::string& more = "") const {
        LoadResult result = folder_.load(box_file(more));
        EXPECT_TRUE(result) << explain(result);
        return result.model.value_or(Model{});
    }
    std::string network_text() const {
        return replaced(kGoodNetwork, "F3+2R+7sLPJptOcdgOtjPQ5LOspU5ms3JtfyYW4WiHI=", kPublicKey);
    }
    void write_network(const std::string& text) {
        folder_.write("network.yaml", text);
        folder_.write("network.yaml.sig", to_string(SignatureFile{sign(text, secret_), {}, {}}));
    }
    std::string said(const std::string& more = "") {
        return codes(load_network(model(more)).diagnostics);
    }
};

TEST_F(BoxInNetwork, LoadsWhatItsFileNames) {
    write_network(network_text());
    const NetworkLoad load = load_network(model());
    EXPECT_TRUE(load);
    EXPECT_EQ(codes(load.diagnostics), "");
    EXPECT_EQ(load.network->version, 12U);
    EXPECT_EQ(load.signed_network->text, network_text());
}

TEST_F(BoxInNetwork, RefusesWhatIsNotThereOrNotSigned) {
    EXPECT_EQ(said(), "unreadable");
    folder_.write("network.yaml", network_text());
    EXPECT_EQ(said(), "unreadable");
    write_network(network_text());
    folder_.write("network.yaml", network_text() + " ");
    EXPECT_EQ(said(), "bad-signature");
    write_network("version: 1\n");
    EXPECT_EQ(said(), "missing-key missing-key");
}

TEST_F(BoxInNetwork, IsWarnedWhenItIsNoMember) {
    write_network(kGoodNetwork);
    const NetworkLoad load = load_network(model());
    EXPECT_TRUE(load);
    EXPECT_EQ(codes(load.diagnostics), "not-a-member");
}

TEST_F(BoxInNetwork, MayHavePeersThatTheNetworkDoesNotHave) {
    write_network(network_text());
    const auto peer = [](const char* name, const char* key, const char* allowed_ips) {
        return std::string{"peers:\n  - {name: "} + name + ", public_key: " + key +
               ", allowed_ips: " + allowed_ips + "}\n";
    };
    const char* stranger = "JD2BzX39EfeFwOQTdadlKX4ALOCHhHYGVjEdLqYA+yI=";
    EXPECT_EQ(said(peer("carol", stranger, "10.9.9.9/32")), "");
    EXPECT_EQ(said(peer("carol", stranger, "0.0.0.0/0")), "");
    EXPECT_EQ(said(peer("berlin", stranger, "10.9.9.9/32")), "name-of-member");
    EXPECT_EQ(said(peer("x", "+OCEDpsQKdFyx9wuxm7lA1/AQrQJumtEe7fcV9zT/x4=", "10.9.9.9/32")),
              "key-of-member");
    EXPECT_EQ(said(peer("x", "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=", "10.9.9.9/32")),
              "key-of-member");
    for (const char* overlapping :
         {"10.2.7.0/24", "10.2.0.0/16", "10.2.0.0/15", "10.1.9.2/32", "\"fd08:fe4a:69ab::1\""})
        EXPECT_TRUE(said(peer("carol", stranger, overlapping)).starts_with("prefix-overlap"))
            << overlapping;
}

}  // namespace
}  // namespace meshgate::config

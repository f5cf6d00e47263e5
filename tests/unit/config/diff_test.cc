// SPDX-License-Identifier: Apache-2.0
#include "config/diff.h"

#include <gtest/gtest.h>

#include "tests/unit/config/fixture.h"

namespace meshgate::config {
namespace {

class ConfigDiff : public testing::Test {
protected:
    void SetUp() override { before_ = load(file_); }

    Model load(const std::string& text) const {
        LoadResult result = folder_.load(text);
        EXPECT_TRUE(result.model.has_value()) << explain(result);
        return result.model.value_or(Model{});
    }
    // The diff to the file with `old_text` replaced.
    Diff after(const std::string& old_text, const std::string& new_text) const {
        std::string text = file_;
        const size_t at = text.find(old_text);
        EXPECT_NE(at, std::string::npos);
        return diff(before_, load(text.replace(at, old_text.size(), new_text)));
    }
    // "kind path (reload)" of the only change.
    static std::string only(const Diff& diff) {
        EXPECT_EQ(diff.changes.size(), 1U);
        return diff.changes.empty() ? "" : to_string(diff.changes[0]);
    }

    KeyFolder folder_;
    std::string file_ = std::string{kGoodFile} + R"(routes: [{prefix: 10.1.8.0/21, via: 10.1.0.254}]
peers:
  - name: alice
    public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    preshared_key_file: alice.psk
    allowed_ips: [10.9.0.2/32, 10.9.0.3/32]
    endpoint: 198.51.100.7:51820
  - name: munich
    public_key: TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=
    allowed_ips: 10.2.0.0/16
)";
    Model before_;
};

TEST_F(ConfigDiff, OfEqualFilesIsEmpty) {
    const Diff same = diff(before_, load(file_));
    EXPECT_TRUE(same.empty());
    EXPECT_FALSE(same.needs_restart);
    EXPECT_TRUE(same.added_peers.empty());
    EXPECT_TRUE(same.removed_peers.empty());
    EXPECT_TRUE(same.changed_peers.empty());
}

TEST_F(ConfigDiff, TakesEnabledPeersAsAddedAndDisabledOnesAsRemoved) {
    const Diff off = after("name: munich", "name: munich\n    enabled: false");
    EXPECT_EQ(only(off), "~ peers[munich].enabled  true -> false  (live)");
    ASSERT_EQ(off.removed_peers.size(), 1U);
    EXPECT_EQ(off.removed_peers[0].name, "munich");
    EXPECT_TRUE(off.changed_peers.empty());
    const Diff on = diff(load(std::string{file_}.replace(file_.find("name: munich"), 12,
                                                         "name: munich\n    enabled: false")),
                         before_);
    ASSERT_EQ(on.added_peers.size(), 1U);
    EXPECT_TRUE(on.removed_peers.empty());
}

TEST_F(ConfigDiff, OpensPortsLiveOnInterfacesOfTheKernelOnly) {
    EXPECT_EQ(only(after("name: lan0", "name: lan0\n    enabled: false")),
              "~ ports[lan0].enabled  true -> false  (live)");
    file_.replace(file_.find("af_packet:eth1"), 14, "pci:0000:03:00.1");
    before_ = load(file_);
    EXPECT_EQ(only(after("name: lan0", "name: lan0\n    enabled: false")),
              "~ ports[lan0].enabled  true -> false  (restart)");
}

TEST_F(ConfigDiff, SeesANameInPlaceOfAnAddress) {
    const Diff changed = after("198.51.100.7:51820", "gw.example.net:51820");
    EXPECT_EQ(only(changed),
              "~ peers[alice].endpoint  198.51.100.7:51820 -> gw.example.net:51820  (live)");
    ASSERT_EQ(changed.changed_peers.size(), 1U);
    EXPECT_TRUE(changed.changed_peers[0].endpoint);
}

TEST_F(ConfigDiff, ComparesEntriesOfBabelByPlace) {
    folder_.write("lan.mac", "00112233\n");
    const std::string babel = "babel: [{port: lan0, accept: 10.6.0.0/16, key_file: lan.mac}]\n";
    const Model with = load(file_ + babel);
    const Diff added = diff(before_, with);
    EXPECT_EQ(only(added), "+ babel[port lan0]  (live)");
    EXPECT_TRUE(added.babel_changed);
    EXPECT_FALSE(added.ports_changed);
    EXPECT_EQ(only(diff(with, load(file_ + "babel: [{port: lan0, accept: 10.7.0.0/16, "
                                           "key_file: lan.mac}]\n"))),
              "~ babel[port lan0].accept  [10.6.0.0/16] -> [10.7.0.0/16]  (live)");
    folder_.write("lan.mac", "00112244\n");
    EXPECT_EQ(only(diff(with, load(file_ + babel))),
              "~ babel[port lan0].key_file  other contents  (live)");
}

TEST_F(ConfigDiff, NamesAChangedEndpoint) {
    const Diff found = after("198.51.100.7:51820", "198.51.100.8:51820");
    EXPECT_EQ(only(found),
              "~ peers[alice].endpoint  198.51.100.7:51820 -> 198.51.100.8:51820  (live)");
    ASSERT_EQ(found.changed_peers.size(), 1U);
    EXPECT_TRUE(found.changed_peers[0].endpoint);
    EXPECT_FALSE(found.changed_peers[0].allowed_ips);
    EXPECT_FALSE(found.changed_peers[0].name);
    EXPECT_FALSE(found.needs_restart);
}

TEST_F(ConfigDiff, KeepsAPeerThatGetsAnotherName) {
    const Diff found = after("name: munich", "name: muenchen");
    EXPECT_EQ(only(found), "~ peers[muenchen].name  munich -> muenchen  (live)");
    ASSERT_EQ(found.changed_peers.size(), 1U);
    EXPECT_TRUE(found.changed_peers[0].name);
    EXPECT_TRUE(found.added_peers.empty());
}

TEST_F(ConfigDiff, SeesAnotherKeyAsAnotherPeer) {
    const Diff found = after("TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
                             "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=");
    ASSERT_EQ(found.added_peers.size(), 1U);
    ASSERT_EQ(found.removed_peers.size(), 1U);
    EXPECT_EQ(found.added_peers[0].name, "munich");
    EXPECT_NE(found.added_peers[0].public_key, found.removed_peers[0].public_key);
    EXPECT_TRUE(found.changed_peers.empty());
    ASSERT_EQ(found.changes.size(), 2U);
    EXPECT_EQ(to_string(found.changes[0]), "+ peers[munich]  (live)");
    EXPECT_EQ(to_string(found.changes[1]), "- peers[munich]  (live)");
}

TEST_F(ConfigDiff, TakesAllowedIpsAsASet) {
    EXPECT_TRUE(after("[10.9.0.2/32, 10.9.0.3/32]", "[10.9.0.3/32, 10.9.0.2/32]").empty());
    const Diff found = after("[10.9.0.2/32, 10.9.0.3/32]", "10.9.0.2/32");
    ASSERT_EQ(found.changed_peers.size(), 1U);
    EXPECT_TRUE(found.changed_peers[0].allowed_ips);
}

TEST_F(ConfigDiff, SeesNewContentsOfAPresharedKeyFile) {
    folder_.write("alice.psk", to_base64(generate_private_key()) + "\n");
    const Diff found = diff(before_, load(file_));
    EXPECT_EQ(only(found), "~ peers[alice].preshared_key_file  other contents  (live)");
    ASSERT_EQ(found.changed_peers.size(), 1U);
    EXPECT_TRUE(found.changed_peers[0].preshared_key);
}

TEST_F(ConfigDiff, SeesARemovedPresharedKey) {
    const Diff found = after("    preshared_key_file: alice.psk\n", "");
    ASSERT_EQ(found.changes.size(), 1U);
    EXPECT_EQ(found.changes[0].kind, ChangeKind::removed);
    ASSERT_EQ(found.changed_peers.size(), 1U);
    EXPECT_TRUE(found.changed_peers[0].preshared_key);
}

TEST_F(ConfigDiff, IgnoresTheOrderOfPeersButNotOfPorts) {
    Model other = before_;
    std::swap(other.peers[0], other.peers[1]);
    EXPECT_TRUE(diff(before_, other).empty());
    std::swap(other.ports[0], other.ports[1]);
    EXPECT_TRUE(diff(before_, other).needs_restart);
}

TEST_F(ConfigDiff, AppliesAddressesRoutesAndPortLive) {
    const Diff addresses = after("198.51.100.2/24", "198.51.100.3/24");
    EXPECT_EQ(only(addresses),
              "~ ports[wan0].addresses  [198.51.100.2/24] -> [198.51.100.3/24]  (live)");
    EXPECT_TRUE(addresses.ports_changed);
    EXPECT_FALSE(addresses.needs_restart);

    const Diff routes = after("10.1.8.0/21", "10.1.16.0/21");
    EXPECT_TRUE(routes.routes_changed);
    EXPECT_FALSE(routes.needs_restart);

    const Diff port = after("peers:", "wireguard: {listen_port: 4500}\npeers:");
    EXPECT_TRUE(port.listen_port_changed);
    EXPECT_EQ(only(port), "~ wireguard.listen_port  51820 -> 4500  (live)");

    const Diff log = after("peers:", "log: {level: debug}\npeers:");
    EXPECT_TRUE(log.log_changed);
    EXPECT_FALSE(log.needs_restart);
}

TEST_F(ConfigDiff, AsksForARestartWhereOneIsNeeded) {
    EXPECT_TRUE(after("af_packet:eth1", "af_xdp:eth1").needs_restart);
    EXPECT_TRUE(after("    role: lan", "    role: lan\n    mtu: 1400").needs_restart);
    EXPECT_TRUE(after("peers:", "dataplane: {workers: 2}\npeers:").needs_restart);
    EXPECT_TRUE(after("peers:", "control: {http: off}\npeers:").needs_restart);
    const Diff port = after("peers:", "peers:");
    EXPECT_FALSE(port.needs_restart);
}

TEST_F(ConfigDiff, AsksForARestartForANewPrivateKeyOnly) {
    folder_.write("copy.key", std::string{kPrivateKey} + "\n");
    const Diff moved = after("berlin.key", "copy.key");
    EXPECT_EQ(moved.changes.size(), 1U);
    EXPECT_FALSE(moved.needs_restart);

    folder_.write("berlin.key", to_base64(generate_private_key()) + "\n");
    const Diff changed = diff(before_, load(file_));
    EXPECT_TRUE(changed.needs_restart);
    ASSERT_EQ(changed.changes.size(), 1U);
    EXPECT_EQ(changed.changes[0].path, "node.public_key");
}

TEST_F(ConfigDiff, NamesAnAddedAndARemovedPort) {
    Model other = before_;
    other.ports.pop_back();
    const Diff removed = diff(before_, other);
    EXPECT_EQ(only(removed), "- ports[lan0]  (restart)");
    EXPECT_EQ(only(diff(other, before_)), "+ ports[lan0]  (restart)");
}

}  // namespace
}  // namespace meshgate::config

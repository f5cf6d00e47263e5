// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "cli/setup/answers.h"
#include "cli/setup/box_file.h"
#include "cli/setup/cards.h"
#include "cli/setup/host_network.h"
#include "cli/setup/yaml_text.h"
#include "config/load.h"
#include "tests/unit/control/api/socket_fixture.h"

namespace meshgate::cli {
namespace {

constexpr const char* kGood =
    "name: berlin\n"
    "wan: {card: eth0, addresses: 198.51.100.2/24, gateway: 198.51.100.1}\n"
    "lan: {card: eth1, addresses: [10.1.0.1/24, \"fd10:1::1/64\"]}\n"
    "peers:\n"
    "  - {name: munich, public_key: \"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\",\n"
    "     allowed_ips: [10.2.0.0/24], endpoint: \"203.0.113.2:51820\"}\n";

std::vector<Card> two_cards() {
    return {{.name = "eth0", .driver = "e1000e", .pci_address = "0000:03:00.0", .link_up = true},
            {.name = "eth1", .driver = "e1000e", .pci_address = "0000:03:00.1"}};
}

std::string codes(const std::string& text) {
    std::vector<config::Diagnostic> diagnostics;
    const auto answers = read_answers(text, "answers.yaml", diagnostics);
    std::string found = answers ? "usable" : "refused";
    for (const config::Diagnostic& diagnostic : diagnostics)
        found += " " + diagnostic.code + ":" + diagnostic.path;
    return found;
}

// Of the box file that these answers make, without the key that is not there; empty: good.
std::string complaints(const std::string& text) {
    std::vector<config::Diagnostic> diagnostics;
    const auto answers = read_answers(text, "answers.yaml", diagnostics);
    if (!answers)
        return config::format_text(diagnostics);
    const auto loaded = config::load_text(box_file(*answers, two_cards()), "x", "/nonexistent");
    std::string found;
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
        if (diagnostic.path != "node.private_key_file")
            found += diagnostic.path + ": " + diagnostic.message + "\n";
    }
    return found;
}

TEST(SetupAnswers, MakeABoxFileThatTheDaemonTakes) {
    EXPECT_EQ(codes(kGood), "usable");
    EXPECT_EQ(complaints(kGood), "");
    EXPECT_EQ(complaints("name: a\nwan: {card: eth0, addresses: 192.0.2.1/24}\n"), "");
    EXPECT_EQ(complaints("name: a\ndevice: pci\nwan: {card: eth0, addresses: 192.0.2.1/24}\n"), "");
}

TEST(SetupAnswers, ThatAreWrongAreNamed) {
    EXPECT_EQ(codes(""), "refused wrong-type:");
    EXPECT_EQ(codes("name: a\n"), "refused missing-key:wan");
    EXPECT_EQ(codes("name: a\nwan: {}\n"),
              "refused missing-key:wan.card missing-key:wan.addresses");
    EXPECT_EQ(codes("name: [a]\nwan: {card: e, addresses: x}\n"), "refused wrong-type:name");
    EXPECT_EQ(codes("name: a\nwan: eth0\n"), "refused wrong-type:wan");
    EXPECT_EQ(codes("name: a\nwan: {card: e, adresses: x}\n"),
              "refused missing-key:wan.addresses unknown-key:wan.adresses");
    EXPECT_EQ(codes("name: a\ndevice: dpdk\nwan: {card: e, addresses: x}\n"),
              "refused bad-device:device");
    EXPECT_EQ(codes("name: a\nwan: {card: e, addresses: x}\npeers: berlin\n"),
              "refused wrong-type:peers");
    EXPECT_EQ(codes("name: a\nwan: {card: e, addresses: x}\nnetwork: {file: n}\n"),
              "refused missing-key:network.authority");
}

TEST(SetupAnswers, ValuesAreCheckedAsTheBoxFileIs) {
    EXPECT_NE(complaints("name: a\nwan: {card: eth0, addresses: 300.1.1.1/24}\n"), "");
    EXPECT_NE(complaints("name: a\nwan: {card: eth0, addresses: 192.0.2.1/24, gateway: x}\n"), "");
    EXPECT_NE(complaints("name: \"a\\nports: []\"\nwan: {card: eth0, addresses: 192.0.2.1/24}\n"),
              "");
}

TEST(SetupAnswers, TwinsAndOneArmAreWhatTheySay) {
    const std::string one_arm = "name: a\nwan: {card: eth0, addresses: host}\nlan: {card: eth0}\n";
    EXPECT_EQ(complaints(one_arm), "");
    EXPECT_NE(complaints(one_arm + "host: false\n"), "") << "no twin to follow";
    EXPECT_EQ(codes(one_arm + "host: maybe\n"), "refused wrong-type:host");
    std::vector<config::Diagnostic> diagnostics;
    const std::string text = box_file(*read_answers(one_arm, "", diagnostics), two_cards());
    for (const char* line : {"name: office\n", "role: [wan, lan]", "addresses: host", "host: true"})
        EXPECT_NE(text.find(line), std::string::npos) << line << text;
    const std::string bare =
        box_file(*read_answers(kGood + std::string{"host: false\n"}, "", diagnostics), two_cards());
    EXPECT_EQ(bare.find("host: true"), std::string::npos) << bare;
}

TEST(SetupHostNetwork, CardsLeaveTheFilesOfIfupdown) {
    const std::string before =
        "# eth0 is the line\nsource /etc/network/interfaces.d/*\nauto lo eth0 eth2\n"
        "iface lo inet loopback\nallow-hotplug eth1\n"
        "iface eth0 inet static\n    address 192.0.2.9/24\n\n    # of the provider\n    gateway "
        "192.0.2.1\n"
        "iface eth2 inet dhcp\n    hostname eth0\n";
    EXPECT_EQ(
        without_cards(before, {"eth0", "eth1"}).text,
        "# eth0 is the line\nsource /etc/network/interfaces.d/*\n"
        "# meshgate setup: auto lo eth0 eth2\nauto lo eth2\n"
        "iface lo inet loopback\n# meshgate setup: allow-hotplug eth1\n"
        "# meshgate setup: iface eth0 inet static\n# meshgate setup:     address 192.0.2.9/24\n\n"
        "    # of the provider\n# meshgate setup:     gateway 192.0.2.1\n"
        "iface eth2 inet dhcp\n    hostname eth0\n");
    const std::string after = without_cards(before, {"eth0", "eth1"}).text;
    EXPECT_EQ(without_cards(after, {"eth0", "eth1"}).text, after)
        << "a second time changes nothing";
    EXPECT_EQ(without_cards(before, {"eth9"}).text, before);
    EXPECT_EQ(without_cards("", {"eth0"}).text, "");
    const auto stanzas = without_cards(before, {"eth0", "eth1"}).stanzas;
    ASSERT_EQ(stanzas.size(), 1U);
    EXPECT_EQ(stanzas.at("eth0"),
              (std::vector<std::string>{"iface eth0 inet static", "    address 192.0.2.9/24",
                                        "    gateway 192.0.2.1"}));
}

TEST(SetupBoxFile, TakesCardsByTheirDriver) {
    Answers answers{.name = "a", .device = "pci"};
    EXPECT_EQ(device_of(answers, two_cards()[0]), "pci:0000:03:00.0");
    answers.device = "af_xdp";
    EXPECT_EQ(device_of(answers, two_cards()[1]), "af_xdp:eth1");
}

TEST(SetupBoxFile, EndsWithPeersSoThatOthersCanBeAppended) {
    std::vector<config::Diagnostic> diagnostics;
    const auto answers = read_answers(kGood, "", diagnostics);
    ASSERT_TRUE(answers);
    const std::string text = box_file(*answers, two_cards());
    const std::string more =
        "  - name: paris\n    public_key: \"HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=\"\n"
        "    allowed_ips: [10.3.0.0/24]\n";
    const auto loaded = config::load_text(text + more, "x", "/nonexistent");
    EXPECT_TRUE(std::ranges::all_of(loaded.diagnostics, [](const config::Diagnostic& diagnostic) {
        return diagnostic.path == "node.private_key_file";
    })) << config::format_text(loaded.diagnostics);
}

TEST(SetupYaml, QuotesWhatYamlWouldTakeForSomethingElse) {
    EXPECT_EQ(yaml_scalar("10.1.0.1/24"), "10.1.0.1/24");
    EXPECT_EQ(yaml_scalar("fd10:1::1/64"), "\"fd10:1::1/64\"");
    EXPECT_EQ(yaml_scalar("- a"), "\"- a\"");
    EXPECT_EQ(yaml_scalar("a\nb"), "\"a\\nb\"");
    EXPECT_EQ(yaml_scalar(""), "\"\"");
}

class SetupCards : public testing::Test {
protected:
    void card(const std::string& name, const std::string& type) {
        std::filesystem::create_directories(folder / ("net/" + name));
        std::ofstream{folder / ("net/" + name + "/type")} << type << "\n";
        std::ofstream{folder / ("net/" + name + "/carrier")} << "1\n";
    }
    control::TemporaryFolder folder;
};

TEST_F(SetupCards, BridgesTunnelsAndLoopbackAreNone) {
    card("eth1", "1");
    card("eth0", "1");
    card("lo", "772");
    card("br0", "1");
    std::filesystem::create_directories(folder / "net/br0/bridge");
    card("tap0", "1");
    std::ofstream{folder / "net/tap0/tun_flags"} << "0x1002\n";
    const auto cards = find_cards({.class_net = folder / "net"});
    ASSERT_EQ(cards.size(), 2U);
    EXPECT_EQ(cards[0].name, "eth0");
    EXPECT_EQ(cards[1].name, "eth1");
    EXPECT_TRUE(cards[0].link_up);
    EXPECT_TRUE(find_cards({.class_net = folder / "none"}).empty());
}

TEST_F(SetupCards, GatewaysAreReadAsTheKernelWritesThem) {
    std::ofstream{folder / "v4"} << "Iface\tDestination\tGateway\tFlags\n"
                                    "eth0\t0064A8C0\t00000000\t0001\n"
                                    "eth0\t00000000\t0164A8C0\t0003\n";
    std::ofstream{folder / "v6"}
        << "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
           "fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n"
           "garbage\n";
    EXPECT_EQ(gateway_v4(folder / "v4", "eth0"), "192.168.100.1");
    EXPECT_EQ(gateway_v4(folder / "v4", "eth1"), "");
    EXPECT_EQ(gateway_v6(folder / "v6", "eth0"), "fe80::1");
    EXPECT_EQ(gateway_v6(folder / "none", "eth0"), "");
}

}  // namespace
}  // namespace meshgate::cli

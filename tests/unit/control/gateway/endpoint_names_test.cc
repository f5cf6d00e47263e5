// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/endpoint_names.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace meshgate::control {
namespace {

constexpr PeerId kAlice = 3;

class EndpointNamesTest : public testing::Test {
protected:
    void SetUp() override { names.set_peer(kAlice, {"gw.example.net", 51820}); }

    void says(const std::vector<const char*>& addresses) {
        std::vector<IpAddress> all;
        for (const char* address : addresses)
            all.push_back(*parse_address(address));
        names.set_addresses("gw.example.net", all);
    }
    // Where alice is moved to; empty: nowhere. From then on that is her endpoint.
    std::string move() {
        const auto moves = names.moves([this](PeerId) { return progress; },
                                       [this](const IpAddress& address) {
                                           return std::ranges::count(unusable, address) == 0;
                                       });
        if (moves.empty())
            return "";
        EXPECT_EQ(moves.size(), 1U);
        EXPECT_EQ(moves[0].peer, kAlice);
        progress.endpoint = moves[0].to;
        return to_string(moves[0].to);
    }

    EndpointNames names;
    EndpointNames::Progress progress{.answers = false, .asks = true};
    std::vector<IpAddress> unusable;
};

TEST_F(EndpointNamesTest, MovesAPeerToWhatItsNameStandsFor) {
    EXPECT_EQ(names.hosts(), std::set<std::string>{"gw.example.net"});
    EXPECT_EQ(move(), "") << "nothing is known yet";
    says({"192.0.2.7"});
    EXPECT_EQ(move(), "192.0.2.7:51820");
    EXPECT_EQ(move(), "") << "it is there";
    says({"192.0.2.8"});
    EXPECT_EQ(move(), "192.0.2.8:51820");
    names.remove_peer(kAlice);
    says({"192.0.2.9"});
    EXPECT_EQ(move(), "");
}

TEST_F(EndpointNamesTest, LeavesAHealthyPeerWhereItIs) {
    says({"192.0.2.7"});
    progress = {.answers = true, .endpoint = parse_endpoint("203.0.113.9:4444")};
    EXPECT_EQ(move(), "") << "it roamed";
    EXPECT_TRUE(names.wanted().empty());
    says({"192.0.2.8"});
    EXPECT_EQ(move(), "");
    progress.answers = false;
    EXPECT_EQ(move(), "192.0.2.8:51820");
}

TEST_F(EndpointNamesTest, TriesTheNextAddressAfterTwoInitiations) {
    says({"192.0.2.7", "192.0.2.8", "2001:db8::7"});
    EXPECT_EQ(move(), "192.0.2.7:51820");
    for (const char* next : {"192.0.2.8:51820", "[2001:db8::7]:51820", "192.0.2.7:51820"}) {
        ++progress.initiations_sent;
        EXPECT_EQ(move(), "") << "the first may still be answered";
        ++progress.initiations_sent;
        EXPECT_EQ(move(), next);
    }
}

TEST_F(EndpointNamesTest, LeavesOutWhatCannotBeUsed) {
    says({"192.0.2.7", "192.0.2.8"});
    unusable = {*parse_address("192.0.2.7")};
    EXPECT_EQ(move(), "192.0.2.8:51820");
    progress.initiations_sent += 5;
    EXPECT_EQ(move(), "") << "there is no other";
    unusable.push_back(*parse_address("192.0.2.8"));
    EXPECT_EQ(move(), "");
}

TEST_F(EndpointNamesTest, WantsNamesOfPeersThatAreAskedInVain) {
    move();
    EXPECT_EQ(names.wanted(), std::set<std::string>{"gw.example.net"});
    progress.asks = false;
    move();
    EXPECT_TRUE(names.wanted().empty()) << "nobody wants to reach it";
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "control/sessions/session_count.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace meshgate::control {
namespace {

TEST(SessionCount, CountsNoSessionThatHasExpired) {
    SessionCount count;
    count.use(1, 100);
    count.use(2, 200);
    EXPECT_EQ(count.at(99).peers, 2U);
    EXPECT_EQ(count.at(100).peers, 1U);
    count.use(1, 300);
    EXPECT_EQ(count.at(199).peers, 2U);
    EXPECT_EQ(count.at(300).peers, 0U);
}

TEST(SessionCount, CountsClientsApart) {
    SessionCount count;
    count.set_client(7);
    count.use(7, 100);
    count.use(8, 100);
    EXPECT_EQ(count.at(0).peers, 1U);
    EXPECT_EQ(count.at(0).clients, 1U);
    count.forget(7);
    EXPECT_EQ(count.at(0).clients, 0U);
    count.use(7, 100);  // the number was given to a peer of the box file
    EXPECT_EQ(count.at(0).peers, 2U);
}

// Beside a model that walks over all peers.
TEST(SessionCount, AgreesWithAWalkOverAllPeers) {
    std::mt19937 random{1};
    SessionCount count;
    std::map<PeerId, uint64_t> ends;
    std::set<PeerId> clients;
    for (uint64_t now = 0; now < 20'000; ++now) {
        const auto peer = static_cast<PeerId>(random() % 50);
        const uint64_t end = now + random() % 200;
        switch (random() % 8) {
            case 0:
                count.stop(peer);
                ends.erase(peer);
                break;
            case 1:
                count.forget(peer);
                ends.erase(peer);
                clients.erase(peer);
                break;
            case 2:
                if (ends.count(peer) == 0 && now % 3 == 0) {
                    count.set_client(peer);
                    clients.insert(peer);
                }
                break;
            default:
                count.use(peer, end);
                ends[peer] = end;
        }
        std::erase_if(ends, [&](const auto& entry) { return entry.second <= now; });
        SessionCount::Numbers expected;
        for (const auto& [each, unused] : ends)
            ++(clients.count(each) > 0 ? expected.clients : expected.peers);
        ASSERT_EQ(count.at(now).peers, expected.peers) << now;
        ASSERT_EQ(count.at(now).clients, expected.clients) << now;
    }
}

}  // namespace
}  // namespace meshgate::control

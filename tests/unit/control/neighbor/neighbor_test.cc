// SPDX-License-Identifier: Apache-2.0
#include "control/neighbor/neighbors.h"

#include <gtest/gtest.h>

#include <random>

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;
using State = Neighbors::State;
using Kind = Neighbors::Event::Kind;

constexpr MacAddress kOurMac{{2, 0, 0, 0, 0, 1}};
constexpr MacAddress kHostMac{{2, 0, 0, 0, 0, 2}};
constexpr MacAddress kOtherMac{{2, 0, 0, 0, 0, 3}};
const IpAddress kOurV4 = *parse_address("10.1.0.1");
const IpAddress kHostV4 = *parse_address("10.1.0.20");
const IpAddress kOurV6 = *parse_address("fd10:1::1");
const IpAddress kHostV6 = *parse_address("fd10:1::20");

struct Both {
    IpAddress ours, host;
};
const Both kBoth[] = {{kOurV4, kHostV4}, {kOurV6, kHostV6}};

class NeighborsTest : public testing::Test {
protected:
    NeighborsTest() {
        neighbors_.set_ports({port()}, now_);
        pass(3s);  // what it says of itself
        neighbors_.take_frames();
    }

    static Neighbors::Port port(uint16_t vlan = 0) {
        return {.identity = {kOurMac, vlan},
                .addresses = {kOurV4, kOurV6, link_local_address(kOurMac)},
                .networks = {*parse_prefix("10.1.0.0/24"), *parse_prefix("fd10:1::/64")},
                .gateways = {}};
    }

    // What the host at `mac` says when it is asked for `target` by `question`.
    void host_answers(const Frame& question, const MacAddress& mac = kHostMac) {
        const auto message = parse_neighbor_frame(question, 0);
        ASSERT_TRUE(message);
        neighbors_.receive(0, build_answer({mac, 0}, *message), now_);
    }

    void host_asks(const IpAddress& host, const IpAddress& target,
                   const MacAddress& mac = kHostMac) {
        neighbors_.receive(0, build_question({mac, 0}, {target, host, std::nullopt}), now_);
    }

    void announce(const IpAddress& address, const MacAddress& mac) {
        neighbors_.receive(0, build_announcement({mac, 0}, address), now_);
    }

    // Who asks, by the only question that is out.
    std::string asker() {
        const auto frames = neighbors_.take_frames();
        EXPECT_EQ(frames.size(), 1U);
        return frames.empty() ? "" : to_string(parse_neighbor_frame(frames[0].frame, 0)->sender);
    }

    void resolve(const IpAddress& host) {
        neighbors_.resolve(0, host, now_);
        const auto frames = neighbors_.take_frames();
        ASSERT_EQ(frames.size(), 1U);
        host_answers(frames[0].frame);
        ASSERT_EQ(neighbors_.state(0, host), State::reachable);
        neighbors_.take_events();
    }

    // Lets time pass in steps of the deadlines; returns all frames that were sent.
    std::vector<Frame> pass(std::chrono::milliseconds duration) {
        std::vector<Frame> sent;
        const Time end = now_ + duration;
        while (neighbors_.next_deadline() <= end) {
            now_ = std::max(now_, neighbors_.next_deadline());
            neighbors_.tick(now_);
            for (auto& outgoing : neighbors_.take_frames())
                sent.push_back(std::move(outgoing.frame));
        }
        now_ = end;
        return sent;
    }

    Time now_ = Time{} + 1h;
    Neighbors neighbors_{64, 1};
};

TEST(NeighborMessages, BuildsArpAsRfc826HasIt) {
    const Frame expected{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  1, 8, 6,
                         0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,  0, 0, 1,
                         10,   1,    0,    1,    0,    0,    0, 0, 0, 0, 10, 1, 0, 20};
    EXPECT_EQ(build_question({kOurMac, 0}, {kHostV4, kOurV4, std::nullopt}), expected);
}

TEST(NeighborMessages, BuildsSolicitationsThatSumToZero) {
    const Frame frame = build_question({kOurMac, 0}, {kHostV6, kOurV6, std::nullopt});
    ASSERT_EQ(frame.size(), 14U + 40 + 32);
    uint32_t sum = 32 + 58;  // pseudo header: length and next header
    for (size_t i = 14 + 8; i < frame.size(); i += 2)
        sum += static_cast<uint32_t>(frame[i] << 8 | frame[i + 1]);
    EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffU);
    EXPECT_EQ(frame[0], 0x33);
    EXPECT_EQ(frame[5], 0x20);
    EXPECT_EQ(frame[14 + 7], 255);
}

TEST(NeighborMessages, DerivesLinkLocalAddressFromTheMac) {
    EXPECT_EQ(to_string(link_local_address(*parse_mac("00:1a:2b:3c:4d:5e"))),
              "fe80::21a:2bff:fe3c:4d5e");
}

TEST(NeighborMessages, CarriesTheTagOfThePort) {
    const Frame frame = build_question({kOurMac, 7}, {kHostV4, kOurV4, std::nullopt});
    EXPECT_EQ(frame[12], 0x81);
    EXPECT_EQ(frame[15], 7);
    EXPECT_TRUE(parse_neighbor_frame(frame, 7));
    EXPECT_FALSE(parse_neighbor_frame(frame, 8));
}

TEST(NeighborMessages, RefusesWhatRfc4861Refuses) {
    const Frame good = build_question({kHostMac, 0}, {kOurV6, kHostV6, std::nullopt});
    ASSERT_TRUE(parse_neighbor_frame(good, 0));
    const auto refused = [&good](size_t at, uint8_t value) {
        Frame bad = good;
        bad[at] = value;
        return !parse_neighbor_frame(bad, 0);
    };
    EXPECT_TRUE(refused(14 + 7, 254)) << "hop limit";
    EXPECT_TRUE(refused(14 + 40 + 2, static_cast<uint8_t>(good[56] ^ 1))) << "checksum";
    EXPECT_TRUE(refused(14 + 40 + 25, 0)) << "option of length zero";
    EXPECT_TRUE(refused(14 + 40 + 25, 2)) << "option past the end";
    EXPECT_TRUE(refused(14 + 40 + 8, 0xff)) << "multicast target";
    for (size_t len = 0; len < good.size(); ++len)
        EXPECT_FALSE(parse_neighbor_frame(std::span{good}.first(len), 0)) << len;
}

TEST_F(NeighborsTest, AsksFromTheSourceThatFits) {
    auto ours = port();
    ours.addresses.push_back(*parse_address("2001:db8:1::1"));
    ours.addresses.push_back(*parse_address("10.2.0.1"));
    ours.networks.push_back(*parse_prefix("2001:db8:1::/64"));
    ours.networks.push_back(*parse_prefix("10.2.0.0/24"));
    neighbors_.set_ports({ours}, now_);
    pass(3s);
    neighbors_.take_frames();
    const auto ask = [this](const char* host, const char* prompted_by = "::") {
        neighbors_.resolve(0, *parse_address(host), now_, *parse_address(prompted_by));
        return asker();
    };
    EXPECT_EQ(ask("fd10:1::20"), "fd10:1::1");
    EXPECT_EQ(ask("2001:db8:1::20"), "2001:db8:1::1");
    EXPECT_EQ(ask("2001:db8:77::1"), "2001:db8:1::1") << "a gateway outside of our networks";
    EXPECT_EQ(ask("fe80::20"), to_string(link_local_address(kOurMac)));
    EXPECT_EQ(ask("fe80::21", "2001:db8:1::1"), "2001:db8:1::1") << "RFC 4861, 7.2.2";
    EXPECT_EQ(ask("2001:db8:1::21", "fd10:1::1"), "fd10:1::1");
    EXPECT_EQ(ask("fd10:1::21", "fd77::1"), "fd10:1::1") << "a packet of somebody else";
    EXPECT_EQ(ask("10.2.0.20"), "10.2.0.1");
    EXPECT_EQ(ask("10.1.0.21", "10.2.0.1"), "10.1.0.1") << "ARP asks from the same network";
}

TEST_F(NeighborsTest, ProbesForOwnAddressesThenAnnouncesThemTwice) {
    Neighbors fresh{64, 1};
    fresh.set_ports({port()}, now_);
    const auto probes = fresh.take_frames();
    ASSERT_EQ(probes.size(), 3U);
    for (const auto& probe : probes) {
        const auto message = parse_neighbor_frame(probe.frame, 0);
        ASSERT_TRUE(message);
        EXPECT_EQ(message->kind, NeighborMessage::Kind::question);
        EXPECT_TRUE(message->sender.is_unspecified());
    }
    for (const auto wait : {1s, 2s}) {
        fresh.tick(now_ + wait);
        const auto announcements = fresh.take_frames();
        ASSERT_EQ(announcements.size(), 3U);
        EXPECT_EQ(parse_neighbor_frame(announcements[0].frame, 0)->kind,
                  NeighborMessage::Kind::answer);
    }
    EXPECT_EQ(fresh.next_deadline(), kNever);
}

TEST_F(NeighborsTest, DoesNotAnnounceWhatSomebodyElseHasAndSaysSoUntilItIsOver) {
    for (const IpAddress& address : {kOurV4, kOurV6}) {
        Neighbors fresh{64, 1};
        Neighbors::Port one = port();
        one.addresses = {address};
        fresh.set_ports({one}, now_);
        const auto probe = fresh.take_frames().at(0);
        const auto message = parse_neighbor_frame(probe.frame, 0);
        ASSERT_TRUE(message);
        fresh.receive(0, build_answer({kOtherMac, 0}, *message), now_);
        ASSERT_EQ(fresh.conflicts().size(), 1U);
        EXPECT_EQ(fresh.conflicts()[0].mac, kOtherMac);
        EXPECT_EQ(fresh.take_events().at(0).kind, Kind::conflict);
        EXPECT_EQ(fresh.take_frames().size(), 1U) << "defended once";
        fresh.tick(now_ + 2s);
        EXPECT_TRUE(fresh.take_frames().empty()) << "not announced";
        fresh.receive(0,
                      build_question({kHostMac, 0},
                                     {address, address.is_v4() ? kHostV4 : kHostV6, std::nullopt}),
                      now_ + 2s);
        EXPECT_EQ(fresh.take_frames().size(), 1U) << "still in use";
        Time time = now_;
        for (; fresh.next_deadline() != kNever; time = fresh.next_deadline()) {
            if (fresh.next_deadline() <= time)
                fresh.tick(time);
            if (fresh.conflicts().empty())
                break;
        }
        EXPECT_TRUE(fresh.conflicts().empty());
        EXPECT_GE(time - now_, 60s);
    }
}

TEST_F(NeighborsTest, AnswersWhoProbesForOurAddress) {
    for (const IpAddress& address : {kOurV4, kOurV6}) {
        neighbors_.receive(0, build_probe({kOtherMac, 0}, address), now_);
        const auto frames = neighbors_.take_frames();
        ASSERT_EQ(frames.size(), 1U);
        EXPECT_EQ(parse_neighbor_frame(frames[0].frame, 0)->kind, NeighborMessage::Kind::answer);
    }
}

TEST_F(NeighborsTest, CallsAHostSilentUntilItAnswers) {
    Neighbors::Port with_gateway = port();
    with_gateway.gateways = {kHostV4};
    neighbors_.set_ports({with_gateway}, now_);
    EXPECT_FALSE(neighbors_.is_silent(0, kHostV4));
    pass(3s);
    bool steady = true;
    std::vector<Frame> asked;
    for (int i = 0; i < 300; ++i) {
        steady = steady && neighbors_.is_silent(0, kHostV4);
        for (Frame& frame : pass(100ms))
            asked.push_back(std::move(frame));
    }
    EXPECT_TRUE(steady) << "not only between two rounds of questions";
    host_answers(asked.back());
    EXPECT_FALSE(neighbors_.is_silent(0, kHostV4));
}

TEST_F(NeighborsTest, ResolvesByAsking) {
    for (const Both& both : kBoth) {
        EXPECT_FALSE(neighbors_.resolve(0, both.host, now_));
        const auto frames = neighbors_.take_frames();
        ASSERT_EQ(frames.size(), 1U);
        EXPECT_FALSE(neighbors_.resolve(0, both.host, now_));
        EXPECT_TRUE(neighbors_.take_frames().empty()) << "asks once, however many packets wait";
        host_answers(frames[0].frame);
        EXPECT_EQ(neighbors_.resolve(0, both.host, now_), kHostMac);
        const auto events = neighbors_.take_events();
        ASSERT_EQ(events.size(), 1U);
        EXPECT_EQ(events[0].kind, Kind::resolved);
    }
    EXPECT_EQ(neighbors_.resolved().size(), 2U);
}

TEST_F(NeighborsTest, GivesUpAfterThreeQuestionsAndRemembers) {
    pass(2s);
    neighbors_.resolve(0, kHostV4, now_);
    EXPECT_EQ(neighbors_.take_frames().size(), 1U);
    EXPECT_EQ(pass(3s).size(), 2U);
    EXPECT_EQ(neighbors_.state(0, kHostV4), State::failed);
    EXPECT_EQ(neighbors_.take_events().at(0).kind, Kind::failed);
    EXPECT_FALSE(neighbors_.resolve(0, kHostV4, now_));
    EXPECT_TRUE(neighbors_.take_frames().empty());
    pass(6s);
    neighbors_.resolve(0, kHostV4, now_);
    EXPECT_EQ(neighbors_.take_frames().size(), 1U);
}

TEST_F(NeighborsTest, RefreshesBeforeItForgets) {
    pass(2s);
    for (const Both& both : kBoth)
        resolve(both.host);
    for (int minute = 0; minute < 10; ++minute) {
        const Time end = now_ + 1min;
        while (neighbors_.next_deadline() <= end) {
            now_ = neighbors_.next_deadline();
            neighbors_.tick(now_);
            for (const Both& both : kBoth)
                ASSERT_EQ(neighbors_.resolve(0, both.host, now_), kHostMac);
            for (const auto& outgoing : neighbors_.take_frames()) {
                EXPECT_EQ(parse_neighbor_frame(outgoing.frame, 0)->frame_destination, kHostMac);
                host_answers(outgoing.frame);
            }
        }
        now_ = end;
    }
    EXPECT_TRUE(neighbors_.take_events().empty());
}

TEST_F(NeighborsTest, AsksEverybodyBeforeItForgets) {
    pass(2s);
    resolve(kHostV4);
    const auto sent = pass(60s);
    ASSERT_EQ(sent.size(), 6U);
    EXPECT_EQ(parse_neighbor_frame(sent[2], 0)->frame_destination, kHostMac);
    EXPECT_TRUE(parse_neighbor_frame(sent[3], 0)->frame_destination.is_multicast());
    EXPECT_EQ(neighbors_.size(), 0U);
    EXPECT_EQ(neighbors_.take_events().at(0).kind, Kind::failed);
}

TEST_F(NeighborsTest, AnswersForOwnAddressesOnly) {
    for (const Both& both : kBoth) {
        host_asks(both.host, both.ours);
        const auto frames = neighbors_.take_frames();
        ASSERT_EQ(frames.size(), 1U);
        const auto answer = parse_neighbor_frame(frames[0].frame, 0);
        EXPECT_EQ(answer->kind, NeighborMessage::Kind::answer);
        EXPECT_EQ(answer->target, both.ours);
        EXPECT_EQ(answer->target_mac, kOurMac);
        EXPECT_EQ(answer->frame_destination, kHostMac);
        EXPECT_TRUE(answer->solicited);
        EXPECT_EQ(neighbors_.resolve(0, both.host, now_), kHostMac) << "who asks us is known";
        host_asks(both.host, both.host == kHostV4 ? *parse_address("10.1.0.77")
                                                  : *parse_address("fd10:1::77"));
        EXPECT_TRUE(neighbors_.take_frames().empty());
    }
}

TEST_F(NeighborsTest, AnswersAddressProbesToAll) {
    host_asks(IpAddress::v4(0), kOurV4);
    EXPECT_EQ(neighbors_.take_frames().size(), 1U);
    EXPECT_EQ(neighbors_.size(), 0U);
}

TEST_F(NeighborsTest, BelievesNoUnaskedAnswerOfAStranger) {
    announce(kHostV4, kOtherMac);
    announce(kHostV6, kOtherMac);
    Frame question = build_question({kOurMac, 0}, {kHostV4, kOurV4, std::nullopt});
    host_answers(question, kOtherMac);
    EXPECT_EQ(neighbors_.size(), 0U);
}

TEST_F(NeighborsTest, LearnsOnlyFromItsOwnNetworks) {
    host_asks(*parse_address("192.0.2.1"), kOurV4);
    host_asks(*parse_address("2001:db8::1"), kOurV6);
    EXPECT_EQ(neighbors_.size(), 0U);
}

TEST_F(NeighborsTest, FollowsAnnouncedMovesButNotAtOnce) {
    for (const Both& both : kBoth) {
        resolve(both.host);
        announce(both.host, kOtherMac);
        EXPECT_EQ(neighbors_.resolve(0, both.host, now_), kHostMac) << "held for a second";
        now_ += 2s;
        announce(both.host, kOtherMac);
        EXPECT_EQ(neighbors_.resolve(0, both.host, now_), kOtherMac);
        EXPECT_EQ(neighbors_.state(0, both.host), State::stale) << "to be verified soon";
    }
}

TEST_F(NeighborsTest, DefendsOwnAddressesNowAndThen) {
    announce(kOurV4, kOtherMac);
    announce(kOurV4, kOtherMac);
    EXPECT_EQ(neighbors_.take_frames().size(), 1U);
    EXPECT_EQ(neighbors_.take_events().at(0).kind, Kind::conflict);
    now_ += 11s;
    host_asks(kOurV6, kHostV6, kOtherMac);
    EXPECT_EQ(neighbors_.take_frames().size(), 1U);
}

TEST_F(NeighborsTest, StaysBoundedAndKeepsWhoAnswered) {
    resolve(kHostV4);
    for (uint32_t i = 0; i < 200; ++i) {
        const IpAddress stranger = IpAddress::v4(htobe32(0x0a010000U + 30 + i));
        host_asks(stranger, kOurV4, kOtherMac);
        neighbors_.resolve(0, IpAddress::v4(htobe32(0x0a010000U + 255 - i % 200)), now_);
    }
    EXPECT_EQ(neighbors_.size(), 64U);
    EXPECT_EQ(neighbors_.resolve(0, kHostV4, now_), kHostMac);
}

TEST_F(NeighborsTest, KeepsAskingForGateways) {
    Neighbors::Port with_gateway = port();
    with_gateway.gateways = {kHostV4};
    neighbors_.set_ports({with_gateway}, now_);
    EXPECT_GE(pass(60s).size(), 15U);
    EXPECT_NE(neighbors_.state(0, kHostV4), State::unknown);
}

TEST_F(NeighborsTest, AsksAnewWhenTheLinkComesUp) {
    neighbors_.resolve(0, kHostV4, now_);
    pass(3s);
    ASSERT_EQ(neighbors_.state(0, kHostV4), State::failed);
    neighbors_.link_up(0, now_);
    EXPECT_EQ(neighbors_.state(0, kHostV4), State::incomplete);
    EXPECT_EQ(neighbors_.take_frames().size(), 4U) << "three probes and a question";
}

TEST_F(NeighborsTest, AsksWhomItKnowsWhetherTheyAreStillThereWhenTheLinkComesUp) {
    resolve(kHostV4);
    neighbors_.link_up(0, now_);
    EXPECT_EQ(neighbors_.resolve(0, kHostV4, now_), kHostMac) << "until it is known to be gone";
    neighbors_.take_frames();
    EXPECT_FALSE(pass(1s).empty()) << "a question to everybody";
    pass(5s);
    EXPECT_EQ(neighbors_.state(0, kHostV4), State::failed);
}

TEST_F(NeighborsTest, ForgetsWhatIsNoLongerConnected) {
    resolve(kHostV4);
    Neighbors::Port changed = port();
    changed.networks = {*parse_prefix("fd10:1::/64")};
    neighbors_.set_ports({changed}, now_);
    EXPECT_EQ(neighbors_.size(), 0U);
}

TEST_F(NeighborsTest, SurvivesAnyBytes) {
    std::mt19937 random{7};
    const Frame seeds[] = {build_question({kHostMac, 0}, {kOurV4, kHostV4, std::nullopt}),
                           build_question({kHostMac, 0}, {kOurV6, kHostV6, std::nullopt}),
                           build_announcement({kHostMac, 0}, kHostV6)};
    for (int round = 0; round < 50'000; ++round) {
        Frame frame = seeds[random() % 3];
        for (unsigned flips = random() % 4; flips > 0; --flips)
            frame[random() % frame.size()] = static_cast<uint8_t>(random());
        frame.resize(random() % 8 == 0 ? random() % (frame.size() + 1) : frame.size());
        now_ += std::chrono::milliseconds{random() % 50};
        neighbors_.receive(0, frame, now_);
        neighbors_.receive(9, frame, now_);
        neighbors_.tick(now_);
        neighbors_.take_frames();
        neighbors_.take_events();
        ASSERT_LE(neighbors_.size(), 64U);
    }
}

}  // namespace
}  // namespace meshgate::control

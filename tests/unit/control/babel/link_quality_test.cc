// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "control/babel/link_quality.h"
#include "tests/unit/control/babel/fixture.h"

namespace meshgate::babel::test {
namespace {

TEST(BabelHelloHistory, BooksWhatWasMissedBetweenTwo) {  // RFC 8966 appendix A.1
    HelloHistory history;
    const Time now{};
    history.heard(10, 100, now);
    history.heard(11, 100, now);
    EXPECT_EQ(history.bits() >> 14, 0b11);
    history.heard(14, 100, now);
    EXPECT_EQ(history.bits() >> 11, 0b10011);
    EXPECT_EQ(history.missed_in_row(), 0U);
}

TEST(BabelHelloHistory, UndoesWhatItBookedTooEarly) {
    HelloHistory history;
    history.heard(10, 100, {});
    history.missed();
    history.missed();
    EXPECT_EQ(history.missed_in_row(), 2U);
    history.heard(11, 400, {});  // it had only become slower
    EXPECT_EQ(history.bits() >> 14, 0b11);
}

TEST(BabelHelloHistory, ForgetsAllWhenTheNeighbourStartedAgain) {
    HelloHistory history;
    for (uint16_t i = 0; i < 20; ++i)
        history.heard(static_cast<uint16_t>(65530 + i), 100, {});  // and the number wraps
    EXPECT_EQ(history.bits(), 0xffff);
    history.heard(500, 100, {});
    EXPECT_EQ(history.bits(), 0x8000);
}

TEST(BabelHelloHistory, ExpectsTheNextAfterOneAndAHalfIntervals) {
    HelloHistory history;
    EXPECT_EQ(history.next_due(), kNever);
    const Time now = Time{} + 1h;
    history.heard(1, 0, now);
    EXPECT_EQ(history.next_due(), kNever);  // unscheduled
    history.heard(2, 100, now);
    EXPECT_EQ(history.next_due(), now + 1500ms);
    history.missed();
    EXPECT_EQ(history.next_due(), now + 2500ms);
}

TEST(BabelHelloHistory, DoesNotTakeAnOutageForLoss) {
    HelloHistory history;
    uint16_t seqno = 0;
    const auto hear = [&](int nb) {
        for (int i = 0; i < nb; ++i)
            history.heard(++seqno, 20, {});
    };
    hear(100);
    for (int i = 0; i < 15; ++i, ++seqno)
        history.missed();
    EXPECT_GT(history.loss(), 0.1);  // while it lasts
    hear(1);
    EXPECT_LT(history.loss(), 0.01);
    for (int i = 0; i < 5; ++i, ++seqno)
        history.missed();
    hear(1);
    EXPECT_GT(history.loss(), 0.03) << "five in a row are loss";
}

TEST(BabelHelloHistory, MeasuresLoss) {
    HelloHistory history;
    std::mt19937 random{3};
    uint16_t seqno = 0;
    double worst = 0;
    for (int i = 0; i < 200'000; ++i) {
        ++seqno;
        if (random() % 20 != 0)
            history.heard(seqno, 20, {});
        if (i > 1000)
            worst = std::max(worst, history.loss());
    }
    EXPECT_NEAR(history.loss(), 0.05, 0.03);
    EXPECT_LT(worst, 0.12);  // 5 % at random never looks like much more
    for (int i = 0; i < 32; ++i) {
        ++seqno;
        if (i % 2 == 0)
            history.heard(seqno, 20, {});
    }
    EXPECT_GT(history.loss(), 0.3);  // half of them is seen within 32
}

TEST(BabelRttHistory, GivesMedianJitterAndTheMeanOfTheRfc) {
    RttHistory rtt;
    EXPECT_FALSE(rtt.known());
    rtt.sample(-1);
    rtt.sample(180'000'001);
    EXPECT_FALSE(rtt.known());
    rtt.sample(10'000);
    EXPECT_EQ(rtt.smoothed_us(), 10'000U);
    rtt.sample(20'000);
    EXPECT_EQ(rtt.smoothed_us(), 11'640U);  // 0.836 * 10000 + 0.164 * 20000
    rtt.sample(15'000);
    EXPECT_EQ(rtt.p50_us(), 15'000U);
    EXPECT_EQ(rtt.jitter_us(), 3'333U);
    for (int i = 0; i < 63; ++i)
        rtt.sample(40'000);
    EXPECT_EQ(rtt.p50_us(), 40'000U);
    EXPECT_EQ(rtt.jitter_us(), 0U);
}

TEST(BabelSteady, FollowsWithPlay) {
    Steady steady{16};
    EXPECT_EQ(steady.follow(100), 100);
    EXPECT_EQ(steady.follow(124), 100);
    EXPECT_EQ(steady.follow(76), 100);
    EXPECT_EQ(steady.follow(135), 110);
    EXPECT_EQ(steady.follow(110), 110);
    EXPECT_EQ(steady.follow(3), 30.5);  // a quarter of 110
    EXPECT_EQ(steady.follow(3), 19);
    EXPECT_EQ(steady.follow(30), 19);
    EXPECT_EQ(steady.follow(36), 20);
    EXPECT_EQ(steady.follow(1), 1);  // next to nothing
    EXPECT_EQ(steady.follow(15), 1);
}

TEST(BabelCost, DelayCostsLinearlyBetweenItsBounds) {  // RFC 9616 section 5
    CostOptions options;
    options.max_rtt_penalty = 150;
    EXPECT_EQ(rtt_penalty(options, 5'000), 0);
    EXPECT_EQ(rtt_penalty(options, 10'000), 0);
    EXPECT_EQ(rtt_penalty(options, 65'000), 75);
    EXPECT_EQ(rtt_penalty(options, 120'000), 150);
    EXPECT_EQ(rtt_penalty(options, 900'000), 150);
    options.max_rtt_penalty = 0;
    EXPECT_EQ(rtt_penalty(options, 900'000), 0);
}

}  // namespace
}  // namespace meshgate::babel::test

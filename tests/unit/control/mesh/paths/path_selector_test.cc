// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/path_selector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "control/babel/tlv.h"
#include "tests/unit/control/mesh/fixture.h"

namespace meshgate::mesh::test {
namespace {

using namespace std::chrono_literals;
using Kind = PathDecision::Kind;

const IpAddress kTarget = node(1);
const IpAddress kRelay = node(2);
const IpAddress kOther = node(3);
const Time kNow{100s};

// Links are numbered by the box that they lead to.
NextHop over(unsigned number) {
    return {.link = number, .node = node(number)};
}

Route route(unsigned number, uint16_t metric, bool selected = false) {
    return {.via = over(number), .metric = metric, .feasible = true, .selected = selected};
}

PathInputs inputs(std::vector<Route> to_node) {
    PathInputs result;
    result.target = kTarget;
    result.routes.to_node = std::move(to_node);
    result.now = kNow;
    return result;
}

TEST(PathSelector, TakesWhatTheSpeakerSelectedElseTheCheapest) {
    EXPECT_EQ(best_path({{route(1, 100), route(2, 90)}, {}}, {}), (PathChoice{over(2), 90}));
    EXPECT_EQ(best_path({{route(1, 100, true), route(2, 90)}, {}}, {}), (PathChoice{over(1), 100}));
    EXPECT_EQ(best_path({{route(1, babel::kInfinity, true), route(2, 90)}, {}}, {}),
              (PathChoice{over(2), 90}));
    EXPECT_FALSE(best_path({}, {}));
}

TEST(PathSelector, GoesByTheAggregateWhereTheNodeHasNoRoute) {
    EXPECT_EQ(best_path({{route(1, babel::kInfinity)}, {route(2, 500)}}, {}),
              (PathChoice{over(2), 500}));
    EXPECT_EQ(best_path({{route(3, 900)}, {route(2, 500)}}, {}), (PathChoice{over(3), 900}));
}

TEST(PathSelector, AvoidsRelaysThatAreHeldDownUnlessThereIsNoOther) {
    const Routes both{{route(2, 90, true), route(3, 100)}, {}};
    EXPECT_EQ(best_path(both, {kRelay}), (PathChoice{over(3), 100}));
    EXPECT_EQ(best_path(both, {kRelay, kOther}), (PathChoice{over(2), 90}));
}

TEST(PathSelector, TakesARelayOnceItHasAgreed) {
    PathInputs given = inputs({route(2, 90, true)});
    EXPECT_EQ(select_path(given).kind, Kind::wait);
    given.agreed = over(3);
    EXPECT_EQ(select_path(given).kind, Kind::wait);
    given.agreed = over(2);
    EXPECT_EQ(select_path(given), (PathDecision{Kind::change, {over(2), 90}}));
}

TEST(PathSelector, KeepsTheOldPathUntilTheRelayHasAgreed) {
    PathInputs given = inputs({route(1, 200), route(2, 90, true)});
    given.in_force = PathChoice{over(1), 200};
    EXPECT_EQ(select_path(given).kind, Kind::wait);
    // But not when the routing protocol does not know the old one any more.
    given.routes.to_node.front().metric = babel::kInfinity;
    EXPECT_EQ(select_path(given).kind, Kind::failing);
}

TEST(PathSelector, KeepsAPathWithItsPresentMetric) {
    PathInputs given = inputs({route(1, 77, true)});
    given.in_force = PathChoice{over(1), 99};
    EXPECT_EQ(select_path(given), (PathDecision{Kind::keep, {over(1), 77}}));
}

TEST(PathSelector, GivesUpAPathThreeSecondsAfterItFailed) {
    PathInputs given = inputs({});
    given.in_force = PathChoice{over(1), 99};
    EXPECT_EQ(select_path(given).kind, Kind::failing);
    given.failing_since = kNow - 2999ms;
    EXPECT_EQ(select_path(given).kind, Kind::failing);
    given.failing_since = kNow - 3s;
    EXPECT_EQ(select_path(given).kind, Kind::give_up);
}

TEST(PathSelector, ALinkThatBroughtAHandshakeServesUntilThereAreRoutes) {
    PathInputs given = inputs({});
    given.handshake_link = 7;
    const NextHop direct{.link = 7, .node = kTarget};
    EXPECT_EQ(select_path(given), (PathDecision{Kind::change, {direct, 0}}));
    given.in_force = PathChoice{over(1), 99};
    EXPECT_EQ(select_path(given).kind, Kind::failing);
    given = inputs({route(1, 50)});
    given.handshake_link = 7;
    EXPECT_EQ(select_path(given).path.via, over(1));
}

// ---- against a naive model ----

// Says what the header says, with sorting instead of scanning.
std::vector<PathChoice> usable(const Routes& routes, const std::set<IpAddress>& avoided) {
    std::vector<PathChoice> result;
    for (const auto* list : {&routes.to_node, &routes.to_aggregate}) {
        std::vector<Route> sorted;
        std::ranges::copy_if(*list, std::back_inserter(sorted), [&](const Route& one) {
            return one.feasible && one.metric != babel::kInfinity &&
                   !avoided.contains(one.via.node);
        });
        std::ranges::stable_sort(sorted, [](const Route& a, const Route& b) {
            return std::pair{!a.selected, a.metric} < std::pair{!b.selected, b.metric};
        });
        for (const Route& one : sorted)
            result.push_back({one.via, one.metric});
    }
    return result;
}

PathDecision model(const PathInputs& given) {
    auto choices = usable(given.routes, given.held_down);
    if (choices.empty())
        choices = usable(given.routes, {});
    if (choices.empty() && !given.in_force && given.handshake_link)
        choices.push_back({{*given.handshake_link, given.target}, 0});
    const auto works = [&](const PathChoice& path) {
        return path.via.node == given.target || given.agreed == path.via;
    };
    const bool in_force_is_best =
        given.in_force && !choices.empty() && given.in_force->via == choices.front().via;
    if (!choices.empty() && works(choices.front()))
        return {in_force_is_best ? Kind::keep : Kind::change, choices.front()};
    if (!given.in_force)
        return {Kind::wait, {}};
    const auto known = [&](const std::vector<Route>& routes) {
        return std::ranges::any_of(routes, [&](const Route& one) {
            return one.via.link == given.in_force->via.link && one.metric != babel::kInfinity;
        });
    };
    const bool alive = !choices.empty() && !in_force_is_best &&
                       (known(given.routes.to_node) || known(given.routes.to_aggregate));
    if (alive)
        return {Kind::wait, {}};
    const bool long_since = given.failing_since && *given.failing_since <= given.now - 3s;
    return {long_since ? Kind::give_up : Kind::failing, *given.in_force};
}

class RandomInputs {
public:
    explicit RandomInputs(unsigned seed) : random_{seed} {}

    PathInputs next() {
        PathInputs result;
        result.target = kTarget;
        result.now = kNow;
        result.routes = {routes(), routes()};
        for (unsigned box = 2; box <= 4; ++box) {
            if (chance(3))
                result.held_down.insert(node(box));
        }
        if (chance(3))
            result.handshake_link = pick(5);
        if (chance(2))
            result.agreed = over(pick(4));
        if (chance(2))
            result.in_force = PathChoice{over(pick(4)), 5};
        if (chance(2))
            result.failing_since = kNow - std::chrono::seconds{pick(5)};
        return result;
    }

private:
    unsigned pick(unsigned most) {
        return std::uniform_int_distribution<unsigned>{1, most}(random_);
    }
    bool chance(unsigned one_in) { return pick(one_in) == 1; }

    // At most one is selected, as with the speaker.
    std::vector<Route> routes() {
        std::vector<Route> result;
        bool selected = false;
        for (unsigned nb = pick(4); nb > 1; --nb) {
            Route one = route(pick(4), static_cast<uint16_t>(pick(4)), !selected && chance(3));
            selected |= one.selected;
            if (chance(4))
                one.metric = babel::kInfinity;
            one.feasible = !chance(5);
            result.push_back(one);
        }
        return result;
    }

    std::mt19937 random_;
};

TEST(PathSelector, DecidesAsTheNaiveModelDoes) {
    RandomInputs random{20'22};
    std::array<unsigned, 5> nb_of_kind{};
    for (unsigned n = 0; n < 200'000; ++n) {
        const PathInputs given = random.next();
        const PathDecision decision = select_path(given);
        ASSERT_EQ(decision, model(given)) << "round " << n;
        ++nb_of_kind.at(static_cast<size_t>(decision.kind));
    }
    EXPECT_GT(*std::ranges::min_element(nb_of_kind), 1000U) << "some outcome hardly ever comes up";
}

}  // namespace
}  // namespace meshgate::mesh::test

// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/diagnosis.h"

#include <gtest/gtest.h>

namespace meshgate::mesh::test {
namespace {

using control::ExplainView;
using control::LinkView;
using Cause = ExplainView::Cause;
using Cure = ExplainView::Cure;
using Verdict = ExplainView::Verdict;

LinkView link(LinkView::State state, double age_s) {
    LinkView view;
    view.state = state;
    view.age_s = age_s;
    return view;
}

ExplainView view(Verdict verdict, std::vector<LinkView> links = {},
                 std::vector<std::string> endpoints = {}) {
    ExplainView result;
    result.verdict = verdict;
    result.links = std::move(links);
    result.endpoints = std::move(endpoints);
    return result;
}

const LinkView kUp = link(LinkView::State::up, 1);
const LinkView kSilent = link(LinkView::State::down, 40);
const LinkView kNeverHeard = link(LinkView::State::probing, -1);

TEST(MeshDiagnosis, FindsTheCause) {
    const struct {
        ExplainView view;
        bool others_up;
        Cause cause;
    } cases[] = {
        {view(Verdict::self), true, Cause::none},
        {view(Verdict::idle), true, Cause::none},
        {view(Verdict::direct, {kUp}), true, Cause::lowest_metric},
        {view(Verdict::relayed, {kNeverHeard, kUp}), true, Cause::relay_is_better},
        {view(Verdict::relayed), true, Cause::no_endpoint_known},
        {view(Verdict::relayed, {}, {"[2001:db8::1]:1"}), true, Cause::no_way_to_endpoints},
        {view(Verdict::relayed, {kNeverHeard}), true, Cause::never_answered},
        {view(Verdict::relayed, {kNeverHeard, kSilent}), true, Cause::went_silent},
        {view(Verdict::no_session, {kNeverHeard}), true, Cause::box_silent},
        {view(Verdict::no_session, {kNeverHeard}), false, Cause::own_uplink},
        {view(Verdict::no_path, {kSilent}), true, Cause::box_silent},
        {view(Verdict::no_path, {kSilent}), false, Cause::own_uplink},
    };
    for (const auto& [given, others_up, cause] : cases)
        EXPECT_EQ(to_string(cause_of(given, others_up)), std::string{to_string(cause)})
            << to_string(given.verdict);
}

TEST(MeshDiagnosis, NamesCuresThatFitTheCause) {
    const auto cures = [](Cause cause, std::vector<std::string> endpoints) {
        ExplainView given;
        given.cause = cause;
        given.endpoints = std::move(endpoints);
        return cures_of(given);
    };
    const std::vector<std::string> in_file{"192.0.2.1:51820"};
    for (const Cause cause :
         {Cause::no_endpoint_known, Cause::never_answered, Cause::went_silent}) {
        EXPECT_EQ(cures(cause, {}),
                  (std::vector{Cure::open_port, Cure::keep_source_port, Cure::use_ipv6}));
        EXPECT_EQ(cures(cause, in_file),
                  (std::vector{Cure::check_endpoints, Cure::keep_source_port}));
    }
    EXPECT_EQ(cures(Cause::no_way_to_endpoints, in_file),
              (std::vector{Cure::use_ipv6, Cure::check_endpoints}));
    EXPECT_EQ(cures(Cause::box_silent, {}), std::vector{Cure::check_box});
    EXPECT_EQ(cures(Cause::box_silent, in_file),
              (std::vector{Cure::check_box, Cure::check_endpoints}));
    EXPECT_EQ(cures(Cause::own_uplink, {}), std::vector{Cure::check_own_ports});
    for (const Cause cause : {Cause::none, Cause::lowest_metric, Cause::relay_is_better})
        EXPECT_TRUE(cures(cause, in_file).empty());
}

}  // namespace
}  // namespace meshgate::mesh::test

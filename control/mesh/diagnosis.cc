// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/diagnosis.h"

#include <algorithm>

namespace meshgate::mesh {

namespace {

using control::ExplainView;
using control::LinkView;
using Verdict = ExplainView::Verdict;
using Cause = ExplainView::Cause;
using Cure = ExplainView::Cure;

// Why there is no direct link that works.
Cause cause_of_no_link(const ExplainView& view) {
    if (view.links.empty())
        return view.endpoints.empty() ? Cause::no_endpoint_known : Cause::no_way_to_endpoints;
    const bool heard =
        std::ranges::any_of(view.links, [](const LinkView& link) { return link.age_s >= 0; });
    return heard ? Cause::went_silent : Cause::never_answered;
}

}  // namespace

bool any_up(const std::vector<LinkView>& links) {
    return std::ranges::any_of(
        links, [](const LinkView& link) { return link.state == LinkView::State::up; });
}

Cause cause_of(const ExplainView& view, bool others_up) {
    switch (view.verdict) {
        case Verdict::direct:
            return Cause::lowest_metric;
        case Verdict::relayed:
            return any_up(view.links) ? Cause::relay_is_better : cause_of_no_link(view);
        case Verdict::no_session:
        case Verdict::no_path:
            return others_up ? Cause::box_silent : Cause::own_uplink;
        default:
            return Cause::none;
    }
}

std::vector<Cure> cures_of(const ExplainView& view) {
    const bool public_box = !view.endpoints.empty();
    switch (view.cause) {
        case Cause::no_endpoint_known:
        case Cause::never_answered:
        case Cause::went_silent:
            if (public_box)
                return {Cure::check_endpoints, Cure::keep_source_port};
            return {Cure::open_port, Cure::keep_source_port, Cure::use_ipv6};
        case Cause::no_way_to_endpoints:
            return {Cure::use_ipv6, Cure::check_endpoints};
        case Cause::box_silent:
            if (public_box)
                return {Cure::check_box, Cure::check_endpoints};
            return {Cure::check_box};
        case Cause::own_uplink:
            return {Cure::check_own_ports};
        default:
            return {};
    }
}

}  // namespace meshgate::mesh

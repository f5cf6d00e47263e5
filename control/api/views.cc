// SPDX-License-Identifier: Apache-2.0
#include "control/api/views.h"

#include "base/names.h"

namespace meshgate::control {

namespace {

template <typename Enum>
constexpr size_t index(Enum value) noexcept {
    return static_cast<size_t>(value);
}

// What a value outside the enumeration prints, rather than memory behind the table.
template <size_t N, typename Enum>
const char* name_in(const std::array<const char*, N>& names, Enum value) noexcept {
    return index(value) < N ? names[index(value)] : "unknown";
}

constexpr auto kSessionStates =
    names_of<index(SessionState::nb_states)>({"none", "handshaking", "up", "expired"});

constexpr auto kReadiness =
    names_of<index(Readiness::nb_states)>({"ready", "starting", "leaving", "workers_stalled"});

constexpr auto kVmForkNotices =
    names_of<index(VmForkNotice::nb_states)>({"told", "no_device", "kernel_silent", "no_socket"});

constexpr auto kPathKinds = names_of<index(PathKind::nb_kinds)>({"none", "direct", "relay"});

constexpr auto kMtuOrigins = names_of<index(MtuOrigin::nb_origins)>({"port", "router", "probe"});

constexpr auto kRouteKinds = names_of<index(RouteKind::nb_kinds)>(
    {"none", "local", "connected", "gateway", "peer", "blackhole", "broadcast"});

constexpr auto kRouteOrigins = names_of<index(RouteView::Origin::nb_origins)>(
    {"address", "routes", "network file", "allowed_ips", "babel", "built-in"});

constexpr auto kPortRoles =
    names_of<index(PortStatusView::Role::nb_roles)>({"wan", "lan", "one_arm"});

constexpr auto kBabelPlaceKinds = names_of<index(BabelPlaceView::Kind::nb_kinds)>({"port", "peer"});

constexpr auto kLinkStates =
    names_of<index(LinkView::State::nb_states)>({"idle", "probing", "down", "up"});

constexpr auto kLinkOrigins =
    names_of<index(LinkView::Origin::nb_origins)>({"network file", "heard", "candidate"});

constexpr auto kMemberStates =
    names_of<index(MemberView::State::nb_states)>({"self", "up", "idle", "down"});

constexpr auto kRelayRoles = names_of<index(RelayView::Role::nb_roles)>({"serving", "using"});

constexpr auto kRelayStates =
    names_of<index(RelayView::State::nb_states)>({"asking", "open", "closed"});

using Verdict = ExplainView::Verdict;
constexpr auto kVerdicts = names_of<index(Verdict::nb_verdicts)>(
    {"self", "idle", "no_session", "no_path", "direct", "relayed"});

using Cause = ExplainView::Cause;
constexpr auto kCauses = names_of<index(Cause::nb_causes)>(
    {"none", "lowest_metric", "relay_is_better", "no_endpoint_known", "no_way_to_endpoints",
     "never_answered", "went_silent", "box_silent", "own_uplink"});

using Cure = ExplainView::Cure;
constexpr auto kCures =
    names_of<index(Cure::nb_cures)>({"open_port", "keep_source_port", "use_ipv6", "check_box",
                                     "check_endpoints", "check_own_ports"});

constexpr auto kReloadOutcomes = names_of<index(ReloadOutcome::nb_outcomes)>(
    {"applied", "unchanged", "needs_restart", "refused"});

}  // namespace

const char* to_string(SessionState state) noexcept {
    return name_in(kSessionStates, state);
}
const char* to_string(Readiness readiness) noexcept {
    return name_in(kReadiness, readiness);
}
const char* to_string(VmForkNotice notice) noexcept {
    return name_in(kVmForkNotices, notice);
}
const char* to_string(PathKind kind) noexcept {
    return name_in(kPathKinds, kind);
}
const char* to_string(MtuOrigin origin) noexcept {
    return name_in(kMtuOrigins, origin);
}
const char* to_string(RouteKind kind) noexcept {
    return name_in(kRouteKinds, kind);
}
const char* to_string(RouteView::Origin origin) noexcept {
    return name_in(kRouteOrigins, origin);
}
const char* to_string(PortStatusView::Role role) noexcept {
    return name_in(kPortRoles, role);
}
const char* to_string(BabelPlaceView::Kind kind) noexcept {
    return name_in(kBabelPlaceKinds, kind);
}
const char* to_string(LinkView::State state) noexcept {
    return name_in(kLinkStates, state);
}
const char* to_string(LinkView::Origin origin) noexcept {
    return name_in(kLinkOrigins, origin);
}
const char* to_string(MemberView::State state) noexcept {
    return name_in(kMemberStates, state);
}
const char* to_string(RelayView::Role role) noexcept {
    return name_in(kRelayRoles, role);
}
const char* to_string(RelayView::State state) noexcept {
    return name_in(kRelayStates, state);
}
const char* to_string(ExplainView::Verdict verdict) noexcept {
    return name_in(kVerdicts, verdict);
}
const char* to_string(ExplainView::Cause cause) noexcept {
    return name_in(kCauses, cause);
}
const char* to_string(ExplainView::Cure cure) noexcept {
    return name_in(kCures, cure);
}
const char* to_string(ReloadOutcome outcome) noexcept {
    return name_in(kReloadOutcomes, outcome);
}

}  // namespace meshgate::control

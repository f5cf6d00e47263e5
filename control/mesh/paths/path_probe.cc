// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/path_probe.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Between two probes of one path: a relay that forwards nothing is noticed after four of them.
constexpr auto kInterval = 500ms;
constexpr unsigned kUnansweredBeforeSilent = 3;
// Replies to the last few probes count: the round trip may take longer than the interval.
constexpr uint32_t kReplyWindow = 8;

}  // namespace

std::optional<PathProbe::Step> PathProbe::poll(const IpAddress& target_node, Time now) {
    Target& target = targets_[target_node];
    if (target.next && now < *target.next)
        return std::nullopt;
    Step step;
    step.unanswered = target.next && target.nb_unanswered > 0;
    if (target.next && ++target.nb_unanswered > kUnansweredBeforeSilent) {
        target.nb_unanswered = 0;
        step.path_is_silent = true;
    }
    step.id = ++target.id & ~kPathMtuProbeBit;
    target.next = now + kInterval;
    target.sent = now;
    return step;
}

void PathProbe::stop(const IpAddress& target_node) {
    const auto target = targets_.find(target_node);
    if (target == targets_.end())
        return;
    target->second.next.reset();
    target->second.nb_unanswered = 0;
}

void PathProbe::on_path_changed(const IpAddress& target_node) {
    stop(target_node);
    if (const auto target = targets_.find(target_node); target != targets_.end())
        target->second.rtt_ms.reset();
}

void PathProbe::on_reply(const IpAddress& target_node, uint32_t id, Time now) {
    const auto found = targets_.find(target_node);
    if (found == targets_.end() || ((found->second.id - id) & ~kPathMtuProbeBit) >= kReplyWindow)
        return;
    Target& target = found->second;
    target.nb_unanswered = 0;
    if (id == (target.id & ~kPathMtuProbeBit) && target.sent)
        target.rtt_ms = std::chrono::duration<double, std::milli>(now - *target.sent).count();
}

std::optional<double> PathProbe::rtt_ms(const IpAddress& target_node) const {
    const auto target = targets_.find(target_node);
    return target == targets_.end() ? std::nullopt : target->second.rtt_ms;
}

}  // namespace meshgate::mesh

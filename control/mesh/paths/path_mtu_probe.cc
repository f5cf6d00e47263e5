// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/path_mtu_probe.h"

#include <algorithm>

#include "control/mesh/paths/path_probe.h"

namespace meshgate::mesh {

uint16_t PathMtuProbe::begin(const PathKey& path) {
    PathMtuSearch& search = paths_[path];
    search.restart();
    return std::min(ceiling_of(path), search.in_force());
}

PathMtuSearch::Step PathMtuProbe::poll(const PathKey& path, uint16_t link_mtu_bytes, Time now) {
    auto step = paths_[path].poll(link_mtu_bytes, ceiling_of(path), last_id_, now);
    for (PathMtuSearch::Probe& probe : step.probes)
        probe.id |= kPathMtuProbeBit;
    return step;
}

// An id is answered by the member that it was sent to, by whatever path.
void PathMtuProbe::on_reply(const IpAddress& target, uint32_t id) {
    for (auto path = paths_.lower_bound({target, {.link = 0, .node = {}}});
         path != paths_.end() && path->first.target == target; ++path)
        path->second.on_reply(id & ~kPathMtuProbeBit);
}

void PathMtuProbe::forget_target(const IpAddress& target) {
    std::erase_if(paths_, [&](const auto& entry) { return entry.first.target == target; });
}

void PathMtuProbe::forget_link(LinkId link) {
    std::erase_if(paths_, [&](const auto& entry) { return entry.first.via.link == link; });
}

bool PathMtuProbe::is_measured(const PathKey& path) const {
    const auto found = paths_.find(path);
    return !path.is_direct() ||
           (found != paths_.end() && found->second.in_force() != PathMtuSearch::kNoCeiling);
}

}  // namespace meshgate::mesh

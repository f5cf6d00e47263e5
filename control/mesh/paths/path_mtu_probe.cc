// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/path_mtu_probe.h"

#include <algorithm>
#include <array>

#include "control/mesh/paths/path_probe.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Below the ceiling, largest first: usual tunnels, and the least MTUs of IPv6.
constexpr std::array<uint16_t, 9> kSizes{1420, 1400, 1380, 1360, 1340, 1320, 1280, 1240, 1200};
// What is lost by chance in one round gets through in another.
constexpr unsigned kRounds = 3;
// Between two searches: a path that has become narrower is a hole for this long.
constexpr auto kSearchAgain = 10s;

}  // namespace

PathMtuProbe::Step PathMtuProbe::poll(const PathKey& key, uint16_t link_mtu_bytes, bool answers,
                                      Time now) {
    Path& path = paths_[key];
    Step step;
    if (now < path.next)
        return step;
    if (!answers) {
        path.nb_rounds = 0;
        path.best = 0;
        path.sent.clear();
        return step;
    }
    const uint16_t ceiling = key.is_direct() ? kNoCeiling : kRelayedCeiling;
    const uint16_t most = std::min(ceiling, link_mtu_bytes);
    const uint16_t present = std::min(most, path.mtu_bytes);
    if (path.nb_rounds > 0 && (path.best >= present || path.nb_rounds == kRounds)) {
        step.result = conclude(path, most, ceiling, now);
        return step;
    }
    const bool only_most = present == most && path.nb_rounds == 0;
    ++path.nb_rounds;
    try_size(path, most, step);
    for (const uint16_t size : kSizes) {
        if (!only_most && size < most)
            try_size(path, size, step);
    }
    return step;
}

void PathMtuProbe::try_size(Path& path, uint16_t mtu_bytes, Step& step) {
    const uint32_t id = ++last_id_ | kPathMtuProbeBit;
    path.sent[id] = mtu_bytes;
    step.probes.push_back({id, mtu_bytes});
}

PathMtuProbe::Result PathMtuProbe::conclude(Path& path, uint16_t most, uint16_t ceiling, Time now) {
    const uint16_t present = std::min(most, path.mtu_bytes);
    Result result;
    result.fits = path.best != 0 ? path.best : std::min(most, kSizes.back());
    result.changed = result.fits != present;
    // What our own link takes is its own affair, and may change.
    result.in_force = result.fits == most ? ceiling : result.fits;
    path = {.mtu_bytes = result.in_force, .next = now + kSearchAgain};
    return result;
}

// An id is answered by the member that it was sent to, by whatever path.
void PathMtuProbe::on_reply(const IpAddress& target, uint32_t id) {
    for (auto path = paths_.lower_bound({target, {.link = 0, .node = {}}});
         path != paths_.end() && path->first.target == target; ++path) {
        if (const auto sent = path->second.sent.find(id); sent != path->second.sent.end())
            path->second.best = std::max(path->second.best, sent->second);
    }
}

void PathMtuProbe::forget_target(const IpAddress& target) {
    std::erase_if(paths_, [&](const auto& entry) { return entry.first.target == target; });
}

}  // namespace meshgate::mesh

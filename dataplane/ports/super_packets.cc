// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/super_packets.h"

#include <algorithm>
#include <utility>

#include "dataplane/ports/xdp_pass.h"

namespace meshgate {

namespace {

using namespace std::chrono_literals;

// So many cut frames are no accident: a host beside us makes super-packets.
constexpr uint64_t kSuperPackets = 8;
// Each trial costs a host that still makes them as many.
constexpr Time::duration kFirstTrial = 30s;
constexpr Time::duration kLongestTrialInterval = 1h;  // trials back off up to it

}  // namespace

SuperPacketGuard::Change SuperPacketGuard::tick(Time now, uint64_t nb_cut_frames) {
    if (attached() && now >= next_trial_) {
        program_ = UniqueFd{};
        nb_seen_ = nb_cut_frames;
        return Change::detached;
    }
    if (attached() || nb_cut_frames - nb_seen_ < kSuperPackets)
        return Change::none;
    nb_seen_ = nb_cut_frames;
    auto program = attach_xdp_pass(interface_index_);
    if (!program)
        return Change::none;  // it stays as it was: cut frames are dropped and counted
    program_ = *std::move(program);
    trial_interval_ = std::clamp(2 * trial_interval_, kFirstTrial, kLongestTrialInterval);
    next_trial_ = now + trial_interval_;
    return Change::attached;
}

void SuperPacketGuard::start_over() noexcept {
    trial_interval_ = {};
    next_trial_ = {};
}

}  // namespace meshgate

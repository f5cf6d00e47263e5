// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/initiation_schedule.h"

#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Between two tries with one member; the device adds its own retransmission timer.
constexpr auto kInterval = 1s;
// In one round, each a Diffie-Hellman of ours and one of theirs: a thousand members take 2 s.
constexpr unsigned kMaxPerRound = 50;

}  // namespace

bool InitiationSchedule::poll(const IpAddress& node, Peer kind, Time now) {
    if (nb_started_ >= kMaxPerRound)
        return false;
    Member& member = members_[node];
    if (now < member.next)
        return false;
    member.next = now + kInterval;
    const bool first = !std::exchange(member.tried, true);
    if (kind == Peer::leaf && !first)
        return false;
    ++nb_started_;
    return true;
}

}  // namespace meshgate::mesh

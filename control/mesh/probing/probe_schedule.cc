// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/probe_schedule.h"

#include <algorithm>
#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// A new link, or one after a silence, is probed as if it were in use: there may be no other.
constexpr auto kFresh = 3s;
// One that came back is longer: what it lost before has to be outweighed.
constexpr auto kFreshAfterOutage = 10s;
// A link that nobody has answered on for so long is silent.
constexpr auto kSilentAfter = 15s;
// The same between boxes that always keep a session: they look for each other a while longer.
constexpr auto kSilentAfterEager = 10min;
// After it last forwarded datagrams of others a link counts as in use.
constexpr auto kRelayingFor = 10s;

}  // namespace

void ProbeSchedule::begin_round() {
    used_.clear();
    used_by_them_.clear();
}

void ProbeSchedule::on_relayed(LinkId link, uint64_t nb_packets, Time now) {
    Relayed& relayed = relayed_[link];
    if (nb_packets != std::exchange(relayed.nb_packets, nb_packets))
        relayed.last = now;
    if (relayed.last && now - *relayed.last < kRelayingFor)
        used_.insert(link);
}

void ProbeSchedule::on_their_interval(LinkId link, Time::duration interval) {
    if (interval > Time::duration{} && interval < kIntervalForThem)
        used_by_them_.insert(link);
}

void ProbeSchedule::on_probed(LinkId link, Time now) {
    fresh_until_[link] = now + kFresh;
}

void ProbeSchedule::on_heard_again(LinkId link, Time now) {
    Time& until = fresh_until_[link];
    until = std::max<Time>(until, now + kFresh);
}

void ProbeSchedule::on_up(LinkId link, Time now) {
    fresh_until_[link] = now + kFreshAfterOutage;
}

Time::duration ProbeSchedule::interval_of(LinkId link, Time::duration silence, Patience patience,
                                          Time now) const {
    const auto fresh = fresh_until_.find(link);
    if (used_.contains(link) || (fresh != fresh_until_.end() && now < fresh->second))
        return kIntervalInUse;
    if (used_by_them_.contains(link))
        return kIntervalForThem;
    const Time::duration bound = patience == Patience::eager ? Time::duration{kSilentAfterEager}
                                                             : Time::duration{kSilentAfter};
    return silence > bound ? kIntervalSilent : kIntervalIdle;
}

void ProbeSchedule::forget(LinkId link) {
    used_.erase(link);
    used_by_them_.erase(link);
    relayed_.erase(link);
    fresh_until_.erase(link);
}

}  // namespace meshgate::mesh

// SPDX-License-Identifier: Apache-2.0
// Which way each member's datagrams go.
#include <algorithm>

#include "control/mesh/mesh.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Without a path for so long, packets are refused rather than sent to where nobody answers.
constexpr auto kRefuseAfter = 3s;
// How long a new session waits for a relay to accept its index.
constexpr auto kHeldFor = 1s;

}  // namespace

// Direct and relayed alike, as the speaker compares them. Relays that forwarded nothing are
// avoided, but better than nothing.
std::optional<Steering> Mesh::best_way(const Member& member) const {
    const auto way = best_way(member, Suspects::avoided);
    return way || member.suspected.empty() ? way : best_way(member, Suspects::taken);
}

std::optional<Steering> Mesh::best_way(const Member& member, Suspects suspects) const {
    const auto steering_of = [&](const babel::RouteView& route) -> std::optional<Steering> {
        const auto hop = by_link_.find(route.via.interface);
        if (route.metric == babel::kInfinity || !route.feasible || hop == by_link_.end())
            return std::nullopt;
        const auto suspicion = member.suspected.find(hop->second->node);
        if (suspects == Suspects::avoided && suspicion != member.suspected.end() &&
            suspicion->second.active)
            return std::nullopt;
        return Steering{route.via.interface, hop->second->node, route.metric};
    };
    for (const Prefix& prefix : {Prefix{member.node, 128}, node_prefix_}) {
        if (const auto selected = speaker_.selected(prefix)) {
            if (const auto way = steering_of(*selected))
                return way;
        }
        std::optional<Steering> best;
        for (const babel::RouteView& route : speaker_.routes(prefix)) {
            const auto way = steering_of(route);
            if (way && (!best || way->metric < best->metric))
                best = way;
        }
        if (best)
            return best;
    }
    return std::nullopt;
}

// Whether the routing protocol still knows this way, be it the best or not.
bool Mesh::exists(const Member& member, const Steering& way) const {
    for (const Prefix& prefix : {Prefix{member.node, 128}, node_prefix_}) {
        for (const babel::RouteView& route : speaker_.routes(prefix)) {
            if (route.via.interface == way.link && route.metric != babel::kInfinity)
                return true;
        }
    }
    return false;
}

void Mesh::steer_all(const Now& now) {
    for (auto& [node, member] : members_) {
        const auto way = best_way(*member);
        const bool changed = way.has_value() != member->told_way.has_value() ||
                             (way && !way->same_way(*member->told_way));
        member->told_way = way;
        if (changed)
            on_way_changed(*member, now);
        if (changed && way)
            send_stranded(*member, now);
        if (member->has_session())
            steer(*member, now);
    }
}

// Brings the path in force to the best way. A relayed one is taken only once the relay has entered
// the index that we send under: until then the old path stays.
void Mesh::steer(Member& member, const Now& now) {
    if (!member.has_session() || shut_down_)
        return;
    // Nobody probes for an idle leaf: its path stays as it is, and the next packet wakes it up.
    if (member.steering && !is_eager(member) && !is_active(member, now.mono))
        return;
    auto way = best_way(member);
    if (!way && !member.steering && member.greeted_by && now.mono < member.greeted_until) {
        const auto link = member.links.find(*member.greeted_by);
        if (link != member.links.end())
            way = Steering{link->second.id, member.node, 0};
    }
    if (!way)
        return lose_way(member, now);
    if (!is_ready(member, *way)) {
        if (member.steering &&
            (member.steering->same_way(*way) || !exists(member, *member.steering)))
            lose_way(member, now);
        return;
    }
    member.lost_at.reset();
    if (member.steering && member.steering->same_way(*way))
        member.steering->metric = way->metric;
    else
        take_way(member, *way, now);
    if (member.held && may_use(member, member.held_local)) {
        member.held = false;
        released_.push_back(member.peer);
    }
}

// Under which index do we send, or would we as soon as there is a way?
uint32_t Mesh::sending_local(const Member& member) const {
    const auto sending = parts_.dataplane.sending(member.peer);
    return sending ? sending->local_index : member.held_local;
}

bool Mesh::is_ready(const Member& member, const Steering& way) const {
    if (way.hop == member.node)
        return true;
    const auto keypair = member.keypairs.find(sending_local(member));
    return keypair != member.keypairs.end() && leg_ready(keypair->second, way);
}

// Whether datagrams of this keypair arrive by the path in force.
bool Mesh::may_use(const Member& member, uint32_t local_index) const {
    if (!member.steering)
        return false;
    if (member.steering->hop == member.node)
        return true;
    const auto keypair = member.keypairs.find(local_index);
    return keypair != member.keypairs.end() && leg_ready(keypair->second, *member.steering);
}

void Mesh::take_way(Member& member, const Steering& way, const Now& now) {
    const bool first = !member.steering;
    member.steering = way;
    member.steered_at = now.mono;
    member.next_probe.reset();
    member.nb_unanswered = 0;
    member.path_rtt_ms.reset();
    forget_sounding(member);
    links_.use(member.peer, way.link);
    const Member* hop = member_at(way.hop);
    const std::string text = hop == &member ? "direct, " + describe(links_.key_of(way.link))
                                            : "relayed by " + (hop ? hop->info.name : "?");
    log(first ? Log::Level::debug : Log::Level::info, "path", member.info.name, text, now);
}

void Mesh::lose_way(Member& member, const Now& now) {
    if (!member.steering)
        return;
    if (!member.lost_at)
        member.lost_at = now.mono;
    if (now.mono - *member.lost_at < kRefuseAfter)
        return;
    log(Log::Level::warning, "path", member.info.name, "no way there any more", now);
    member.steering.reset();
    member.lost_at.reset();
    links_.refuse(member.peer);
}

// The relay does not take the index of the new session, and the old session may be gone at the
// other end: the new one is used all the same, or no probe of a direct link would ever be
// understood.
void Mesh::insist(Member& member) {
    if (!std::exchange(member.held, false))
        return;
    if (!member.steering)
        links_.refuse(member.peer);
    released_.push_back(member.peer);
}

bool Mesh::may_send(PeerId peer, uint32_t local_index, const Now& now) {
    Member* member = member_of(peer);
    if (member == nullptr)
        return true;
    member->held = false;  // this one is newer
    member->held_local = local_index;
    steer(*member, now);
    if (may_use(*member, local_index))
        return true;
    member->held = true;
    member->held_until = now.mono + kHeldFor;
    return false;
}

}  // namespace meshgate::mesh

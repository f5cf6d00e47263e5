// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/paths/member_paths.h"

#include <utility>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// A relay has this long to accept the index of a new session; then the session is used all the
// same: the old one may be gone at the other end.
constexpr auto kWaitForRelay = 1s;
// A link by which a handshake came is the path until Babel's first measurements.
constexpr auto kHandshakeLinkLife = 5s;

}  // namespace

void MemberPaths::log(Log::Level level, std::string_view name, const Member& member,
                      std::string text, const Now& now) {
    parts_.log.write({level, name, member.info.name, std::move(text)}, now.mono);
}

// ---- choice ----

std::optional<PathChoice> MemberPaths::best_path_to(const Member& member) const {
    return best_path(parts_.prober.routes_to(member), suspicion_.held_down(member.node));
}

std::optional<NextHop> MemberPaths::next_hop_to(const IpAddress& target) const {
    const Member* member = parts_.members.at(target);
    const auto best = member == nullptr ? std::nullopt : best_path_to(*member);
    if (!best)
        return std::nullopt;
    return best->via;
}

PathInputs MemberPaths::inputs_of(const Member& member, const State& state, Time now) const {
    PathInputs inputs;
    inputs.target = member.node;
    inputs.routes = parts_.prober.routes_to(member);
    inputs.held_down = suspicion_.held_down(member.node);
    if (state.handshake_by && now < state.handshake_until) {
        const auto& links = parts_.member_links.of(member);
        if (const auto link = links.find(*state.handshake_by); link != links.end())
            inputs.handshake_link = link->second.id;
    }
    if (const auto remote_index = sending_remote(member, state))
        inputs.agreed = parts_.relays.next_hop_of(*remote_index);
    inputs.in_force = member.path;
    inputs.failing_since = state.failing_since;
    inputs.now = now;
    return inputs;
}

// The peer's index under which we send, or would as soon as there is a path.
std::optional<uint32_t> MemberPaths::sending_remote(const Member& member,
                                                    const State& state) const {
    const auto sending = parts_.dataplane.sending(member.peer);
    const auto keypair = member.keypairs.find(sending ? sending->local_index : state.newest_local);
    if (keypair == member.keypairs.end())
        return std::nullopt;
    return keypair->second;
}

// Whether datagrams of this keypair arrive by the path in force.
bool MemberPaths::reaches(const Member& member, uint32_t local_index) const {
    if (!member.path)
        return false;
    if (member.is_direct())
        return true;
    const auto keypair = member.keypairs.find(local_index);
    return keypair != member.keypairs.end() &&
           parts_.relays.next_hop_of(keypair->second) == member.path->via;
}

std::vector<IpAddress> MemberPaths::take_rerouted() {
    std::vector<IpAddress> result;
    for (const auto& [node, member] : parts_.members.all()) {
        const auto best = next_hop_to(node);
        if (std::exchange(states_[node].announced, best) != best)
            result.push_back(node);
    }
    return result;
}

void MemberPaths::update_all(const Now& now) {
    stale_ = false;
    for (const auto& [node, member] : parts_.members.all())
        update(*member, now);
}

// Brings the path in force to the best one.
void MemberPaths::update(Member& member, const Now& now) {
    if (!member.has_session() || frozen_)
        return;
    // Nobody probes for an idle leaf: its path stays as it is, and the next packet wakes it up.
    if (member.path && !parts_.members.is_eager(member) &&
        !MemberTable::is_active(member, now.mono))
        return;
    State& state = states_[member.node];
    const PathDecision decision = select_path(inputs_of(member, state, now.mono));
    switch (decision.kind) {
        case PathDecision::Kind::wait:
            return;
        case PathDecision::Kind::failing:
            state.failing_since = state.failing_since.value_or(now.mono);
            return;
        case PathDecision::Kind::give_up:
            return give_up(member, state, now);
        case PathDecision::Kind::keep:
            member.path = decision.path;
            break;
        case PathDecision::Kind::change:
            change_path(member, state, decision.path, now);
            break;
    }
    state.failing_since.reset();
    if (state.waits && reaches(member, state.newest_local)) {
        state.waits = false;
        released_.push_back(member.peer);
    }
}

void MemberPaths::change_path(Member& member, State& state, const PathChoice& path,
                              const Now& now) {
    const bool first = !member.path;
    member.path = path;
    state.since = now.mono;
    probe_.on_path_changed(member.node);
    parts_.dataplane.set_path_mtu(member.peer, mtu_probe_.begin({member.node, path.via}));
    parts_.links.use(member.peer, path.via.link);
    const std::string text =
        member.is_direct()
            ? "direct, " + parts_.port_terms.describe(parts_.links.key_of(path.via.link))
            : "relayed by " + parts_.members.name_at(path.via.node);
    log(first ? Log::Level::debug : Log::Level::info, "path", member, text, now);
}

void MemberPaths::give_up(Member& member, State& state, const Now& now) {
    log(Log::Level::warning, "path", member, "no way there any more", now);
    member.path.reset();
    state.failing_since.reset();
    parts_.links.refuse(member.peer);
}

// ---- sessions ----

bool MemberPaths::may_send(Member& member, uint32_t local_index, const Now& now) {
    State& state = states_[member.node];
    state.waits = false;  // this one is newer
    state.newest_local = local_index;
    update(member, now);
    if (reaches(member, local_index))
        return true;
    state.waits = true;
    state.waits_until = now.mono + kWaitForRelay;
    return false;
}

// The relay does not take the index of the new session, and the old session may be gone at the
// other end: the new one is used all the same, or no probe of a direct link would ever be
// understood.
void MemberPaths::use_anyway(Member& member, State& state) {
    if (!std::exchange(state.waits, false))
        return;
    if (!member.path)
        parts_.links.refuse(member.peer);
    released_.push_back(member.peer);
}

bool MemberPaths::is_failing(const Member& member) const {
    const auto state = states_.find(member.node);
    return state != states_.end() && state->second.failing_since;
}

// ---- events ----

void MemberPaths::on_handshake(Member& member, const std::optional<LinkKey>& from, Time now) {
    State& state = states_[member.node];
    state.handshake_by = from;
    state.handshake_until = now + kHandshakeLinkLife;
}

void MemberPaths::on_session_gone(Member& member) {
    State& state = states_[member.node];
    member.path.reset();
    state.waits = false;
    state.failing_since.reset();
    parts_.links.wait(member.peer);
}

// Also of members that are reached over this link's member, as a relay.
void MemberPaths::on_link_gone(LinkId link) {
    mtu_probe_.forget_link(link);
    for (const auto& [node, member] : parts_.members.all()) {
        if (member->path && member->path->via.link == link)
            member->path.reset();
    }
    stale_ = true;
}

void MemberPaths::on_relay_change(Member& member, const RelayChange& change, const Now& now) {
    if (change.kind == RelayChange::Kind::refused)
        on_relay_refused(member, change, now);
    else
        update(member, now);
}

void MemberPaths::on_relay_refused(Member& member, const RelayChange& change, const Now& now) {
    // Another session there has this index: a new handshake brings another.
    if (change.answer == RelayAnswer::refused_index_taken) {
        parts_.device.on_no_session(member.peer, now);
    } else if (const auto best = best_path_to(member); best && best->via.node != member.node) {
        stale_ = true;
        if (suspicion_.on_refusal(member.node, best->via.node, now.mono))
            log_hold_down(member, best->via.node, to_string(change.answer), now);
    }
    update(member, now);
    State& state = states_[member.node];
    const auto waiting = member.keypairs.find(state.newest_local);
    if (waiting != member.keypairs.end() && waiting->second == change.index)
        use_anyway(member, state);
}

void MemberPaths::log_hold_down(const Member& member, const IpAddress& relay, const char* why,
                                const Now& now) {
    log(Log::Level::warning, "relay-avoided", member, parts_.members.name_at(relay) + ": " + why,
        now);
}

void MemberPaths::forget(const Member& member) {
    states_.erase(member.node);
    suspicion_.forget_target(member.node);
    suspicion_.forget_relay(member.node);
    probe_.forget(member.node);
    mtu_probe_.forget_target(member.node);
}

// ---- time ----

void MemberPaths::tick(Time now) {
    if (suspicion_.tick(now))
        stale_ = true;
}

void MemberPaths::review(Member& member, const Now& now) {
    probe(member, now);
    if (member.path && MemberTable::is_active(member, now.mono))
        probe_mtu(member, now);
    State& state = states_[member.node];
    if (state.waits && now.mono >= state.waits_until)
        use_anyway(member, state);
    if (state.waits || !member.path || state.failing_since)
        update(member, now);
}

// ---- end to end, over relays ----

void MemberPaths::probe(Member& member, const Now& now) {
    if (!member.is_relayed() || !MemberTable::is_active(member, now.mono))
        return probe_.stop(member.node);
    const auto step = probe_.poll(member.node, now.mono);
    if (!step)
        return;
    if (step->unanswered) {
        for (const auto& [local_index, remote_index] : member.keypairs)
            parts_.relays.recheck(remote_index, now.mono);
    }
    if (step->path_is_silent) {
        const IpAddress relay = member.path->via.node;
        stale_ = true;
        if (suspicion_.on_silence(member.node, relay, now.mono))
            log_hold_down(member, relay, "it forwarded nothing", now);
        // Or the other end has lost the session, and throws away what is forwarded.
        parts_.device.on_no_session(member.peer, now);
    }
    parts_.channel.send(member, Probe{step->id});
}

// ---- sizes ----

void MemberPaths::probe_mtu(Member& member, const Now& now) {
    const Link* link = parts_.links.find(member.path->via.link);
    if (link == nullptr)
        return;
    const auto step = mtu_probe_.poll({member.node, member.path->via}, link->mtu_bytes, now.mono);
    // By the link: by the path they would be cut to what is in force.
    for (const PathMtuSearch::Probe& probe : step.probes)
        parts_.channel.send_probe(member, probe.id, probe.mtu_bytes, member.path->via.link);
    if (!step.result)
        return;
    if (step.result->changed)
        log(Log::Level::info, "path-mtu", member,
            "packets of up to " + std::to_string(step.result->fits) + " bytes get through", now);
    parts_.dataplane.set_path_mtu(member.peer, step.result->in_force);
}

void MemberPaths::on_probe_reply(const Member& member, uint32_t id, Time now) {
    if ((id & kPathMtuProbeBit) != 0)
        mtu_probe_.on_reply(member.node, id);
    else
        probe_.on_reply(member.node, id, now);
}

bool MemberPaths::is_mtu_measured(const Member& member) const {
    return member.path && mtu_probe_.is_measured({member.node, member.path->via});
}

std::optional<Time> MemberPaths::since(const Member& member) const {
    const auto state = states_.find(member.node);
    if (!member.path || state == states_.end())
        return std::nullopt;
    return state->second.since;
}

}  // namespace meshgate::mesh

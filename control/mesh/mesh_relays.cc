// SPDX-License-Identifier: Apache-2.0
// Relays: what we ask of them, and whether they do it.
#include <algorithm>

#include "control/mesh/mesh.h"

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// End to end over a relay in use: nothing else would show that it forwards nothing.
constexpr auto kPathProbeInterval = 500ms;
constexpr unsigned kUnansweredBeforeSuspicion = 3;  // path probes; one more: hold-down
constexpr uint32_t kAnswersWindow = 8;              // how many probes back an answer still counts
constexpr auto kFirstSuspicion = 30s;  // hold-down of a relay that forwarded nothing; doubles
constexpr auto kRefusedFor = 2s;       // hold-down of a relay that refused an index
constexpr unsigned kMaxSuspicionDoublings = 5;  // of the hold-down
// After so long without a fault the hold-down starts from the first again.
constexpr auto kSuspicionMemory = 30min;

}  // namespace

// ---- what relays ask of the mesh ----

std::optional<Way> Mesh::way_to(const IpAddress& target) const {
    const auto found = members_.find(target);
    if (found == members_.end())
        return std::nullopt;
    const auto way = best_way(*found->second);
    if (!way)
        return std::nullopt;
    return Way{.link = way->link, .next_hop = way->hop};
}

bool Mesh::install(uint32_t index, LinkId link) {
    return parts_.dataplane.install_relay(index, link);
}

void Mesh::move(uint32_t index, LinkId link) {
    parts_.dataplane.move_relay(index, link);
}

void Mesh::remove(uint32_t index) {
    parts_.dataplane.remove_relay(index);
}

// ---- what becomes of our own sessions ----

bool Mesh::leg_ready(uint32_t remote_index, const Steering& way) const {
    return relays_.way_of(remote_index) == Way{.link = way.link, .next_hop = way.hop};
}

void Mesh::on_way_changed(Member& member, const Now& now) {
    relays_.on_way_changed(member.node, now.mono);
    published_.on_way_changed(member.node);
}

void Mesh::settle_relays(const Now& now) {
    for (const Outgoing& outgoing : relays_.take_messages()) {
        if (Member* member = member_at(outgoing.to))
            send(*member, outgoing.message);
    }
    for (const RelayChange& change : relays_.take_changes()) {
        Member* member = member_at(change.target);
        if (member == nullptr)
            continue;
        if (change.kind == RelayChange::Kind::refused)
            on_refused(*member, change.answer, now);
        steer(*member, now);
        const auto held = member->keypairs.find(member->held_local);
        if (change.kind == RelayChange::Kind::refused && held != member->keypairs.end() &&
            held->second == change.index)
            insist(*member);
    }
}

void Mesh::on_refused(Member& member, RelayAnswer answer, const Now& now) {
    // Another session there has this index: a new handshake brings another.
    if (answer == RelayAnswer::refused_index_taken) {
        parts_.device.on_no_session(member.peer, now);
        return;
    }
    const auto way = best_way(member);
    if (way && way->hop != member.node)
        suspect(member, way->hop, now.mono + kRefusedFor, to_string(answer), now);
}

void Mesh::on_message(Member& member, const RelayOpen& open, const LinkKey&, const Now& now) {
    relays_.receive(member.node, open, now.mono);
    settle_relays(now);
}

void Mesh::on_message(Member& member, const RelayReply& reply, const LinkKey&, const Now& now) {
    relays_.receive(member.node, reply, now.mono);
    settle_relays(now);
}

void Mesh::on_message(Member& member, const RelayClose& close, const LinkKey&, const Now& now) {
    relays_.receive(member.node, close, now.mono);
    settle_relays(now);
}

std::vector<control::RelayView> Mesh::relay_views(const Now& now) const {
    const auto name = [this](const IpAddress& node) {
        const auto found = members_.find(node);
        if (found != members_.end())
            return found->second->info.name;
        return node == node_ && self_ ? self_->name : to_string(node);
    };
    std::vector<control::RelayView> result;
    for (const RelayEntryView& entry : relays_.entries()) {
        if (entry.target == node_)
            continue;  // ends here: nothing is forwarded
        const bool relayed = entry.way && entry.way->next_hop != entry.target;
        control::RelayView view;
        view.to = name(entry.target);
        view.index = entry.index;
        view.via = relayed ? name(entry.way->next_hop) : "";
        view.state = entry.asking ? "asking" : entry.way ? "open" : "closed";
        view.expires_s = entry.expires == kNever
                             ? 0
                             : std::chrono::duration<double>(entry.expires - now.mono).count();
        if (entry.own && (relayed || entry.asking)) {
            view.role = "using";
            view.from = self_ ? self_->name : "";
            result.push_back(view);
        }
        for (const IpAddress& owner : entry.owners) {
            view.role = "serving";
            view.from = name(owner);
            result.push_back(view);
        }
    }
    return result;
}

// ---- what they do with it ----

void Mesh::suspect(Member& member, const IpAddress& relay, Time until, const char* why,
                   const Now& now) {
    Member::Suspicion& suspicion = member.suspected[relay];
    const bool fresh = !std::exchange(suspicion.active, true);
    suspicion.until = std::max(suspicion.until, until);
    steering_due_ = true;
    const Member* box = member_at(relay);
    if (fresh)
        log(Log::Level::warning, "relay-avoided", member.info.name,
            (box == nullptr ? "?" : box->info.name) + ": " + why, now);
}

// It may have restarted: what was agreed is void, and what it did before says nothing.
void Mesh::on_relay_back(const Member& relay, const Now& now) {
    for (auto& [node, member] : members_)
        member->suspected.erase(relay.node);
    relays_.recheck_next_hop(relay.node, now.mono);
    settle_relays(now);
}

void Mesh::forgive(Member& member, Time now) {
    for (auto& [relay, suspicion] : member.suspected) {
        if (!suspicion.active || suspicion.until > now)
            continue;
        suspicion.active = false;
        steering_due_ = true;
    }
    std::erase_if(member.suspected, [now](const auto& entry) {
        return entry.second.until + kSuspicionMemory <= now;
    });
}

void Mesh::probe_path(Member& member, const Now& now) {
    const Time time = now.mono;
    const bool relayed = member.steering && member.steering->hop != member.node;
    if (!relayed || !is_active(member, time)) {
        member.next_probe.reset();
        member.nb_unanswered = 0;
        return;
    }
    if (member.next_probe && time < *member.next_probe)
        return;
    if (member.next_probe && member.nb_unanswered > 0)
        recheck_legs(member, now);
    if (member.next_probe && ++member.nb_unanswered > kUnansweredBeforeSuspicion) {
        member.nb_unanswered = 0;
        const IpAddress relay = member.steering->hop;
        unsigned& nb_times = member.suspected[relay].nb_times;
        const auto lasts = kFirstSuspicion * (1U << std::min(nb_times, kMaxSuspicionDoublings));
        ++nb_times;
        suspect(member, relay, time + lasts, "it forwarded nothing", now);
        // Or the other end has lost the session, and throws away what is forwarded.
        parts_.device.on_no_session(member.peer, now);
    }
    // What was sent at the last turn was counted as unanswered just now, or was answered before.
    sound_path(member, member.next_probe && member.nb_unanswered <= 1, now);
    member.next_probe = time + kPathProbeInterval;
    member.probe_sent = time;
    send(member, Probe{++member.probe_id});
}

// The relay may have forgotten us, as it does when it restarts.
void Mesh::recheck_legs(const Member& member, const Now& now) {
    for (const auto& [local_index, remote_index] : member.keypairs)
        relays_.recheck(remote_index, now.mono);
    settle_relays(now);
}

void Mesh::on_message(Member& member, const ProbeReply& reply, const LinkKey&, const Now& now) {
    if (on_sounded(member, reply))
        return;
    if (member.probe_id - reply.id >= kAnswersWindow)
        return;
    member.nb_unanswered = 0;
    if (reply.id == member.probe_id && member.probe_sent)
        member.path_rtt_ms =
            std::chrono::duration<double, std::milli>(now.mono - *member.probe_sent).count();
}

}  // namespace meshgate::mesh

// SPDX-License-Identifier: Apache-2.0
#include "control/underlay/echo_prober.h"

#include <algorithm>
#include <utility>

#include "base/source_address.h"
#include "control/packets/icmp.h"

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

// After the last packet whose size matters the path is searched no more.
constexpr auto kInUseFor = 30s;
// Peers that one call looks at, of those that are not in use yet.
constexpr size_t kLookedAtPerCall = 64;

}  // namespace

void EchoProber::set_targets(const std::map<PeerId, IpAddress>& targets) {
    std::erase_if(targets_, [&](const auto& entry) {
        const auto found = targets.find(entry.first);
        if (found != targets.end() && found->second == entry.second.address)
            return false;
        parts_.dataplane.set_path_mtu(entry.first, 0);
        in_use_.erase(entry.first);
        return true;
    });
    for (const auto& [peer, address] : targets)
        targets_[peer].address = address;
}

// ---- who is asked ----

bool EchoProber::is_in_use(PeerId peer, Target& target, Time now) {
    const uint64_t counted = parts_.dataplane.activity(peer).sized_packets;
    const uint64_t nb_sized = counted - std::min(counted, target.nb_probes);
    if (nb_sized > std::exchange(target.nb_sized, std::max(nb_sized, target.nb_sized)))
        target.used = now;
    return target.used && now - *target.used < kInUseFor;
}

void EchoProber::look_around(Time now) {
    auto target = targets_.lower_bound(next_looked_at_);
    for (size_t i = std::min(kLookedAtPerCall, targets_.size()); i > 0; --i) {
        if (target == targets_.end())
            target = targets_.begin();
        if (!in_use_.contains(target->first) && is_in_use(target->first, target->second, now)) {
            target->second.search.restart();
            in_use_.insert(target->first);
        }
        ++target;
    }
    next_looked_at_ = target == targets_.end() ? 0 : target->first;
}

void EchoProber::tick(Time now) {
    look_around(now);
    std::erase_if(in_use_, [&](PeerId peer) {
        Target& target = targets_.at(peer);
        if (!is_in_use(peer, target, now))
            return true;
        probe(peer, target, now);
        return false;
    });
}

// ---- probes ----

void EchoProber::probe(PeerId peer, Target& target, Time now) {
    const auto path = parts_.links.path_of(peer);
    if (!path || path->mtu_bytes == 0 || !parts_.dataplane.sending(peer))
        return;
    const bool moved = std::exchange(target.remote, path->remote) != path->remote ||
                       std::exchange(target.port, path->port) != path->port;
    if (moved) {
        target.search = {};
        parts_.dataplane.set_path_mtu(peer, 0);
    }
    // Who has fallen silent is left alone: it may be gone, or another be there now.
    const uint64_t heard_tsc = parts_.dataplane.activity(peer).last_any_rx_tsc;
    if (heard_tsc == target.heard_tsc)
        return;
    const auto step = target.search.poll(path->mtu_bytes, PathMtuSearch::kNoCeiling, last_id_, now);
    if (!step.probes.empty())
        target.heard_tsc = heard_tsc;
    for (const PathMtuSearch::Probe& probe : step.probes)
        send(peer, target, probe);
    if (!step.result)
        return;
    parts_.dataplane.set_path_mtu(peer, step.result->in_force);
    if (step.result->changed)
        parts_.log.write(
            {Log::Level::info, "path-mtu", parts_.name_of(peer),
             "packets of up to " + std::to_string(step.result->fits) + " bytes get through"},
            now);
}

void EchoProber::send(PeerId peer, Target& target, const PathMtuSearch::Probe& probe) {
    const auto source = choose_source(parts_.dataplane.snapshot().icmp_sources, target.address);
    if (!source)
        return;  // no address inside, so that nothing could be answered
    Packet packet = parts_.dataplane.allocate(probe.mtu_bytes);
    if (!packet)
        return;
    write_echo_request(packet.bytes(), {.source = *source,
                                        .destination = target.address,
                                        .identifier = kProbeIdentifier,
                                        .sequence = static_cast<uint16_t>(probe.id)});
    PacketInfo& info = packet.info();
    info.inject = Inject::seal;
    info.peer = peer;
    info.mtu_bytes = probe.mtu_bytes;
    target.nb_probes += probe.mtu_bytes > Dataplane::kAlwaysFits ? 1 : 0;
    parts_.dataplane.send(std::move(packet), peer);
}

bool EchoProber::receive(PeerId peer, std::span<uint8_t> ip) {
    const auto target = targets_.find(peer);
    const auto reply = parse_echo_reply(ip);
    if (target == targets_.end() || !reply || reply->identifier != kProbeIdentifier)
        return false;
    // The newest id with these 16 bits.
    const auto age = static_cast<uint16_t>(last_id_ - reply->sequence);
    return target->second.search.on_reply(last_id_ - age);
}

}  // namespace meshgate::control

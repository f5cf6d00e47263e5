// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/waiting_room.h"
#include "control/log/log.h"
#include "control/sessions/endpoint_conflicts.h"
#include "control/sessions/path_gate.h"
#include "control/sessions/session_count.h"
#include "control/sessions/tsc_moment.h"
#include "control/underlay/links.h"
#include "control/underlay/next_hops.h"
#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// Connects the WireGuard device with the packet path: carries out its actions, keeps packets that
// wait for a session, and tells it what the workers saw of each peer.
class Sessions {
public:
    struct Parts {  // all outlive this
        Dataplane& dataplane;
        wireguard::Device& device;
        Links& links;
        NextHops& next_hops;
        WaitingBudget& budget;
        Log& log;
        std::function<std::string(PeerId)> name_of;  // for the log
        // Half the life of a session: two machines that both want one meet within it.
        Time::duration conflict_quiet;
    };
    explicit Sessions(Parts parts);
    // Before peers with node addresses are added. Not called any more by the time this is
    // destroyed.
    void set_path_gate(PathGate& gate) noexcept { gate_ = &gate; }

    // An inner packet that found no session; oldest out beyond 128 per peer (W36).
    void stage(Packet packet, const Now& now);
    // Does what the device decided since the last call, in its order.
    void carry_out(const Now& now);
    // Tells the device about peers that moved packets; a bounded number of peers per call.
    void sample(const Now& now);
    // What the workers last saw of one peer, on our clock.
    wireguard::Activity activity_of(PeerId peer, const Now& now);

    // Peers with a keypair: sampling is needed while there are any.
    bool any() const noexcept { return !peers_with_keypairs_.empty(); }
    size_t nb_keypairs() const noexcept { return nb_keypairs_; }
    size_t nb_staged() const noexcept { return staged_.size(); }
    // Peers that may send now.
    const SessionCount::Numbers& nb_up() { return count_.at(parts_.dataplane.tsc_now()); }
    // Peers whose key two machines use.
    std::vector<EndpointConflicts::Conflict> endpoint_conflicts(Time now) {
        return conflicts_.at(now);
    }
    // A client of the network file is counted apart.
    void set_client(PeerId peer) { count_.set_client(peer); }
    // The peer is gone: its number may be given to another.
    void forget(PeerId peer) {
        seen_.erase(peer);
        held_.erase(peer);
        count_.forget(peer);
        conflicts_.forget(peer);
    }

private:
    // The clocks drift against each other, and reading them takes time: a moment is translated
    // once, or one packet would look like several.
    struct Seen {
        Dataplane::Activity tsc{};
        wireguard::Activity ns;
    };

    // A session that may not send before there is a path for it.
    struct Held {
        uint32_t local_index = 0;
        std::optional<wireguard::FlushStaged> flush;
    };

    void act(const wireguard::SendMessage& action, const Now& now);
    void act(const wireguard::RouteMessage& action, const Now& now);
    void act(wireguard::InstallKeypair& action, const Now& now);
    void act(const wireguard::UseForSending& action, const Now& now);
    void act(const wireguard::StopSending& action, const Now& now);
    void act(const wireguard::RemoveKeypair& action, const Now& now);
    void act(const wireguard::SendKeepalive& action, const Now& now);
    void act(const wireguard::FlushStaged& action, const Now& now);
    void act(const wireguard::PurgeStaged& action, const Now& now);
    void act(const wireguard::EndpointChanged& action, const Now& now);
    void act(const wireguard::PeerRemoved& action, const Now& now);

    void use(PeerId peer, uint32_t local_index, const Now& now);
    void release(PeerId peer, const Now& now);
    void on_endpoint_moved(PeerId peer, const Endpoint& from, const Endpoint& to, Time now);
    bool can_send(PeerId peer) const;
    void seal(PeerId peer, Packet packet);
    void send_keepalive(PeerId peer);
    void count_drop(Drop reason, uint64_t nb_packets = 1);
    TscMoment moment(const Now& now) const;

    Parts parts_;
    PathGate* gate_ = nullptr;
    std::map<PeerId, Held> held_;
    WaitingRoom<PeerId, Packet> staged_;
    std::vector<wireguard::Action> actions_;
    std::map<PeerId, unsigned> peers_with_keypairs_;  // how many
    SessionCount count_;
    EndpointConflicts conflicts_{parts_.conflict_quiet};
    std::map<PeerId, Seen> seen_;
    PeerId next_sampled_ = 0;
    size_t nb_keypairs_ = 0;
};

}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "control/log/log.h"
#include "control/mesh/members/channel.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/members/route_lookup.h"
#include "control/mesh/paths/path_mtu_probe.h"
#include "control/mesh/paths/path_probe.h"
#include "control/mesh/paths/path_selector.h"
#include "control/mesh/paths/suspicion.h"
#include "control/mesh/probing/link_prober.h"
#include "control/mesh/relays/relay_table.h"
#include "control/underlay/links.h"
#include "control/wireguard/device.h"

namespace meshgate::mesh {

using control::Log;

// Which way each member's datagrams go: asks the path selector with what is known now, and does
// what it decides; probes paths over relays, and holds down relays that forward nothing; tries
// how large a packet gets through.
class MemberPaths final : public RouteLookup {
public:
    struct Parts {
        Dataplane& dataplane;
        wireguard::Device& device;
        Log& log;
        MemberTable& members;
        control::Links& links;
        const MemberLinks& member_links;
        const PortTerms& port_terms;
        const LinkProber& prober;
        RelayTable& relays;
        Channel& channel;
    };
    explicit MemberPaths(const Parts& parts) : parts_{parts} {}

    std::optional<NextHop> next_hop_to(const IpAddress& target) const override;

    // ---- events ----
    // A handshake came by this link: its path until there are routes.
    void on_handshake(Member& member, const std::optional<LinkKey>& from, Time now);
    void on_session_gone(Member& member);
    void on_link_gone(LinkId link);
    void on_relay_restarted(const IpAddress& relay) { suspicion_.forget_relay(relay); }
    // What a relay says of the index of a session of ours.
    void on_relay_change(Member& member, const RelayChange& change, const Now& now);
    void on_probe_reply(const Member& member, uint32_t id, Time now);
    void forget(const Member& member);
    // Routes, links or hold-downs changed: update_all() is due.
    void on_routes_changed() noexcept { stale_ = true; }
    bool is_stale() const noexcept { return stale_; }
    // Members whose best next hop is another one than at the last call; before update_all().
    std::vector<IpAddress> take_rerouted();
    void update_all(const Now& now);
    void update(Member& member, const Now& now);
    // Ends hold-downs; before review() of each member.
    void tick(Time now);
    void review(Member& member, const Now& now);
    // Paths stay as they are from here on.
    void freeze() noexcept { frozen_ = true; }

    // ---- sessions ----
    bool may_send(Member& member, uint32_t local_index, const Now& now);
    std::vector<PeerId> take_released() { return std::exchange(released_, {}); }
    bool is_failing(const Member& member) const;

    // ---- what is known ----
    std::optional<Time> since(const Member& member) const;
    std::optional<double> rtt_ms(const Member& member) const { return probe_.rtt_ms(member.node); }
    // Whether users are told a size because of what got through; else it is our link's own.
    bool is_mtu_measured(const Member& member) const;
    bool is_held_down(const Member& member, const IpAddress& relay) const {
        return suspicion_.is_held_down(member.node, relay);
    }

private:
    struct State {
        Time since{};                         // of the path in force
        std::optional<Time> failing_since;    // it does not work, and there is no other
        std::optional<NextHop> announced;     // the best one when those who relay were last told
        std::optional<LinkKey> handshake_by;  // a handshake message came by this link
        Time handshake_until{};
        uint32_t newest_local = 0;  // keypair that was to be used last
        bool waits = false;         // it may not send yet
        Time waits_until{};
    };

    PathInputs inputs_of(const Member& member, const State& state, Time now) const;
    std::optional<PathChoice> best_path_to(const Member& member) const;
    std::optional<uint32_t> sending_remote(const Member& member, const State& state) const;
    bool reaches(const Member& member, uint32_t local_index) const;
    void on_relay_refused(Member& member, const RelayChange& change, const Now& now);
    void change_path(Member& member, State& state, const PathChoice& path, const Now& now);
    void give_up(Member& member, State& state, const Now& now);
    void use_anyway(Member& member, State& state);
    void probe(Member& member, const Now& now);
    void probe_mtu(Member& member, const Now& now);
    void log_hold_down(const Member& member, const IpAddress& relay, const char* why,
                       const Now& now);
    void log(Log::Level level, std::string_view name, const Member& member, std::string text,
             const Now& now);

    Parts parts_;
    std::map<IpAddress, State> states_;
    Suspicion suspicion_;
    PathProbe probe_;
    PathMtuProbe mtu_probe_;
    std::vector<PeerId> released_;
    bool stale_ = false;
    bool frozen_ = false;
};

}  // namespace meshgate::mesh

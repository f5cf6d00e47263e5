// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/time.h"
#include "control/babel/speaker.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/probing/announce_policy.h"
#include "control/mesh/probing/member_links.h"
#include "control/mesh/probing/port_terms.h"
#include "control/mesh/probing/probe_schedule.h"
#include "control/mesh/probing/routes.h"
#include "control/underlay/links.h"

namespace meshgate::mesh {

// The Babel speaker that probes links of members, an interface a link, and the routes that come of
// it. member_links.h says which links there are, probe_schedule.h how often each is probed.
class LinkProber {
public:
    // All outlive this.
    struct Parts {
        const Dataplane& dataplane;
        const control::Links& underlay;
        const MemberTable& members;
        const PortTerms& port_terms;
        MemberLinks& links;
    };
    explicit LinkProber(const Parts& parts);

    // ---- configuration ----
    void on_port_terms_changed(Time now);
    // The network file is another one: our own routes, and who hears what from us.
    void on_network_changed(Time now);
    void forget(const Member& member) { speaker_.unwant({member.node, 128}); }
    void shutdown();

    // ---- links ----
    // Endpoints that a member told us of are probed at once: it does the same now.
    void probe_candidates(const Member& member, const std::vector<Endpoint>& endpoints, Time now);
    void stop_probing(const Member& member, Time now);
    void on_link_gone(LinkId id, Time now);

    // ---- time ----
    // Who uses which link; before review() of each member.
    void begin_round(Time now);
    // `probe`: there is a session, and somebody needs the links.
    void review(const Member& member, bool probe, Time now);
    void tick(Time now) { speaker_.tick(now); }
    Time next_deadline() const noexcept { return speaker_.next_deadline(); }

    // ---- events ----
    // A Babel packet of the member, by this link.
    void receive(const Member& member, const LinkKey& from, const babel::Flow& flow,
                 std::span<const uint8_t> bytes, Time now);
    void on_link_up(LinkId id, Time now) { schedule_.on_up(id, now); }
    // Our uplink may be dead, or the other's: links that share either are asked at once.
    void suspect_shared_links(LinkId id, Time now);
    std::vector<babel::Outgoing> take_packets() { return speaker_.take_packets(); }
    std::vector<babel::Event> take_events() { return speaker_.take_events(); }
    bool take_routes_changed();

    // ---- what is known ----
    // Nothing: it is not probed.
    std::optional<Time::duration> interval_of(LinkId id) const;
    // Members with a link that works.
    std::set<IpAddress> members_up() const;
    Routes routes_to(const Member& member) const;
    const babel::Speaker& speaker() const noexcept { return speaker_; }

private:
    void start(const Member& member, const LinkKey& key, LinkId id, Time now);
    void stop(LinkId id, Time now);
    void set_intervals(const Member& member, Time now);
    babel::CostOptions cost_of(const LinkKey& key) const;
    Route route_of(const babel::RouteView& route) const;

    Parts parts_;
    AnnouncePolicy policy_;
    ProbeSchedule schedule_;
    babel::Speaker speaker_;
    std::map<LinkId, Time::duration> intervals_;  // of links that are probed
    bool links_changed_ = false;
    bool shut_down_ = false;
};

}  // namespace meshgate::mesh

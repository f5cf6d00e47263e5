// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/model.h"
#include "control/babel/speaker.h"
#include "control/mesh/members/member_table.h"
#include "control/mesh/probing/routes.h"
#include "control/underlay/links.h"

namespace meshgate::mesh {

using control::LinkKey;
using control::UnderlayPort;

// How we came to know a link.
enum class LinkOrigin : uint8_t {
    network_file,  // an endpoint of the member in the network file
    heard,         // the member's own probes came from there
    candidate,     // the member said that it may be reached there
};
const char* to_string(LinkOrigin origin) noexcept;  // "network file"

// A link of a member, with what is known besides its measurements, which are the Babel speaker's.
struct MemberLink {
    LinkId id = kNoLink;
    LinkOrigin origin = LinkOrigin::network_file;
    Time added{};
    Time fresh_until{};         // it is new, or came back: has to prove itself, fast
    std::optional<Time> heard;  // last Babel packet by this link
    bool probed = false;        // the speaker has an interface of this number
    Time::duration interval{};
    uint64_t nb_relayed = 0;         // as counted when last looked at
    std::optional<Time> relayed_at;  // when it last grew
};

// Who is told that a link goes, while it is still there.
class LinkUser {
public:
    virtual ~LinkUser() = default;
    virtual void on_link_gone(LinkId link, Time now) = 0;
};

// The links of all members, and the Babel speaker that probes them: an interface a link. Which
// links there are, which are probed, and how often.
class LinkProber final : private babel::Policy {
public:
    struct PortTerms {
        std::string name;
        uint16_t cost_bias = 0;
        bool metered = false;
    };
    using LinksOfMember = std::map<LinkKey, MemberLink>;

    LinkProber(Dataplane& dataplane, control::Links& links, const MemberTable& members,
               LinkUser& user);

    // ---- configuration ----
    // After the ports of the links were set.
    void set_ports(const config::Model& box, Time now);
    // Of a host name in endpoints of members. Links to addresses that the name no longer has stay
    // as long as they work.
    void set_addresses(const std::string& host, const std::vector<IpAddress>& addresses, Time now);
    // The network file is another one: our own routes, and who hears what from us. Before and after
    // the links of new members were made.
    void on_network_changed(Time now);
    void shutdown();

    // ---- links ----
    // To the endpoints of a member that we want to reach.
    void make_links(const Member& member, Time now);
    // Null: no way there, no room, or another member's.
    MemberLink* add_link(const Member& member, const LinkKey& key, LinkOrigin origin, Time now);
    void remove_links(const Member& member, Time now);
    // Endpoints that a member told us of are probed at once: it does the same now.
    void probe_candidates(const Member& member, const std::vector<Endpoint>& endpoints, Time now);
    void stop_probing(const Member& member, Time now);

    // ---- time ----
    // Which links users' packets take; before review(). Returns members with a link that is up.
    std::set<IpAddress> find_used_links(Time now);
    // `probe`: there is a session, and somebody needs the links.
    void review(const Member& member, bool probe, Time now);
    void remove_stale_links(const Member& member, Time now);
    void tick(Time now) { speaker_.tick(now); }
    Time next_deadline() const noexcept { return speaker_.next_deadline(); }

    // ---- events ----
    // A Babel packet of the member, by this link.
    void receive(const Member& member, const LinkKey& from, const babel::Flow& flow,
                 std::span<const uint8_t> bytes, Time now);
    void on_link_up(LinkId id, Time now);
    // Our uplink may be dead, or the other's: links that share either are asked at once.
    void suspect_shared_links(LinkId id, Time now);
    std::vector<babel::Outgoing> take_packets() { return speaker_.take_packets(); }
    std::vector<babel::Event> take_events() { return speaker_.take_events(); }
    bool take_routes_changed();

    // ---- what is known ----
    const LinksOfMember& links_of(const Member& member) const;
    Member* member_of_link(LinkId id) const;
    bool is_up(const IpAddress& node) const;
    Routes routes_to(const Member& member) const;
    // Links by which a member was heard so lately that what it said of them still holds.
    std::set<LinkId> heard_since(Time time) const;
    std::set<std::string> hosts() const;
    std::string describe(const LinkKey& key) const;  // "wan0 -> 192.0.2.1:51820"
    const PortTerms* terms_of(PortId port) const;
    const babel::Speaker& speaker() const noexcept { return speaker_; }

private:
    bool may_announce(const babel::NeighborId& neighbor, const Prefix& prefix) const override;
    bool may_export(babel::InterfaceId, const Prefix&, bool) const override { return true; }

    std::vector<Endpoint> endpoints_of(const Member& member) const;
    bool is_wanted(const Member& member, Time now) const;
    void remove_link(const Member& member, const LinkKey& key, Time now);
    void set_probing(const Member& member, MemberLink& link, bool on, Time now);
    void set_intervals(const Member& member, Time now);
    babel::Announce announce_to(const Member& member) const;
    babel::CostOptions cost_of(const LinkKey& key) const;
    Route route_of(const babel::RouteView& route) const;

    Dataplane& dataplane_;
    control::Links& links_;
    const MemberTable& members_;
    LinkUser& user_;
    babel::Speaker speaker_;
    std::map<IpAddress, LinksOfMember> by_member_;
    std::unordered_map<LinkId, Member*> by_link_;
    std::map<PortId, PortTerms> port_terms_;
    std::map<std::string, std::vector<IpAddress>> addresses_;  // by host name
    std::set<LinkId> used_links_;     // by users' packets, from here or relayed
    std::set<LinkId> fast_for_them_;  // that the other end uses
    bool links_changed_ = false;
    bool shut_down_ = false;
};

}  // namespace meshgate::mesh

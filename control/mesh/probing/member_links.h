// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/time.h"
#include "control/mesh/members/member_endpoints.h"
#include "control/mesh/members/member_table.h"
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

struct MemberLink {
    LinkId id = kNoLink;
    LinkOrigin origin = LinkOrigin::network_file;
    Time tried{};               // added, or its probes began
    std::optional<Time> heard;  // last Babel packet by this link

    // Nothing came by it for so long.
    Time::duration silence(Time now) const { return now - heard.value_or(tried); }
};

// Who is told that a link goes, while it is still there.
class LinkUser {
public:
    virtual ~LinkUser() = default;
    virtual void on_link_gone(LinkId link, Time now) = 0;
};

// The links of all members: which there are, and whose. One endpoint is one box.
class MemberLinks {
public:
    using OfMember = std::map<LinkKey, MemberLink>;

    // All outlive this.
    MemberLinks(control::Links& links, const MemberTable& members, const MemberEndpoints& endpoints,
                LinkUser& user)
        : links_{links}, members_{members}, endpoints_{endpoints}, user_{user} {}

    // From each port to each endpoint that the network file has of the member, if it is wanted.
    void make(const Member& member, Time now);
    void make_all(Time now);
    // Null: no way there, no room, or another member's.
    MemberLink* add(const Member& member, const LinkKey& key, LinkOrigin origin, Time now);
    void remove_all(const Member& member, Time now);
    // Those that nobody vouches for any more: not in the network file, and long silent; or the port
    // has no way there, or nobody wants the member.
    void remove_stale(const Member& member, Time now);

    const OfMember& of(const Member& member) const;
    Member* member_of(LinkId id) const;
    // Null: gone.
    MemberLink* find(LinkId id);
    // By which a member was heard so lately that what it said of them still holds.
    std::set<LinkId> heard_since(Time time) const;

private:
    struct Held {
        Member* member;
        MemberLink* link;
    };

    bool is_wanted(const Member& member, Time now) const;
    void remove(const Member& member, const LinkKey& key, Time now);

    control::Links& links_;
    const MemberTable& members_;
    const MemberEndpoints& endpoints_;
    LinkUser& user_;
    std::map<IpAddress, OfMember> by_member_;
    std::unordered_map<LinkId, Held> by_id_;
};

}  // namespace meshgate::mesh

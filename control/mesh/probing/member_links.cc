// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/member_links.h"

#include <algorithm>
#include <vector>

namespace meshgate::mesh {

namespace {

using namespace std::chrono_literals;

// Of a link that is not in the network file, after it was last heard.
constexpr auto kLinkLife = 90s;
// A member may not fill our link table.
constexpr size_t kMaxLinksPerMember = 32;

}  // namespace

const char* to_string(LinkOrigin origin) noexcept {
    switch (origin) {
        case LinkOrigin::network_file:
            return "network file";
        case LinkOrigin::heard:
            return "heard";
        case LinkOrigin::candidate:
            return "candidate";
    }
    return "?";
}

bool MemberLinks::is_wanted(const Member& member, Time now) const {
    return members_.is_eager(member) || member.has_session() || MemberTable::is_active(member, now);
}

void MemberLinks::make(const Member& member, Time now) {
    if (!members_.self() || !is_wanted(member, now))
        return;
    for (const Endpoint& endpoint : endpoints_.of(member.info)) {
        for (const UnderlayPort& port : links_.ports())
            add(member, {port.id, endpoint}, LinkOrigin::network_file, now);
    }
}

void MemberLinks::make_all(Time now) {
    for (const auto& [node, member] : members_.all())
        make(*member, now);
}

MemberLink* MemberLinks::add(const Member& member, const LinkKey& key, LinkOrigin origin,
                             Time now) {
    OfMember& links = by_member_[member.node];
    if (const auto found = links.find(key); found != links.end())
        return &found->second;
    if (links.size() >= kMaxLinksPerMember || !links_.has_way(key))
        return nullptr;
    const LinkId id = links_.add(key, now);
    if (id == kNoLink)
        return nullptr;
    // One endpoint is one box: what another member has is not this one's. Unless it only says so:
    // or it could keep the others from being reached.
    if (const Member* holder = member_of(id)) {
        const MemberLink& theirs = by_member_[holder->node].at(key);
        if (theirs.heard || theirs.origin != LinkOrigin::candidate ||
            origin == LinkOrigin::candidate) {
            links_.remove(id);
            return nullptr;
        }
        remove(*holder, key, now);
    }
    MemberLink& link = links[key];
    by_id_[id] = {members_.at(member.node), &link};
    link = {.id = id, .origin = origin, .tried = now, .heard = std::nullopt};
    return &link;
}

void MemberLinks::remove(const Member& member, const LinkKey& key, Time now) {
    OfMember& links = by_member_[member.node];
    const auto found = links.find(key);
    if (found == links.end())
        return;
    const LinkId id = found->second.id;
    user_.on_link_gone(id, now);
    by_id_.erase(id);
    links_.remove(id);
    links.erase(found);
}

void MemberLinks::remove_all(const Member& member, Time now) {
    while (!by_member_[member.node].empty())
        remove(member, LinkKey{by_member_[member.node].begin()->first}, now);
    by_member_.erase(member.node);
}

void MemberLinks::remove_stale(const Member& member, Time now) {
    std::vector<LinkKey> stale;
    const std::vector<Endpoint> in_file = endpoints_.of(member.info);
    for (const auto& [key, link] : of(member)) {
        const bool silent = link.silence(now) > kLinkLife;
        const bool is_path = member.path && member.path->via.link == link.id;
        if (is_path && links_.has_way(key))
            continue;
        if (!links_.has_way(key) || !is_wanted(member, now) ||
            (silent && std::ranges::count(in_file, key.remote) == 0))
            stale.push_back(key);
    }
    for (const LinkKey& key : stale)
        remove(member, key, now);
}

const MemberLinks::OfMember& MemberLinks::of(const Member& member) const {
    static const OfMember kNone;
    const auto found = by_member_.find(member.node);
    return found == by_member_.end() ? kNone : found->second;
}

Member* MemberLinks::member_of(LinkId id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second.member;
}

MemberLink* MemberLinks::find(LinkId id) {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second.link;
}

std::set<LinkId> MemberLinks::heard_since(Time time) const {
    std::set<LinkId> result;
    for (const auto& [node, links] : by_member_) {
        for (const auto& [key, link] : links) {
            if (link.heard && *link.heard > time)
                result.insert(link.id);
        }
    }
    return result;
}

}  // namespace meshgate::mesh

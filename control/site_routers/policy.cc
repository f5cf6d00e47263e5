// SPDX-License-Identifier: Apache-2.0
#include "control/site_routers/policy.h"

#include <algorithm>

namespace meshgate::control::site_routers {

namespace {

// `inner` is `outer`, or a part of it.
bool holds(const Prefix& outer, const Prefix& inner) {
    return outer.len <= inner.len && outer.contains(inner.address);
}

bool any_holds(const std::vector<Prefix>& outers, const Prefix& inner) {
    return std::ranges::any_of(outers, [&](const Prefix& outer) { return holds(outer, inner); });
}

}  // namespace

std::string to_string(const Refusal& refusal) {
    switch (refusal.kind) {
        case Refusal::Kind::not_accepted:
            return "accept does not hold it";
        case Refusal::Kind::own_address:
            return "it is an address of this box";
        case Refusal::Kind::node_prefix:
            return "it is among the node addresses of the network";
        case Refusal::Kind::peer:
            return "it is peer " + refusal.owner + "'s";
        case Refusal::Kind::member:
            return "it is member " + refusal.owner + "'s";
        case Refusal::Kind::client:
            break;
    }
    return "it is client " + refusal.owner + "'s";
}

RouterMark router_mark(const IpAddress& node_address) {
    RouterMark mark{};
    std::copy_n(node_address.bytes.end() - mark.size(), mark.size(), mark.begin());
    return mark;
}

void Policy::set_filter(babel::InterfaceId interface, Filter filter) {
    filters_[interface] = std::move(filter);
}

void Policy::remove_filter(babel::InterfaceId interface) {
    filters_.erase(interface);
}

bool Policy::set_ownership(Ownership ownership) {
    if (ownership == ownership_)
        return false;
    ownership_ = std::move(ownership);
    claims_.clear();
    claim_lens_.clear();
    for (const Claim& claim : ownership_.claims) {
        if (claim.prefix.len == 0)
            continue;
        claim_lens_.insert(claim.prefix.len);
        claims_.emplace(claim.prefix.network(), claim);
    }
    return true;
}

const Policy::Claim* Policy::claim_on(const Prefix& prefix, PeerId peer) const {
    for (const uint8_t len : claim_lens_) {
        if (len > prefix.len)
            break;
        const auto [begin, end] = claims_.equal_range(Prefix{prefix.address, len}.network());
        for (auto it = begin; it != end; ++it) {
            if (peer == kNoPeer || it->second.peer != peer)
                return &it->second;
        }
    }
    return nullptr;
}

std::optional<Refusal> Policy::refusal(babel::InterfaceId interface, const Prefix& prefix) const {
    const auto filter = filters_.find(interface);
    if (filter == filters_.end() || !any_holds(filter->second.accept, prefix))
        return Refusal{.kind = Refusal::Kind::not_accepted, .owner = {}};
    const bool host = prefix.len == prefix.address.bits();
    if (host && std::ranges::count(ownership_.own_addresses, prefix.address) != 0)
        return Refusal{.kind = Refusal::Kind::own_address, .owner = {}};
    if (ownership_.node_prefix && holds(*ownership_.node_prefix, prefix))
        return Refusal{.kind = Refusal::Kind::node_prefix, .owner = {}};
    if (const Claim* claim = claim_on(prefix, filter->second.peer))
        return Refusal{.kind = claim->kind, .owner = claim->owner};
    return std::nullopt;
}

bool Policy::may_announce(const babel::NeighborId& neighbor, const Prefix& prefix) const {
    return !refusal(neighbor.interface, prefix);
}

bool Policy::is_of_our_network(const babel::RouterId& originator) const {
    RouterMark mark{};
    std::copy_n(originator.begin(), mark.size(), mark.begin());
    return ownership_.boxes.contains(mark);
}

bool Policy::may_export(babel::InterfaceId interface, const Prefix& prefix, bool own) const {
    const auto filter = filters_.find(interface);
    if (filter == filters_.end())
        return false;
    if (own && filter->second.peer != kNoPeer) {
        const auto to = leads_to_.find(prefix);
        if (to != leads_to_.end() && to->second == filter->second.peer)
            return false;
    }
    return !filter->second.announce || any_holds(*filter->second.announce, prefix);
}

}  // namespace meshgate::control::site_routers

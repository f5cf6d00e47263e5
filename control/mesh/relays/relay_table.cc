// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/relays/relay_table.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/names.h"

// What others and the owner may do with the table. How one entry finds its way:
// relay_table_entry.cc.
namespace meshgate::mesh {

namespace {

// Several members may forward the same index to the same target when ways change under way.
constexpr size_t kMaxOwners = 8;
// A full allowance of entries may be asked for at once, all of it again each 16 s.
constexpr double kSecondsPerAllowance = 16;
constexpr size_t kMinRequestsAtOnce = 64;  // however small the allowance

}  // namespace

RelayTable::RelayTable(const RelayOptions& options, const RouteLookup& routes,
                       RelayEntries& entries)
    : options_{options}, routes_{routes}, entries_{entries}, asks_{kAsksPerSecond, kAsksAtOnce} {}

void RelayTable::set_members(std::span<const RelayMember> members, Time now) {
    std::map<IpAddress, Member> next;
    for (const RelayMember& one : members) {
        const size_t max_owned =
            one.relay ? options_.max_entries_per_relay : options_.max_entries_per_member;
        const auto allowance = static_cast<double>(std::max(max_owned, kMinRequestsAtOnce));
        const auto known = members_.find(one.node);
        const bool same = known != members_.end() && known->second.relay == one.relay;
        Member entry = same ? known->second
                            : Member{.relay = one.relay,
                                     .max_owned = max_owned,
                                     .requests = {allowance / kSecondsPerAllowance, allowance}};
        entry.nb_owned = known == members_.end() ? 0 : known->second.nb_owned;
        next.emplace(one.node, entry);
    }
    members_ = std::move(next);
    std::vector<uint32_t> indices;
    for (const auto& [index, entry] : table_)
        indices.push_back(index);
    for (const uint32_t index : indices) {
        if (forget_non_members(index, *find(index)))
            settle(index, *find(index), now);
        finish(index, now);
    }
}

// True when it needs another way.
bool RelayTable::forget_non_members(uint32_t index, Entry& entry) {
    const auto is_gone = [this](const IpAddress& node) { return member(node) == nullptr; };
    if (!ends_here(entry) && is_gone(entry.target)) {
        drop_owners(index, entry, RelayAnswer::refused_not_member);
        if (entry.own)
            tell(index, entry, RelayChange::Kind::refused, RelayAnswer::refused_not_member);
        entry.own = false;
        return false;  // nobody is left to find a way for
    }
    for (size_t i = entry.owners.size(); i > 0; --i) {
        const IpAddress owner = entry.owners[i - 1].node;
        if (is_gone(owner))
            drop_owner(entry, owner);
    }
    bool changed = false;
    if (entry.next_hop && is_gone(entry.next_hop->node)) {
        withdraw(index, entry);
        changed = true;
    }
    if (entry.ask && is_gone(entry.ask->next_hop.node)) {
        entry.ask.reset();
        changed = true;
    }
    // The target may have become a relay.
    return changed || (entry.next_hop && !is_agreed(entry));
}

// ---- our own sessions ----

void RelayTable::open(uint32_t index, const IpAddress& target, Time now) {
    const RelayChange refused{index, target, RelayChange::Kind::refused, {}, {}};
    Entry* known = find(index);
    if (known != nullptr && known->own && known->target == target)
        return;
    if (known != nullptr && known->own) {
        close(index, now);
        known = find(index);
    }
    if (known != nullptr && known->target != target) {
        // Somebody has it to another target: with us it could only go to one of them.
        changes_.push_back(refused);
        changes_.back().answer = RelayAnswer::refused_index_taken;
        return;
    }
    if (member(target) == nullptr) {
        changes_.push_back(refused);
        changes_.back().answer = RelayAnswer::refused_not_member;
        return;
    }
    const bool has_way = known != nullptr && known->next_hop;
    Entry& entry = known != nullptr ? *known : create(index, target);
    entry.own = true;
    settle(index, entry, now);
    if (has_way && entry.next_hop)
        tell(index, entry, RelayChange::Kind::open);
    if (!entry.next_hop && !entry.ask)
        tell(index, entry, RelayChange::Kind::refused, RelayAnswer::refused_no_way);
    finish(index, now);
}

void RelayTable::close(uint32_t index, Time now) {
    Entry* entry = find(index);
    if (entry == nullptr || !entry->own)
        return;
    entry->own = false;
    finish(index, now);
}

void RelayTable::recheck(uint32_t index, Time now) {
    Entry* entry = find(index);
    if (entry == nullptr || entry->ask)
        return;
    if (!entry->next_hop)
        settle(index, *entry, now);
    refresh(index, *entry, kMinRecheck, now);
    finish(index, now);
}

void RelayTable::recheck_next_hop(const IpAddress& next_hop, Time now) {
    std::vector<uint32_t> indices;
    for (const auto& [index, entry] : table_) {
        if (entry.next_hop && entry.next_hop->node == next_hop)
            indices.push_back(index);
    }
    for (const uint32_t index : indices)
        recheck(index, now);
}

// ---- events ----

void RelayTable::on_next_hop_changed(const IpAddress& target, Time now) {
    const auto found = by_target_.find(target);
    if (found == by_target_.end())
        return;
    const std::vector<uint32_t> indices(found->second.begin(), found->second.end());
    for (const uint32_t index : indices) {
        Entry& entry = *find(index);
        entry.nb_failures = 0;
        settle(index, entry, now);
        finish(index, now);
    }
}

void RelayTable::on_link_gone(LinkId link, Time now) {
    std::vector<uint32_t> indices;
    for (const auto& [index, entry] : table_) {
        if ((entry.next_hop && entry.next_hop->link == link) ||
            (entry.ask && entry.ask->next_hop.link == link))
            indices.push_back(index);
    }
    for (const uint32_t index : indices) {
        Entry& entry = *find(index);
        settle(index, entry, now);  // most have another way already, or have lost it
        if (entry.ask && entry.ask->next_hop.link == link)
            cancel_ask(index, entry);
        if (entry.next_hop && entry.next_hop->link == link)
            withdraw(index, entry);
        if (!entry.next_hop && !entry.ask)
            set_back(entry, now);
        finish(index, now);
    }
}

void RelayTable::receive(const IpAddress& from, const RelayOpen& open, Time now) {
    count(RelayCounter::opens_received);
    Member* sender = member(from);
    if (sender == nullptr || from == options_.self) {
        count(RelayCounter::from_strangers);
        return;
    }
    if (!sender->requests.take(now)) {
        count(RelayCounter::over_rate);
        return;
    }
    if (const auto refused = refusal(from, open)) {
        answer(open.index, from, open.request, *refused);
        Entry* entry = find(open.index);
        // What a drained relay has stays until its owner has moved it.
        if (entry != nullptr && *refused != RelayAnswer::refused_not_relay)
            drop_owner(*entry, from);
        finish(open.index, now);
        return;
    }
    Entry* entry = find(open.index);
    if (entry == nullptr)
        entry = &create(open.index, open.target);
    Owner& owner = add_owner(*entry, from);
    owner.expires = now + kRelayLifetime;
    owner.request = open.request;
    settle(open.index, *entry, now);
    // Who asks again may have met silence: the rest of the way is asked again, too.
    refresh(open.index, *entry, kMinPassedOn, now);
    finish(open.index, now);
}

// Why `from` may not have it; nothing when it may.
std::optional<RelayAnswer> RelayTable::refusal(const IpAddress& from, const RelayOpen& open) {
    const bool is_end = open.target == options_.self;
    if (!is_end && !serving_)
        return RelayAnswer::refused_not_relay;
    if (!is_end && member(open.target) == nullptr)
        return RelayAnswer::refused_not_member;
    if (open.target == from)
        return RelayAnswer::refused_no_way;
    Entry* entry = find(open.index);
    if (entry != nullptr && entry->target != open.target) {
        const bool alone = !entry->own && entry->owners.size() == 1;
        if (!alone || entry->owners.front().node != from)
            return RelayAnswer::refused_index_taken;
        erase(open.index);  // its own, for a session that is over
        entry = nullptr;
    }
    if (entry == nullptr || owner_in(*entry, from) == nullptr) {
        const Member& sender = *member(from);
        if (sender.nb_owned >= sender.max_owned || nb_owned_ >= options_.max_entries ||
            (entry != nullptr && entry->owners.size() >= kMaxOwners))
            return RelayAnswer::refused_cap;
    }
    if (is_end)
        return std::nullopt;
    const auto next_hop = usable_next_hop(open.target);
    if (!next_hop || next_hop->node == from)
        return RelayAnswer::refused_no_way;
    return std::nullopt;
}

void RelayTable::receive(const IpAddress& from, const RelayReply& reply, Time now) {
    Entry* entry = find(reply.index);
    const bool asked = entry != nullptr && entry->ask && entry->ask->request == reply.request &&
                       entry->ask->next_hop.node == from;
    if (!asked) {
        // The second answer to a request that was repeated is nothing to wonder about.
        if (entry == nullptr || entry->last_request != reply.request || !entry->next_hop ||
            entry->next_hop->node != from)
            count(RelayCounter::replies_unasked);
        return;
    }
    if (reply.answer == RelayAnswer::accepted)
        on_accepted(reply.index, *entry, now);
    else
        on_refused(reply.index, *entry, reply.answer, now);
    finish(reply.index, now);
}

void RelayTable::receive(const IpAddress& from, const RelayClose& close, Time now) {
    Member* sender = member(from);
    if (sender == nullptr) {
        count(RelayCounter::from_strangers);
        return;
    }
    if (!sender->requests.take(now)) {
        count(RelayCounter::over_rate);
        return;
    }
    Entry* entry = find(close.index);
    if (entry != nullptr && owner_in(*entry, from) != nullptr) {
        drop_owner(*entry, from);
    } else if (entry != nullptr && entry->confirmed_hop && entry->next_hop->node == from) {
        // It has lost its way on. If it was asked just now, then once more a little later.
        refresh(close.index, *entry, kMinPassedOn, now);
        if (!entry->ask)
            entry->retry = std::min(entry->retry, entry->last_asked + kMinPassedOn);
    } else {
        count(RelayCounter::closes_refused);
        return;
    }
    finish(close.index, now);
}

void RelayTable::tick(Time now) {
    close_delayed(now);
    send_waiting(now);
    while (!due_.empty() && due_.begin()->first <= now) {
        const uint32_t index = due_.begin()->second;
        on_due(index, *find(index), now);
        finish(index, now);
        const Entry* entry = find(index);
        MG_ASSERT(entry == nullptr || entry->due > now);
    }
}

Time RelayTable::next_deadline() const noexcept {
    const Time close = delayed_closes_.empty() ? kNever : delayed_closes_.front().at;
    return std::min({close, next_waiting_, due_.empty() ? kNever : due_.begin()->first});
}

std::vector<Outgoing> RelayTable::take_messages() {
    return std::exchange(messages_, {});
}

std::vector<RelayChange> RelayTable::take_changes() {
    return std::exchange(changes_, {});
}

// ---- views ----

std::optional<NextHop> RelayTable::next_hop_of(uint32_t index) const {
    const auto found = table_.find(index);
    if (found == table_.end() || !found->second.own)
        return std::nullopt;
    return found->second.next_hop;
}

std::vector<RelayEntryView> RelayTable::entries() const {
    std::vector<RelayEntryView> views;
    for (const auto& [index, entry] : table_) {
        RelayEntryView view{.index = index,
                            .target = entry.target,
                            .own = entry.own,
                            .next_hop = entry.next_hop,
                            .confirmed = entry.confirmed_hop,
                            .asking = entry.ask.has_value()};
        Time last{};
        for (const Owner& owner : entry.owners) {
            view.owners.push_back(owner.node);
            last = std::max(last, owner.expires);
        }
        if (!entry.own)
            view.expires = last;
        views.push_back(std::move(view));
    }
    return views;
}

const char* to_string(RelayCounter counter) noexcept {
    constexpr auto kNames = names_of<kNbRelayCounters>(
        {"opens_received", "opens_accepted", "refused_index_taken", "refused_not_member",
         "refused_cap", "refused_no_way", "refused_not_relay", "from_strangers", "over_rate",
         "closes_refused", "replies_unasked", "asks_sent", "asks_given_up", "entries_expired"});
    return kNames[static_cast<size_t>(counter)];
}

}  // namespace meshgate::mesh

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "control/mesh/relays/relay_table.h"

// How one entry of the table finds its way and keeps it. Nothing here erases an entry; finish()
// does, when nobody is left who wants it.
namespace meshgate::mesh {

namespace {

// After a refused or unanswered request; doubles.
constexpr auto kFirstBackoff = std::chrono::seconds{1};
constexpr unsigned kMaxBackoffDoublings = 5;  // of the backoff
// A request over the rate waits for so long.
constexpr auto kPaceDelay = std::chrono::milliseconds{20};
constexpr uint32_t kSpread = 16;  // seconds by which refreshes come early, by index
// So many closes wait at most; further ones are sent at once.
constexpr size_t kMaxDelayedCloses = 65'536;

RelayCounter counter_of(RelayAnswer answer) noexcept {
    switch (answer) {
        case RelayAnswer::accepted:
            return RelayCounter::opens_accepted;
        case RelayAnswer::refused_index_taken:
            return RelayCounter::refused_index_taken;
        case RelayAnswer::refused_not_member:
            return RelayCounter::refused_not_member;
        case RelayAnswer::refused_cap:
            return RelayCounter::refused_cap;
        case RelayAnswer::refused_no_way:
            return RelayCounter::refused_no_way;
        case RelayAnswer::refused_not_relay:
            return RelayCounter::refused_not_relay;
        case RelayAnswer::nb_answers:
            break;
    }
    MG_ASSERT(!"no answer");
}

}  // namespace

RelayTable::Member* RelayTable::member(const IpAddress& node) {
    const auto found = members_.find(node);
    return found == members_.end() ? nullptr : &found->second;
}

std::optional<NextHop> RelayTable::usable_next_hop(const IpAddress& target) const {
    const auto next_hop = routes_.next_hop_to(target);
    if (!next_hop || next_hop->node == options_.self || !members_.contains(next_hop->node))
        return std::nullopt;
    return next_hop;
}

RelayTable::Entry* RelayTable::find(uint32_t index) {
    const auto found = table_.find(index);
    return found == table_.end() ? nullptr : &found->second;
}

RelayTable::Entry& RelayTable::create(uint32_t index, const IpAddress& target) {
    by_target_[target].insert(index);
    Entry& entry = table_[index];
    entry.target = target;
    return entry;
}

RelayTable::Owner* RelayTable::owner_in(Entry& entry, const IpAddress& node) {
    const auto found = std::find_if(entry.owners.begin(), entry.owners.end(),
                                    [&](const Owner& owner) { return owner.node == node; });
    return found == entry.owners.end() ? nullptr : &*found;
}

RelayTable::Owner& RelayTable::add_owner(Entry& entry, const IpAddress& node) {
    if (Owner* known = owner_in(entry, node))
        return *known;
    ++members_.at(node).nb_owned;
    ++nb_owned_;
    return entry.owners.emplace_back(Owner{.node = node, .expires = kNever, .request = {}});
}

void RelayTable::drop_owner(Entry& entry, const IpAddress& node) {
    const size_t nb_dropped =
        std::erase_if(entry.owners, [&](const Owner& owner) { return owner.node == node; });
    nb_owned_ -= nb_dropped;
    if (Member* owner = member(node))
        owner->nb_owned -= nb_dropped;
}

// Who waits gets the answer; who was told "accepted" before learns that it is over.
void RelayTable::drop_owners(uint32_t index, Entry& entry, RelayAnswer reason) {
    answer_waiting(index, entry, reason);
    while (!entry.owners.empty()) {
        const IpAddress node = entry.owners.back().node;
        send(node, RelayClose{index});
        drop_owner(entry, node);
    }
}

// ---- the way ----

// An entry that forwards must be known where it goes: to a relay on the way, and to a target that
// may forward it elsewhere. What we send ourselves goes straight to any target.
bool RelayTable::must_ask(const Entry& entry, const NextHop& next_hop) const {
    if (next_hop.node != entry.target)
        return true;
    const auto target = members_.find(entry.target);
    return !entry.owners.empty() && target != members_.end() && target->second.relay;
}

// Brings the entry to the way that is right now, or on the way there.
void RelayTable::settle(uint32_t index, Entry& entry, Time now) {
    if (ends_here(entry)) {
        answer_waiting(index, entry, RelayAnswer::accepted);
        return;
    }
    const auto next_hop = usable_next_hop(entry.target);
    if (!next_hop) {
        cancel_ask(index, entry);
        answer_waiting(index, entry, RelayAnswer::refused_no_way);
        withdraw(index, entry);
        return;
    }
    if (owner_in(entry, next_hop->node) != nullptr) {
        // It would come straight back to who sends it.
        send(next_hop->node, RelayClose{index});
        drop_owner(entry, next_hop->node);
    }
    if (!is_wanted(entry))
        return;
    if (entry.next_hop && entry.next_hop->node == next_hop->node && is_agreed(entry)) {
        if (entry.ask && entry.ask->next_hop.node != next_hop->node)
            cancel_ask(index, entry);
        const bool another_link = entry.next_hop->link != next_hop->link;
        entry.next_hop = next_hop;
        sync(index, entry);
        if (another_link && entry.own)
            tell(index, entry, RelayChange::Kind::open);
        answer_waiting(index, entry, RelayAnswer::accepted);
        return;
    }
    if (!must_ask(entry, *next_hop)) {
        cancel_ask(index, entry);
        adopt(index, entry, *next_hop, Hop::not_asked, now);
        return;
    }
    if (entry.ask && entry.ask->next_hop.node == next_hop->node) {
        entry.ask->next_hop = *next_hop;
        return;
    }
    cancel_ask(index, entry);
    ask(index, entry, *next_hop, now);
}

// Datagrams go by `next_hop` from now on: first all of them, then the way before is closed.
void RelayTable::adopt(uint32_t index, Entry& entry, const NextHop& next_hop, Hop hop, Time now) {
    const auto before = std::exchange(entry.next_hop, next_hop);
    const bool was_confirmed = std::exchange(entry.confirmed_hop, hop == Hop::confirmed);
    entry.confirmed = now;
    entry.nb_failures = 0;
    entry.retry = kNever;
    sync(index, entry);
    answer_waiting(index, entry, RelayAnswer::accepted);
    if (entry.own && before != next_hop)
        tell(index, entry, RelayChange::Kind::open);
    if (!was_confirmed || before->node == next_hop.node)
        return;
    if (delayed_closes_.size() < kMaxDelayedCloses)
        delayed_closes_.push_back({now + kRelayCloseDelay, before->node, index});
    else
        send(before->node, RelayClose{index});
}

void RelayTable::withdraw(uint32_t index, Entry& entry) {
    const auto before = std::exchange(entry.next_hop, std::nullopt);
    sync(index, entry);
    if (before && entry.own)
        tell(index, entry, RelayChange::Kind::lost);
    if (std::exchange(entry.confirmed_hop, false))
        send(before->node, RelayClose{index});
}

// Makes the dataplane's entry what it should be: there while somebody else's datagrams have a way
// that is agreed.
void RelayTable::sync(uint32_t index, Entry& entry) {
    const bool wanted = !entry.owners.empty() && is_agreed(entry);
    if (wanted && !entry.installed) {
        if (!entries_.install(index, entry.next_hop->link)) {
            drop_owners(index, entry, RelayAnswer::refused_index_taken);
            return;
        }
        entry.installed = entry.next_hop->link;
    } else if (wanted && *entry.installed != entry.next_hop->link) {
        entries_.move(index, entry.next_hop->link);
        entry.installed = entry.next_hop->link;
    } else if (!wanted && entry.installed) {
        entries_.remove(index);
        entry.installed.reset();
    }
}

// ---- asking the next hop ----

void RelayTable::ask(uint32_t index, Entry& entry, const NextHop& next_hop, Time now) {
    entry.retry = kNever;
    entry.last_request = next_request_++;
    entry.ask =
        Ask{.next_hop = next_hop, .request = entry.last_request, .nb_tries = 0, .next = now};
    send_ask(index, entry, now);
}

void RelayTable::send_ask(uint32_t index, Entry& entry, Time now) {
    // When a hub dies, all it relayed is asked for elsewhere: at the pace that others take.
    if (!asks_.take(now)) {
        entry.ask->next = kNever;
        if (waiting_asks_.size() >= 2 * table_.size())
            std::erase_if(waiting_asks_, [this](const auto& one) { return !is_waiting(one); });
        waiting_asks_.emplace_back(index, entry.ask->request);
        next_waiting_ = std::min(next_waiting_, now + kPaceDelay);
        return;
    }
    entry.last_asked = now;
    ++entry.ask->nb_tries;
    entry.ask->next = now + kRelayRetry;
    count(RelayCounter::asks_sent);
    send(entry.ask->next_hop.node, RelayOpen{entry.ask->request, index, entry.target});
}

// False when the request is over: cancelled, or its entry gone.
bool RelayTable::is_waiting(const std::pair<uint32_t, uint32_t>& index_and_request) {
    const Entry* entry = find(index_and_request.first);
    return entry != nullptr && entry->ask && entry->ask->request == index_and_request.second;
}

void RelayTable::send_waiting(Time now) {
    if (next_waiting_ > now)
        return;
    next_waiting_ = kNever;
    for (size_t left = waiting_asks_.size(); left > 0 && next_waiting_ == kNever; --left) {
        const auto next = waiting_asks_.front();
        waiting_asks_.pop_front();
        if (!is_waiting(next))
            continue;
        const uint32_t index = next.first;
        send_ask(index, *find(index),
                 now);  // puts itself back, and sets the time, if it is too early
        finish(index, now);
    }
}

void RelayTable::cancel_ask(uint32_t index, Entry& entry) {
    const auto ask = std::exchange(entry.ask, std::nullopt);
    if (!ask || ask->nb_tries == 0)
        return;
    const bool in_use = entry.confirmed_hop && entry.next_hop->node == ask->next_hop.node;
    if (!in_use)
        send(ask->next_hop.node, RelayClose{index});
}

// Asks the next hop in use once more, unless it was asked a moment ago.
void RelayTable::refresh(uint32_t index, Entry& entry, Time::duration min_age, Time now) {
    if (entry.confirmed_hop && !entry.ask && now - entry.last_asked >= min_age)
        ask(index, entry, *entry.next_hop, now);
}

void RelayTable::on_accepted(uint32_t index, Entry& entry, Time now) {
    const NextHop next_hop = std::exchange(entry.ask, std::nullopt)->next_hop;
    adopt(index, entry, next_hop, Hop::confirmed, now);
}

void RelayTable::on_refused(uint32_t index, Entry& entry, RelayAnswer reason, Time now) {
    const NextHop asked = std::exchange(entry.ask, std::nullopt)->next_hop;
    if (asked.node == entry.target) {
        on_refused_by_target(index, entry, reason, now);
        return;
    }
    set_back(entry, now);
    const bool in_use = entry.next_hop && entry.next_hop->node == asked.node;
    // A relay that is drained forwards what it has, as long as it keeps it.
    const bool drains = reason == RelayAnswer::refused_not_relay && in_use &&
                        now - entry.confirmed < kRelayLifetime;
    if (drains)
        return;
    if (in_use) {
        entry.next_hop.reset();
        entry.confirmed_hop = false;
    }
    if (entry.own)
        tell(index, entry, RelayChange::Kind::refused, reason);
    if (!entry.next_hop) {
        sync(index, entry);
        drop_owners(index, entry, reason);
        return;
    }
    // The way before may still work. Who has not asked yet does so now, and is told then.
    for (const Owner& owner : entry.owners) {
        if (!owner.request)
            send(owner.node, RelayClose{index});
    }
    answer_waiting(index, entry, reason);
}

// It has this index to another target. Only what others send is forwarded: ours need not care.
void RelayTable::on_refused_by_target(uint32_t index, Entry& entry, RelayAnswer reason, Time now) {
    if (entry.next_hop && entry.next_hop->node == entry.target)
        entry.confirmed_hop = false;
    drop_owners(index, entry, reason);
    if (entry.own)
        settle(index, entry, now);
}

void RelayTable::on_silence(uint32_t index, Entry& entry, Time now) {
    count(RelayCounter::asks_given_up);
    cancel_ask(index, entry);
    set_back(entry, now);
    // Who has been silent for so long has forgotten it, too.
    if (entry.confirmed_hop && now - entry.confirmed >= kRelayLifetime)
        withdraw(index, entry);
    if (!entry.next_hop) {
        if (entry.own)
            tell(index, entry, RelayChange::Kind::refused, RelayAnswer::refused_no_way);
        drop_owners(index, entry, RelayAnswer::refused_no_way);
        return;
    }
    // What is in use stays: whether it works, Babel and the ends find out. "Accepted" would be a
    // guess, so who waits gets no answer and asks again.
    for (Owner& owner : entry.owners)
        owner.request.reset();
}

void RelayTable::set_back(Entry& entry, Time now) {
    entry.retry = now + kFirstBackoff * (1U << std::min(entry.nb_failures, kMaxBackoffDoublings));
    ++entry.nb_failures;
}

// ---- time ----

void RelayTable::on_due(uint32_t index, Entry& entry, Time now) {
    for (size_t i = entry.owners.size(); i > 0; --i) {
        if (entry.owners[i - 1].expires > now)
            continue;
        count(RelayCounter::entries_expired);
        drop_owner(entry, IpAddress{entry.owners[i - 1].node});
    }
    if (!is_wanted(entry))
        return;
    if (entry.ask) {
        if (entry.ask->next > now)
            return;
        if (entry.ask->nb_tries >= kRelayTries)
            on_silence(index, entry, now);
        else
            send_ask(index, entry, now);
        return;
    }
    if (next_ask(index, entry) > now)
        return;
    entry.retry = kNever;
    settle(index, entry, now);
    refresh(index, entry, Time::duration::zero(), now);
}

// When the next hop is to be asked, while it is not.
Time RelayTable::next_ask(uint32_t index, const Entry& entry) {
    if (entry.retry != kNever)
        return entry.retry;
    if (!entry.confirmed_hop)
        return kNever;
    return std::max(entry.confirmed, entry.last_asked) + kRelayRefresh -
           std::chrono::seconds{index % kSpread};
}

// Ends each change of an entry: it goes when nobody wants it, else it is due when it should be.
void RelayTable::finish(uint32_t index, Time now) {
    Entry* entry = find(index);
    if (entry == nullptr)
        return;
    if (!is_wanted(*entry)) {
        erase(index);
        return;
    }
    sync(index, *entry);
    Time due = entry->ask ? entry->ask->next : next_ask(index, *entry);
    for (const Owner& owner : entry->owners)
        due = std::min(due, owner.expires);
    due = std::max(due, now + std::chrono::milliseconds{1});
    due_.erase({entry->due, index});
    entry->due = due;
    if (due != kNever)
        due_.insert({due, index});
}

void RelayTable::erase(uint32_t index) {
    Entry& entry = *find(index);
    while (!entry.owners.empty())
        drop_owner(entry, IpAddress{entry.owners.back().node});
    cancel_ask(index, entry);
    withdraw(index, entry);
    due_.erase({entry.due, index});
    const auto others = by_target_.find(entry.target);
    others->second.erase(index);
    if (others->second.empty())
        by_target_.erase(others);
    table_.erase(index);
}

void RelayTable::close_delayed(Time now) {
    while (!delayed_closes_.empty() && delayed_closes_.front().at <= now) {
        const auto [at, to, index] = delayed_closes_.front();
        delayed_closes_.pop_front();
        const Entry* entry = find(index);
        const bool needed_again =
            entry != nullptr && ((entry->next_hop && entry->next_hop->node == to) ||
                                 (entry->ask && entry->ask->next_hop.node == to));
        if (!needed_again)
            send(to, RelayClose{index});
    }
}

// ---- what goes out ----

void RelayTable::answer(uint32_t index, const IpAddress& to, uint32_t request, RelayAnswer reason) {
    count(counter_of(reason));
    send(to, RelayReply{request, index, reason});
}

// Answers who waits; who is refused owns nothing any more.
void RelayTable::answer_waiting(uint32_t index, Entry& entry, RelayAnswer reason) {
    for (size_t i = entry.owners.size(); i > 0; --i) {
        Owner& owner = entry.owners[i - 1];
        const auto request = std::exchange(owner.request, std::nullopt);
        if (!request)
            continue;
        answer(index, owner.node, *request, reason);
        if (reason != RelayAnswer::accepted)
            drop_owner(entry, IpAddress{owner.node});
    }
}

void RelayTable::tell(uint32_t index, const Entry& entry, RelayChange::Kind kind,
                      RelayAnswer reason) {
    const bool open = kind == RelayChange::Kind::open;
    changes_.push_back({.index = index,
                        .target = entry.target,
                        .kind = kind,
                        .next_hop = open ? *entry.next_hop : NextHop{},
                        .answer = reason});
}

// The one door out: whatever the reason, nothing is sent to who is no member.
void RelayTable::send(const IpAddress& to, Message message) {
    if (members_.contains(to) && to != options_.self)
        messages_.push_back({to, std::move(message)});
}

}  // namespace meshgate::mesh

// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "control/mesh/relays/relays.h"

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

}  // namespace

Relays::Member* Relays::member(const IpAddress& node) {
    const auto found = members_.find(node);
    return found == members_.end() ? nullptr : &found->second;
}

std::optional<Way> Relays::usable_way(const IpAddress& target) const {
    const auto way = ways_.way_to(target);
    if (!way || way->next_hop == options_.self || !members_.contains(way->next_hop))
        return std::nullopt;
    return way;
}

Relays::Entry* Relays::find(uint32_t index) {
    const auto found = table_.find(index);
    return found == table_.end() ? nullptr : &found->second;
}

Relays::Entry& Relays::create(uint32_t index, const IpAddress& target) {
    by_target_[target].insert(index);
    Entry& entry = table_[index];
    entry.target = target;
    return entry;
}

Relays::Owner* Relays::owner_in(Entry& entry, const IpAddress& node) {
    const auto found = std::find_if(entry.owners.begin(), entry.owners.end(),
                                    [&](const Owner& owner) { return owner.node == node; });
    return found == entry.owners.end() ? nullptr : &*found;
}

Relays::Owner& Relays::add_owner(Entry& entry, const IpAddress& node) {
    if (Owner* known = owner_in(entry, node))
        return *known;
    ++members_.at(node).nb_owned;
    ++nb_owned_;
    return entry.owners.emplace_back(Owner{.node = node, .expires = kNever, .request = {}});
}

void Relays::drop_owner(Entry& entry, const IpAddress& node) {
    const size_t nb_dropped =
        std::erase_if(entry.owners, [&](const Owner& owner) { return owner.node == node; });
    nb_owned_ -= nb_dropped;
    if (Member* owner = member(node))
        owner->nb_owned -= nb_dropped;
}

// Who waits gets the answer; who was told "accepted" before learns that it is over.
void Relays::drop_owners(uint32_t index, Entry& entry, RelayAnswer reason) {
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
bool Relays::must_ask(const Entry& entry, const Way& way) const {
    if (way.next_hop != entry.target)
        return true;
    const auto target = members_.find(entry.target);
    return !entry.owners.empty() && target != members_.end() && target->second.relay;
}

// Brings the entry to the way that is right now, or on the way there.
void Relays::settle(uint32_t index, Entry& entry, Time now) {
    if (ends_here(entry)) {
        answer_waiting(index, entry, RelayAnswer::accepted);
        return;
    }
    const auto way = usable_way(entry.target);
    if (!way) {
        cancel_ask(index, entry);
        answer_waiting(index, entry, RelayAnswer::refused_no_way);
        withdraw(index, entry);
        return;
    }
    if (owner_in(entry, way->next_hop) != nullptr) {
        // It would come straight back to who sends it.
        send(way->next_hop, RelayClose{index});
        drop_owner(entry, way->next_hop);
    }
    if (!is_wanted(entry))
        return;
    if (entry.way && entry.way->next_hop == way->next_hop && is_agreed(entry)) {
        if (entry.ask && entry.ask->way.next_hop != way->next_hop)
            cancel_ask(index, entry);
        const bool another_link = entry.way->link != way->link;
        entry.way = way;
        sync(index, entry);
        if (another_link && entry.own)
            tell(index, entry, RelayChange::Kind::open);
        answer_waiting(index, entry, RelayAnswer::accepted);
        return;
    }
    if (!must_ask(entry, *way)) {
        cancel_ask(index, entry);
        adopt(index, entry, *way, Hop::not_asked, now);
        return;
    }
    if (entry.ask && entry.ask->way.next_hop == way->next_hop) {
        entry.ask->way = *way;
        return;
    }
    cancel_ask(index, entry);
    ask(index, entry, *way, now);
}

// Datagrams go by `way` from now on: first all of them, then the way before is closed.
void Relays::adopt(uint32_t index, Entry& entry, const Way& way, Hop hop, Time now) {
    const auto before = std::exchange(entry.way, way);
    const bool was_confirmed = std::exchange(entry.confirmed_hop, hop == Hop::confirmed);
    entry.confirmed = now;
    entry.nb_failures = 0;
    entry.retry = kNever;
    sync(index, entry);
    answer_waiting(index, entry, RelayAnswer::accepted);
    if (entry.own && before != way)
        tell(index, entry, RelayChange::Kind::open);
    if (!was_confirmed || before->next_hop == way.next_hop)
        return;
    if (delayed_closes_.size() < kMaxDelayedCloses)
        delayed_closes_.push_back({now + kRelayCloseDelay, before->next_hop, index});
    else
        send(before->next_hop, RelayClose{index});
}

void Relays::withdraw(uint32_t index, Entry& entry) {
    const auto before = std::exchange(entry.way, std::nullopt);
    sync(index, entry);
    if (before && entry.own)
        tell(index, entry, RelayChange::Kind::lost);
    if (std::exchange(entry.confirmed_hop, false))
        send(before->next_hop, RelayClose{index});
}

// Makes the dataplane's entry what it should be: there while somebody else's datagrams have a way
// that is agreed.
void Relays::sync(uint32_t index, Entry& entry) {
    const bool wanted = !entry.owners.empty() && is_agreed(entry);
    if (wanted && !entry.installed) {
        if (!entries_.install(index, entry.way->link)) {
            drop_owners(index, entry, RelayAnswer::refused_index_taken);
            return;
        }
        entry.installed = entry.way->link;
    } else if (wanted && *entry.installed != entry.way->link) {
        entries_.move(index, entry.way->link);
        entry.installed = entry.way->link;
    } else if (!wanted && entry.installed) {
        entries_.remove(index);
        entry.installed.reset();
    }
}

// ---- asking the next hop ----

void Relays::ask(uint32_t index, Entry& entry, const Way& way, Time now) {
    entry.retry = kNever;
    entry.last_request = next_request_++;
    entry.ask = Ask{.way = way, .request = entry.last_request, .nb_tries = 0, .next = now};
    send_ask(index, entry, now);
}

void Relays::send_ask(uint32_t index, Entry& entry, Time now) {
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
    send(entry.ask->way.next_hop, RelayOpen{entry.ask->request, index, entry.target});
}

// False when the request is over: cancelled, or its entry gone.
bool Relays::is_waiting(const std::pair<uint32_t, uint32_t>& index_and_request) {
    const Entry* entry = find(index_and_request.first);
    return entry != nullptr && entry->ask && entry->ask->request == index_and_request.second;
}

void Relays::send_waiting(Time now) {
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

void Relays::cancel_ask(uint32_t index, Entry& entry) {
    const auto ask = std::exchange(entry.ask, std::nullopt);
    if (!ask || ask->nb_tries == 0)
        return;
    const bool in_use = entry.confirmed_hop && entry.way->next_hop == ask->way.next_hop;
    if (!in_use)
        send(ask->way.next_hop, RelayClose{index});
}

// Asks the next hop in use once more, unless it was asked a moment ago.
void Relays::refresh(uint32_t index, Entry& entry, Time::duration min_age, Time now) {
    if (entry.confirmed_hop && !entry.ask && now - entry.last_asked >= min_age)
        ask(index, entry, *entry.way, now);
}

void Relays::on_accepted(uint32_t index, Entry& entry, Time now) {
    const Way way = std::exchange(entry.ask, std::nullopt)->way;
    adopt(index, entry, way, Hop::confirmed, now);
}

void Relays::on_refused(uint32_t index, Entry& entry, RelayAnswer reason, Time now) {
    const Way asked = std::exchange(entry.ask, std::nullopt)->way;
    if (asked.next_hop == entry.target) {
        on_refused_by_target(index, entry, reason, now);
        return;
    }
    set_back(entry, now);
    const bool in_use = entry.way && entry.way->next_hop == asked.next_hop;
    // A relay that is drained forwards what it has, as long as it keeps it.
    const bool drains = reason == RelayAnswer::refused_not_relay && in_use &&
                        now - entry.confirmed < kRelayLifetime;
    if (drains)
        return;
    if (in_use) {
        entry.way.reset();
        entry.confirmed_hop = false;
    }
    if (entry.own)
        tell(index, entry, RelayChange::Kind::refused, reason);
    if (!entry.way) {
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
void Relays::on_refused_by_target(uint32_t index, Entry& entry, RelayAnswer reason, Time now) {
    if (entry.way && entry.way->next_hop == entry.target)
        entry.confirmed_hop = false;
    drop_owners(index, entry, reason);
    if (entry.own)
        settle(index, entry, now);
}

void Relays::on_silence(uint32_t index, Entry& entry, Time now) {
    count(RelayCounter::asks_given_up);
    cancel_ask(index, entry);
    set_back(entry, now);
    // Who has been silent for so long has forgotten it, too.
    if (entry.confirmed_hop && now - entry.confirmed >= kRelayLifetime)
        withdraw(index, entry);
    if (!entry.way) {
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

void Relays::set_back(Entry& entry, Time now) {
    entry.retry = now + kFirstBackoff * (1U << std::min(entry.nb_failures, kMaxBackoffDoublings));
    ++entry.nb_failures;
}

// ---- time ----

void Relays::on_due(uint32_t index, Entry& entry, Time now) {
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
Time Relays::next_ask(uint32_t index, const Entry& entry) {
    if (entry.retry != kNever)
        return entry.retry;
    if (!entry.confirmed_hop)
        return kNever;
    return std::max(entry.confirmed, entry.last_asked) + kRelayRefresh -
           std::chrono::seconds{index % kSpread};
}

// Ends each change of an entry: it goes when nobody wants it, else it is due when it should be.
void Relays::finish(uint32_t index, Time now) {
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

void Relays::erase(uint32_t index) {
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

void Relays::close_delayed(Time now) {
    while (!delayed_closes_.empty() && delayed_closes_.front().at <= now) {
        const auto [at, to, index] = delayed_closes_.front();
        delayed_closes_.pop_front();
        const Entry* entry = find(index);
        const bool needed_again =
            entry != nullptr && ((entry->way && entry->way->next_hop == to) ||
                                 (entry->ask && entry->ask->way.next_hop == to));
        if (!needed_again)
            send(to, RelayClose{index});
    }
}

// ---- what goes out ----

void Relays::answer(uint32_t index, const IpAddress& to, uint32_t request, RelayAnswer reason) {
    // The counters stand in the order of the answers.
    const auto first = static_cast<size_t>(RelayCounter::opens_accepted);
    count(static_cast<RelayCounter>(first + static_cast<size_t>(reason)));
    send(to, RelayReply{request, index, reason});
}

// Answers who waits; who is refused owns nothing any more.
void Relays::answer_waiting(uint32_t index, Entry& entry, RelayAnswer reason) {
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

void Relays::tell(uint32_t index, const Entry& entry, RelayChange::Kind kind, RelayAnswer reason) {
    const bool open = kind == RelayChange::Kind::open;
    changes_.push_back({.index = index,
                        .target = entry.target,
                        .kind = kind,
                        .way = open ? *entry.way : Way{},
                        .answer = reason});
}

// The one door out: whatever the reason, nothing is sent to who is no member.
void Relays::send(const IpAddress& to, Message message) {
    if (members_.contains(to) && to != options_.self)
        messages_.push_back({to, std::move(message)});
}

}  // namespace meshgate::mesh

// SPDX-License-Identifier: Apache-2.0
#include "control/neighbor/neighbors.h"

#include <algorithm>
#include <functional>
#include <string_view>

#include "base/source_address.h"

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

// RFC 4861, section 10, and the same for ARP.
constexpr auto kRetransmit = 1s;
constexpr unsigned kMaxSolicits = 3;   // RFC 4861, MAX_MULTICAST_SOLICIT
constexpr auto kReachable = 30'000ms;  // times 0.5 .. 1.5
constexpr auto kDelayFirstProbe = 5s;  // RFC 4861, DELAY_FIRST_PROBE_TIME
// After these many unicast probes the last ones go to everybody: the host may have a new card.
constexpr unsigned kUnicastProbes = 3;
constexpr unsigned kAllProbes = 6;  // unicast and multicast together; then the neighbour is gone

constexpr auto kAskAgainWithin = 500ms;  // everybody behind a link that came up
// Negative caching: packets to a silent address are refused at once for so long.
constexpr auto kRememberFailure = 5s;
// Damping: two machines that fight for an address must not make the entry flap per packet.
constexpr auto kHoldMac = 1s;
// RFC 5227, section 2.4: how often an own address may be defended.
constexpr auto kDefendInterval = 10s;
constexpr auto kRepeatAnnouncement = 1s;  // an own address is announced twice
// How long a probe for an own address waits for somebody else who has it.
constexpr auto kProbeWait = 1s;
constexpr auto kProbeAgain = 20s;          // between probes for a contested address
constexpr unsigned kUnansweredProbes = 3;  // then a conflict is over

constexpr size_t kEvictionScan = 32;  // entries looked at to make room for one

bool has_mac(Neighbors::State state) noexcept {
    return state == Neighbors::State::reachable || state == Neighbors::State::stale ||
           state == Neighbors::State::probe;
}

}  // namespace

bool Neighbors::Port::operator==(const Port& other) const noexcept {
    return identity.mac == other.identity.mac && identity.vlan == other.identity.vlan &&
           addresses == other.addresses && networks == other.networks && gateways == other.gateways;
}

size_t Neighbors::KeyHash::operator()(const Key& key) const noexcept {
    const std::string_view bytes{reinterpret_cast<const char*>(key.address.bytes.data()),
                                 key.address.bytes.size()};
    return std::hash<std::string_view>{}(bytes)*31 + key.port;
}

Neighbors::Neighbors(size_t max_entries_per_port, uint32_t seed)
    : max_entries_per_port_{max_entries_per_port}, random_{seed} {}

void Neighbors::set_ports(std::vector<Port> ports, Time now) {
    const std::vector<Port> before = std::exchange(ports_, std::move(ports));
    nb_entries_.resize(ports_.size());
    defended_.resize(ports_.size(), now - kDefendInterval);
    for (auto it = entries_.begin(); it != entries_.end();) {
        const auto next = std::next(it);
        const bool gone = it->first.port >= ports_.size();
        if (gone || (!is_on_link(it->first.port, it->first.address) && !is_gateway(it->first)))
            erase(it);
        it = next;
    }
    for (PortId port = 0; port < ports_.size(); ++port) {
        for (const IpAddress& address : ports_[port].addresses) {
            const bool known = port < before.size() &&
                               before[port].identity.mac == ports_[port].identity.mac &&
                               std::ranges::count(before[port].addresses, address) != 0;
            if (!known)
                introduce(port, address, now);
        }
        for (const IpAddress& gateway : ports_[port].gateways)
            resolve(port, gateway, now);
    }
}

void Neighbors::link_up(PortId port, Time now) {
    if (port >= ports_.size())
        return;
    for (const IpAddress& address : ports_[port].addresses)
        introduce(port, address, now);
    for (auto& [key, entry] : entries_) {
        if (key.port != port)
            continue;
        if (has_mac(entry.state)) {
            ask_again_soon(key, entry, now);
        } else if (entry.state == State::failed) {
            entry.nb_asked = 0;
            ask(key, entry, std::nullopt);
            enter(key, entry, State::incomplete, now);
        }
    }
}

// Behind the link may be another machine, or the same with another card: everybody is asked, over
// some time, and the MAC address holds until there is an answer or none comes.
void Neighbors::ask_again_soon(const Key& key, Entry& entry, Time now) {
    std::uniform_int_distribution<int64_t> spread{0, kAskAgainWithin.count()};
    entry.state = State::probe;
    entry.nb_asked = kUnicastProbes;
    set_deadline(key, entry, now + std::chrono::milliseconds{spread(random_)});
}

void Neighbors::receive(PortId port, std::span<const uint8_t> frame, Time now) {
    if (port >= ports_.size())
        return;
    const auto message = parse_neighbor_frame(frame, ports_[port].identity.vlan);
    if (!message)
        return;
    // Our own frame come back, or a claim that our MAC address is somebody else's.
    const MacAddress& own = ports_[port].identity.mac;
    if (message->frame_source == own || message->sender_mac == own || message->target_mac == own)
        return;
    if (message->kind == NeighborMessage::Kind::question)
        receive_question(port, *message, now);
    else
        receive_answer(port, *message, now);
}

void Neighbors::receive_question(PortId port, const NeighborMessage& message, Time now) {
    if (is_ours(port, message.sender)) {
        defend(port, message, now);
        return;
    }
    if (!is_ours(port, message.target))
        return;
    frames_.push_back({port, build_answer(ports_[port].identity, message)});
    if (message.sender_mac && is_on_link(port, message.sender))
        learn({port, message.sender}, *message.sender_mac, now);
}

void Neighbors::receive_answer(PortId port, const NeighborMessage& message, Time now) {
    if (is_ours(port, message.target)) {
        defend(port, message, now);
        return;
    }
    const auto it = entries_.find({port, message.target});
    if (it == entries_.end())
        return;
    const State state = it->second.state;
    const bool asked = state == State::incomplete || state == State::probe;
    const bool to_us =
        message.frame_destination == ports_[port].identity.mac && is_ours(port, message.asked_by);
    take_answer(it, message, message.solicited && asked && to_us, now);
}

// Somebody asks for us and thereby says where it is.
void Neighbors::learn(const Key& key, const MacAddress& mac, Time now) {
    const auto it = entries_.find(key);
    Entry* entry = it == entries_.end() ? make_entry(key, Cause::their_question) : &it->second;
    if (entry == nullptr)
        return;
    const bool same = has_mac(entry->state) && entry->mac == mac;
    const bool held = has_mac(entry->state) && now - entry->changed < kHoldMac;
    if (same || held)
        return;
    set_mac(key, *entry, mac, now);
    enter(key, *entry, State::stale, now);
}

// RFC 4861, section 7.2.5.
void Neighbors::take_answer(Entries::iterator it, const NeighborMessage& message, bool solicited,
                            Time now) {
    const Key& key = it->first;
    Entry& entry = it->second;
    if (!has_mac(entry.state) && !message.target_mac)
        return;
    const MacAddress mac = message.target_mac.value_or(entry.mac);
    const bool differs = !has_mac(entry.state) || mac != entry.mac;
    if (has_mac(entry.state) && differs && !message.override_cache) {
        if (entry.state == State::reachable)
            enter(key, entry, State::stale, now);
        return;
    }
    if (has_mac(entry.state) && differs && !solicited && now - entry.changed < kHoldMac)
        return;
    if (differs)
        set_mac(key, entry, mac, now);
    if (solicited) {
        entry.confirmed = true;
        enter(key, entry, State::reachable, now);
    } else if (differs) {
        enter(key, entry, State::stale, now);
    }
}

void Neighbors::defend(PortId port, const NeighborMessage& message, Time now) {
    const bool question = message.kind == NeighborMessage::Kind::question;
    const IpAddress address = question ? message.sender : message.target;
    contest({port, address}, message.frame_source, now);
    if (now - defended_[port] < kDefendInterval)
        return;
    defended_[port] = now;
    frames_.push_back({port, build_announcement(ports_[port].identity, address)});
    events_.push_back({Event::Kind::conflict, port, address, message.frame_source});
}

std::optional<MacAddress> Neighbors::resolve(PortId port, const IpAddress& address, Time now,
                                             const IpAddress& prompted_by) {
    const Key key{port, address};
    const auto it = entries_.find(key);
    if (it != entries_.end())
        return has_mac(it->second.state) ? std::optional{it->second.mac} : std::nullopt;
    if (port >= ports_.size() || !source_for(key))
        return std::nullopt;
    Entry* entry = make_entry(key, Cause::our_need);
    if (entry == nullptr)
        return std::nullopt;
    if (address.is_v6())
        entry->source = prompted_by;
    ask(key, *entry, std::nullopt);
    enter(key, *entry, State::incomplete, now);
    return std::nullopt;
}

Neighbors::State Neighbors::state(PortId port, const IpAddress& address) const noexcept {
    const auto it = entries_.find({port, address});
    return it == entries_.end() ? State::unknown : it->second.state;
}

std::vector<NeighborTable::Neighbor> Neighbors::resolved() const {
    std::vector<NeighborTable::Neighbor> result;
    result.reserve(entries_.size());
    for (const auto& [key, entry] : entries_) {
        if (has_mac(entry.state))
            result.push_back({key.port, key.address, entry.mac});
    }
    return result;
}

Time Neighbors::next_deadline() const noexcept {
    const Time entry = deadlines_.empty() ? kNever : deadlines_.begin()->first;
    const Time announcement = announcements_.empty() ? kNever : announcements_.begin()->first;
    return std::min(entry, announcement);
}

void Neighbors::tick(Time now) {
    while (!announcements_.empty() && announcements_.begin()->first <= now) {
        const Announcement announcement = announcements_.begin()->second;
        announcements_.erase(announcements_.begin());
        say(announcement, now);
    }
    while (!deadlines_.empty() && deadlines_.begin()->first <= now)
        expire(entries_.find(deadlines_.begin()->second), now);
}

void Neighbors::expire(Entries::iterator it, Time now) {
    const Key& key = it->first;
    Entry& entry = it->second;
    switch (entry.state) {
        case State::incomplete:
            if (entry.nb_asked >= kMaxSolicits)
                return fail(key, entry, now);
            ask(key, entry, std::nullopt);
            return enter(key, entry, State::incomplete, now);
        case State::reachable:
        case State::stale:
            entry.nb_asked = 0;
            [[fallthrough]];
        case State::probe:
            if (entry.nb_asked >= kAllProbes)
                return fail(key, entry, now);
            ask(key, entry,
                entry.nb_asked < kUnicastProbes ? std::optional{entry.mac} : std::nullopt);
            return enter(key, entry, State::probe, now);
        case State::failed:
        case State::unknown:
            break;
    }
    if (!is_gateway(key))
        return erase(it);
    entry.nb_asked = 0;
    ask(key, entry, std::nullopt);
    enter(key, entry, State::incomplete, now);
}

Neighbors::Entry* Neighbors::make_entry(const Key& key, Cause cause) {
    if (nb_entries_[key.port] >= max_entries_per_port_ && !make_room(key.port, cause))
        return nullptr;
    ++nb_entries_[key.port];
    return &entries_[key];
}

// What never answered goes first; its deadlines are short, so it stands in front. Strangers that
// ask us may displace only what strangers said.
bool Neighbors::make_room(PortId port, Cause cause) {
    size_t nb_scanned = 0;
    for (auto it = deadlines_.begin(); it != deadlines_.end() && nb_scanned < kEvictionScan; ++it) {
        if (it->second.port != port)
            continue;
        ++nb_scanned;
        const auto victim = entries_.find(it->second);
        const Entry& entry = victim->second;
        const bool waited_for = entry.state == State::incomplete && cause != Cause::our_need;
        if (entry.confirmed || waited_for || is_gateway(victim->first))
            continue;
        if (entry.state != State::failed)
            events_.push_back({Event::Kind::failed, port, victim->first.address, entry.mac});
        erase(victim);
        return true;
    }
    return false;
}

void Neighbors::erase(Entries::iterator it) {
    if (it->second.deadline != kNever)
        deadlines_.erase({it->second.deadline, it->first});
    if (it->first.port < nb_entries_.size())
        --nb_entries_[it->first.port];
    entries_.erase(it);
}

void Neighbors::set_mac(const Key& key, Entry& entry, const MacAddress& mac, Time now) {
    entry.silent = false;
    const auto kind = has_mac(entry.state) ? Event::Kind::moved : Event::Kind::resolved;
    entry.mac = mac;
    entry.changed = now;
    events_.push_back({kind, key.port, key.address, mac});
}

void Neighbors::enter(const Key& key, Entry& entry, State state, Time now) {
    entry.state = state;
    switch (state) {
        case State::reachable: {
            entry.nb_asked = 0;
            std::uniform_int_distribution<int64_t> spread{kReachable.count() / 2,
                                                          kReachable.count() * 3 / 2};
            return set_deadline(key, entry, now + std::chrono::milliseconds{spread(random_)});
        }
        case State::stale:
            return set_deadline(key, entry, now + kDelayFirstProbe);
        case State::failed:
            return set_deadline(key, entry, now + kRememberFailure);
        case State::incomplete:
        case State::probe:
        case State::unknown:
            return set_deadline(key, entry, now + kRetransmit);
    }
}

void Neighbors::set_deadline(const Key& key, Entry& entry, Time deadline) {
    if (entry.deadline != kNever)
        deadlines_.erase({entry.deadline, key});
    entry.deadline = deadline;
    deadlines_.insert({deadline, key});
}

void Neighbors::ask(const Key& key, Entry& entry, std::optional<MacAddress> mac) {
    ++entry.nb_asked;
    const auto source =
        is_ours(key.port, entry.source) ? std::optional{entry.source} : source_for(key);
    if (source)
        frames_.push_back(
            {key.port, build_question(ports_[key.port].identity, {key.address, *source, mac})});
}

void Neighbors::fail(const Key& key, Entry& entry, Time now) {
    entry.confirmed = false;
    entry.silent = true;
    events_.push_back({Event::Kind::failed, key.port, key.address, entry.mac});
    enter(key, entry, State::failed, now);
}

// Probes for an address of ours, then announces it: twice, as one frame may be lost.
void Neighbors::introduce(PortId port, const IpAddress& address, Time now) {
    say({Announcement::Kind::probe, port, address}, now);
    const Announcement announcement{Announcement::Kind::announce, port, address};
    announcements_.insert({now + kProbeWait, announcement});
    announcements_.insert({now + kProbeWait + kRepeatAnnouncement, announcement});
}

void Neighbors::say(const Announcement& announcement, Time now) {
    const auto& [kind, port, address] = announcement;
    const auto claim = claims_.find({port, address});
    if (!is_ours(port, address)) {
        if (claim != claims_.end())
            claims_.erase(claim);
        return;
    }
    const PortIdentity& identity = ports_[port].identity;
    if (kind == Announcement::Kind::announce) {
        if (claim == claims_.end())
            frames_.push_back({port, build_announcement(identity, address)});
        return;
    }
    if (claim != claims_.end()) {
        if (claim->second.nb_unanswered++ >= kUnansweredProbes) {
            claims_.erase(claim);
            frames_.push_back({port, build_announcement(identity, address)});
            return;
        }
        announcements_.insert({now + kProbeAgain, announcement});
    }
    frames_.push_back({port, build_probe(identity, address)});
}

// Somebody else says that it has an address of ours.
void Neighbors::contest(const Key& key, const MacAddress& mac, Time now) {
    const auto [claim, is_new] = claims_.try_emplace(key);
    claim->second = {.mac = mac};
    if (is_new)
        announcements_.insert(
            {now + kProbeAgain, {Announcement::Kind::probe, key.port, key.address}});
}

std::vector<Neighbors::Conflict> Neighbors::conflicts() const {
    std::vector<Conflict> result;
    for (const auto& [key, claim] : claims_)
        result.push_back({key.port, key.address, claim.mac});
    return result;
}

bool Neighbors::is_silent(PortId port, const IpAddress& address) const noexcept {
    const auto it = entries_.find({port, address});
    return it != entries_.end() && it->second.silent;
}

bool Neighbors::is_ours(PortId port, const IpAddress& address) const noexcept {
    return port < ports_.size() && std::ranges::count(ports_[port].addresses, address) != 0;
}

bool Neighbors::is_on_link(PortId port, const IpAddress& address) const noexcept {
    if (address.is_unspecified())
        return false;
    if (address.is_v6() && address.is_link_local())
        return true;
    return std::ranges::any_of(ports_[port].networks,
                               [&](const Prefix& network) { return network.contains(address); });
}

bool Neighbors::is_gateway(const Key& key) const noexcept {
    return key.port < ports_.size() &&
           std::ranges::count(ports_[key.port].gateways, key.address) != 0;
}

// IPv4: an address of ours in the neighbour's own network, else the first. IPv6: RFC 6724.
std::optional<IpAddress> Neighbors::source_for(const Key& key) const noexcept {
    const Port& port = ports_[key.port];
    if (key.address.is_v4()) {
        for (const Prefix& network : port.networks) {
            if (!network.contains(key.address))
                continue;
            const auto own = std::ranges::find_if(
                port.addresses, [&](const IpAddress& one) { return network.contains(one); });
            if (own != port.addresses.end())
                return *own;
        }
    }
    return choose_source(port.addresses, key.address);
}

}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "control/neighbor/messages.h"
#include "dataplane/api/link.h"
#include "dataplane/api/snapshot.h"

namespace meshgate::control {

// Who is where on the networks of all ports: asks (ARP, neighbour solicitation), answers for our
// own addresses, refreshes what is known before it expires. Bytes and time in, frames and events
// out; the caller sends the frames, keeps the packets that wait, and calls tick() at
// next_deadline().
//
// Own addresses are probed for when they are new and when a link comes up (RFC 5227, RFC 4862), and
// announced when nobody else has them. One that somebody else has stays in use: a gateway without
// its address would cut off everybody behind it, and any host could make it do so. It is defended
// at most every 10 s, and the conflict is reported for as long as it lasts.
//
// The steps of an entry: incomplete (asked, no answer) -> reachable (answered us) -> probe (asked
// again, still used) -> reachable, or failed (remembered for a while, so that nobody asks at the
// rate of the packets). Stale is what we were told without having asked: used, but soon probed.
class Neighbors {
public:
    struct Port {
        PortIdentity identity;
        std::vector<IpAddress> addresses;  // ours; link-local included
        std::vector<Prefix> networks;      // connected
        std::vector<IpAddress> gateways;   // asked for again and again, whatever happens

        bool operator==(const Port& other) const noexcept;
    };
    struct Outgoing {
        PortId port;
        Frame frame;
    };
    struct Event {
        enum class Kind : uint8_t {
            resolved,  // had no MAC address, has one now
            moved,     // another MAC address
            failed,    // does not answer (any more)
            conflict,  // somebody else uses our address
        };
        Kind kind;
        PortId port;
        IpAddress address;
        MacAddress mac;
    };
    enum class State : uint8_t { unknown, incomplete, reachable, stale, probe, failed };

    // `seed` is for jitter only.
    Neighbors(size_t max_entries_per_port, uint32_t seed);

    // Replaces what is known of our ports. Announces addresses that are new, forgets neighbours
    // that no network of their port holds any more.
    void set_ports(std::vector<Port> ports, Time now);
    // The link came up: announces our addresses, asks again for what failed, and whether what
    // answered before still does.
    void link_up(PortId port, Time now);
    void receive(PortId port, std::span<const uint8_t> frame, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;

    // The MAC address when there is one; else asks, unless a question is out or just failed.
    // `prompted_by`: the source of the packet that wants it, which IPv6 asks with when it is our
    // own (RFC 4861, section 7.2.2).
    std::optional<MacAddress> resolve(PortId port, const IpAddress& address, Time now,
                                      const IpAddress& prompted_by = {});
    State state(PortId port, const IpAddress& address) const noexcept;
    // It did not answer the last time it was asked to the end; holds until it does.
    bool is_silent(PortId port, const IpAddress& address) const noexcept;
    // All that have a MAC address, on any port.
    std::vector<NeighborTable::Neighbor> resolved() const;
    size_t size() const noexcept { return entries_.size(); }

    // Addresses of ours that somebody else claims too, and who; holds until nobody answers probes
    // for them any more.
    struct Conflict {
        PortId port;
        IpAddress address;
        MacAddress mac;
    };
    std::vector<Conflict> conflicts() const;

    std::vector<Outgoing> take_frames() { return std::exchange(frames_, {}); }
    std::vector<Event> take_events() { return std::exchange(events_, {}); }

private:
    struct Key {
        PortId port;
        IpAddress address;
        auto operator<=>(const Key&) const = default;
    };
    struct KeyHash {
        size_t operator()(const Key& key) const noexcept;
    };
    struct Entry {
        State state = State::unknown;
        MacAddress mac;
        Time deadline = kNever;
        Time changed{};          // when `mac` was last set
        bool confirmed = false;  // answered a question of ours at least once
        bool silent = false;     // did not answer the last round of questions
        unsigned nb_asked = 0;   // questions since the last answer
        IpAddress source{};      // of the questions, where a packet of ours prompted them
    };
    // What is to be said of an own address, and when.
    struct Announcement {
        enum class Kind : uint8_t { announce, probe } kind;
        PortId port;
        IpAddress address;
    };
    struct Claim {
        MacAddress mac;
        unsigned nb_unanswered = 0;  // probes since
    };
    enum class Cause : uint8_t { our_need, their_question };
    using Entries = std::unordered_map<Key, Entry, KeyHash>;

    void receive_question(PortId port, const NeighborMessage& message, Time now);
    void receive_answer(PortId port, const NeighborMessage& message, Time now);
    void learn(const Key& key, const MacAddress& mac, Time now);
    void take_answer(Entries::iterator it, const NeighborMessage& message, bool solicited,
                     Time now);
    void defend(PortId port, const NeighborMessage& message, Time now);

    Entry* make_entry(const Key& key, Cause cause);
    bool make_room(PortId port, Cause cause);
    void erase(Entries::iterator it);
    void set_mac(const Key& key, Entry& entry, const MacAddress& mac, Time now);
    void ask_again_soon(const Key& key, Entry& entry, Time now);
    void enter(const Key& key, Entry& entry, State state, Time now);
    void set_deadline(const Key& key, Entry& entry, Time deadline);
    void expire(Entries::iterator it, Time now);
    void ask(const Key& key, Entry& entry, std::optional<MacAddress> mac);
    void fail(const Key& key, Entry& entry, Time now);
    void introduce(PortId port, const IpAddress& address, Time now);
    void say(const Announcement& announcement, Time now);
    void contest(const Key& key, const MacAddress& mac, Time now);

    bool is_ours(PortId port, const IpAddress& address) const noexcept;
    bool is_on_link(PortId port, const IpAddress& address) const noexcept;
    bool is_gateway(const Key& key) const noexcept;
    std::optional<IpAddress> source_for(const Key& key) const noexcept;

    size_t max_entries_per_port_;
    std::minstd_rand random_;  // jitter only
    std::vector<Port> ports_;
    std::vector<size_t> nb_entries_;  // by port
    std::vector<Time> defended_;      // by port: when last
    Entries entries_;
    std::set<std::pair<Time, Key>> deadlines_;
    std::multimap<Time, Announcement> announcements_;
    std::map<Key, Claim> claims_;  // of others, to our addresses
    std::vector<Outgoing> frames_;
    std::vector<Event> events_;
};

}  // namespace meshgate::control

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
    // The link came up: announces our addresses, asks anew for what failed.
    void link_up(PortId port, Time now);
    void receive(PortId port, std::span<const uint8_t> frame, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;

    // The MAC address when there is one; else asks, unless a question is out or just failed.
    std::optional<MacAddress> resolve(PortId port, const IpAddress& address, Time now);
    State state(PortId port, const IpAddress& address) const noexcept;
    // All that have a MAC address, on any port.
    std::vector<NeighborTable::Neighbor> resolved() const;
    size_t size() const noexcept { return entries_.size(); }

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
        unsigned nb_asked = 0;   // questions since the last answer
    };
    struct Announcement {
        PortId port;
        IpAddress address;
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
    void enter(const Key& key, Entry& entry, State state, Time now);
    void set_deadline(const Key& key, Entry& entry, Time deadline);
    void expire(Entries::iterator it, Time now);
    void ask(const Key& key, Entry& entry, std::optional<MacAddress> mac);
    void fail(const Key& key, Entry& entry, Time now);
    void announce(PortId port, const IpAddress& address, Time now);

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
    std::vector<Outgoing> frames_;
    std::vector<Event> events_;
};

}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "control/mesh/members/route_lookup.h"
#include "control/mesh/protocol/messages.h"
#include "dataplane/api/link.h"

namespace meshgate::mesh {

// An entry lives this long unless its owner asks again, which owners do each refresh interval, up
// to a quarter early so that a thousand of them do not ask at once.
constexpr auto kRelayLifetime = std::chrono::seconds{180};
constexpr auto kRelayRefresh = std::chrono::seconds{60};      // the refresh interval
constexpr auto kRelayRetry = std::chrono::milliseconds{300};  // between requests without an answer
constexpr unsigned kRelayTries = 5;                           // then the relay counts as silent
// What is not needed any more is closed a little after the datagrams have gone another way.
constexpr auto kRelayCloseDelay = std::chrono::milliseconds{500};

// The dataplane's relay entries.
class RelayEntries {
public:
    virtual ~RelayEntries() = default;
    // False: the index is in use, be it by a keypair of ours, or there is no room.
    virtual bool install(uint32_t index, LinkId link) = 0;
    virtual void move(uint32_t index, LinkId link) = 0;
    virtual void remove(uint32_t index) = 0;
};

struct RelayOptions {
    IpAddress self;                         // our node address
    size_t max_entries_per_member = 4096;   // that it asked us for
    size_t max_entries_per_relay = 65'536;  // the same for relays, who ask for others too
    size_t max_entries = 262'144;
};

struct RelayMember {
    IpAddress node;
    bool relay = false;
};

// What becomes of an index that we opened for a session of our own.
struct RelayChange {
    enum class Kind : uint8_t {
        open,     // send by `next_hop` from now on; comes again when the way changes
        refused,  // `answer` says why. Asked again by itself, slower and slower, until closed;
                  // refused_index_taken calls for a handshake, for another index.
        lost,     // no way to the target any more: do not send
    };
    uint32_t index = 0;
    IpAddress target;
    Kind kind = Kind::open;
    NextHop next_hop;                            // open
    RelayAnswer answer = RelayAnswer::accepted;  // refused

    bool operator==(const RelayChange&) const = default;
};

struct RelayEntryView {
    uint32_t index = 0;
    IpAddress target;
    bool own = false;                 // for a session of ours
    std::vector<IpAddress> owners;    // members that we forward it for
    std::optional<NextHop> next_hop;  // in use
    bool confirmed = false;           // the next hop of it has accepted
    bool asking = false;              // the next hop has not answered yet
    Time expires = kNever;            // of the owner who stays longest; own: never
};

enum class RelayCounter : uint8_t {
    opens_received,
    opens_accepted,  // this and the next: answers that we gave
    refused_index_taken,
    refused_not_member,
    refused_cap,
    refused_no_way,
    refused_not_relay,
    from_strangers,   // sender is no member: no answer, no state
    over_rate,        // dropped: more than a member may ask in a second
    closes_refused,   // from somebody who neither asked for it nor forwards it
    replies_unasked,  // answer nothing that we asked
    asks_sent,        // RelayOpen sent, repetitions included
    asks_given_up,    // no answer to five
    entries_expired,  // their owner did not refresh them
    nb_counters,
};
constexpr size_t kNbRelayCounters = static_cast<size_t>(RelayCounter::nb_counters);
const char* to_string(RelayCounter counter) noexcept;

// Relaying by receiver index, both sides of it. Of our own sessions it asks the next hop to forward
// what we send; for other members it enters their indices into the dataplane, after it has asked on
// when the target is behind another relay. One table serves both, because an index that goes to the
// same target is the same forwarding, whoever sends it.
//
// What keeps it sound with members that lie:
// - An index goes to one target. Who asks for another is refused, so nobody can move or close what
//   somebody else asked for; asking for the same only keeps it.
// - That holds for the target too, when it is a relay itself: it is asked before anything is
//   forwarded to it, and keeps an entry that ends there. Otherwise a member could have two relays
//   forward one index each to the other.
// - "Accepted" is said when datagrams can go the whole way, by the way that is right now.
// - A way that leads back to who asks is refused; a box that becomes our next hop is no longer an
//   owner. Nothing is sent to, or kept for, who is no member.
//
// The owner of this object: after any call, or a batch of calls, send take_messages(), apply
// take_changes(); call tick() at next_deadline(). `routes` and `entries` outlive it; `entries` is
// called from inside, `routes` is asked, and neither may call back.
class RelayTable {
public:
    RelayTable(const RelayOptions& options, const RouteLookup& routes, RelayEntries& entries);
    RelayTable(const RelayTable&) = delete;
    RelayTable& operator=(const RelayTable&) = delete;

    // Everybody in the network file, with or without ourselves. What belongs to those who are gone
    // goes at once.
    void set_members(std::span<const RelayMember> members, Time now);
    // A relay that stops serving (drained) refuses what is new and what is refreshed; what is there
    // is forwarded until its owners have moved it, or it expires.
    void set_serving(bool serving) noexcept { serving_ = serving; }

    // ---- our own sessions ----
    // `index`: the receiver index that we send with, chosen by `target`. Before the first datagram
    // with a new keypair leaves by a relay; also fine when the way is direct.
    void open(uint32_t index, const IpAddress& target, Time now);
    void close(uint32_t index, Time now);
    // End-to-end silence: asks along the way again, at once, keeping what there is. A relay that
    // has restarted enters it again.
    void recheck(uint32_t index, Time now);
    // The next hop has restarted: the same for all that goes by it.
    void recheck_next_hop(const IpAddress& next_hop, Time now);

    // ---- events ----
    // RouteLookup::next_hop_to(target) answers otherwise than before, in link or next hop.
    void on_next_hop_changed(const IpAddress& target, Time now);
    // Before Dataplane::remove_link: nothing refers to the link afterwards.
    void on_link_gone(LinkId link, Time now);
    // `from`: the peer whose session it came in.
    void receive(const IpAddress& from, const RelayOpen& open, Time now);
    void receive(const IpAddress& from, const RelayReply& reply, Time now);
    void receive(const IpAddress& from, const RelayClose& close, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;

    // ---- what came out; each call empties it ----
    std::vector<Outgoing> take_messages();
    std::vector<RelayChange> take_changes();

    // ---- views ----
    // The way in use of an index of ours; nothing while there is none.
    std::optional<NextHop> next_hop_of(uint32_t index) const;
    std::vector<RelayEntryView> entries() const;
    size_t nb_entries() const noexcept { return table_.size(); }
    uint64_t counter(RelayCounter counter) const noexcept {
        return counters_[static_cast<size_t>(counter)];
    }

private:
    // Before the same index is asked for again because an end met silence.
    static constexpr auto kMinRecheck = std::chrono::milliseconds{200};
    // The same, where an owner asked again.
    static constexpr auto kMinPassedOn = std::chrono::seconds{1};
    static constexpr double kAsksPerSecond = 10'000;  // requests that this box sends
    static constexpr double kAsksAtOnce = 1024;       // burst of the rate above

    struct Member {
        bool relay;
        size_t max_owned;
        size_t nb_owned = 0;  // entries that it owns
        TokenBucket requests;
    };
    struct Owner {
        IpAddress node;
        Time expires;
        std::optional<uint32_t> request;  // not answered yet
    };
    struct Ask {
        NextHop next_hop;
        uint32_t request;
        unsigned nb_tries;
        Time next;  // kNever while it waits in waiting_asks_
    };
    struct Entry {
        IpAddress target;
        bool own = false;
        std::vector<Owner> owners;        // at most kMaxOwners
        std::optional<NextHop> next_hop;  // in use
        bool confirmed_hop = false;  // the next hop of `next_hop` has accepted, and keeps it for us
        std::optional<LinkId> installed;
        std::optional<Ask> ask;
        uint32_t last_request = 0;
        Time last_asked{};
        Time confirmed{};  // when the next hop last accepted
        unsigned nb_failures = 0;
        Time retry = kNever;  // after a failure
        Time due = kNever;    // as it stands in due_
    };
    struct DelayedClose {
        Time at;
        IpAddress to;
        uint32_t index;
    };

    Member* member(const IpAddress& node);
    std::optional<NextHop> usable_next_hop(const IpAddress& target) const;
    Entry* find(uint32_t index);
    Entry& create(uint32_t index, const IpAddress& target);
    static Owner* owner_in(Entry& entry, const IpAddress& node);
    static bool is_wanted(const Entry& entry) { return entry.own || !entry.owners.empty(); }
    bool ends_here(const Entry& entry) const { return entry.target == options_.self; }
    bool must_ask(const Entry& entry, const NextHop& next_hop) const;
    bool is_agreed(const Entry& entry) const {
        return entry.next_hop && (entry.confirmed_hop || !must_ask(entry, *entry.next_hop));
    }
    std::optional<RelayAnswer> refusal(const IpAddress& from, const RelayOpen& open);
    Owner& add_owner(Entry& entry, const IpAddress& node);
    void drop_owner(Entry& entry, const IpAddress& node);
    void drop_owners(uint32_t index, Entry& entry, RelayAnswer reason);

    void settle(uint32_t index, Entry& entry, Time now);
    enum class Hop : uint8_t { confirmed, not_asked };
    void adopt(uint32_t index, Entry& entry, const NextHop& next_hop, Hop hop, Time now);
    void withdraw(uint32_t index, Entry& entry);
    void sync(uint32_t index, Entry& entry);
    void ask(uint32_t index, Entry& entry, const NextHop& next_hop, Time now);
    void send_ask(uint32_t index, Entry& entry, Time now);
    void cancel_ask(uint32_t index, Entry& entry);
    void on_accepted(uint32_t index, Entry& entry, Time now);
    void on_refused(uint32_t index, Entry& entry, RelayAnswer reason, Time now);
    void on_refused_by_target(uint32_t index, Entry& entry, RelayAnswer reason, Time now);
    void on_silence(uint32_t index, Entry& entry, Time now);
    static void set_back(Entry& entry, Time now);
    void refresh(uint32_t index, Entry& entry, Time::duration min_age, Time now);
    static Time next_ask(uint32_t index, const Entry& entry);
    void on_due(uint32_t index, Entry& entry, Time now);
    void finish(uint32_t index, Time now);
    void erase(uint32_t index);
    void close_delayed(Time now);
    void send_waiting(Time now);
    bool is_waiting(const std::pair<uint32_t, uint32_t>& index_and_request);
    bool forget_non_members(uint32_t index, Entry& entry);

    void answer(uint32_t index, const IpAddress& to, uint32_t request, RelayAnswer reason);
    void answer_waiting(uint32_t index, Entry& entry, RelayAnswer reason);
    void tell(uint32_t index, const Entry& entry, RelayChange::Kind kind,
              RelayAnswer reason = RelayAnswer::accepted);
    void send(const IpAddress& to, Message message);
    void count(RelayCounter counter) noexcept { ++counters_[static_cast<size_t>(counter)]; }

    RelayOptions options_;
    const RouteLookup& routes_;
    RelayEntries& entries_;
    bool serving_ = false;
    std::map<IpAddress, Member> members_;
    std::unordered_map<uint32_t, Entry> table_;
    std::map<IpAddress, std::set<uint32_t>> by_target_;
    std::set<std::pair<Time, uint32_t>> due_;
    std::deque<DelayedClose> delayed_closes_;
    size_t nb_owned_ = 0;  // of all members
    TokenBucket asks_;
    std::deque<std::pair<uint32_t, uint32_t>> waiting_asks_;  // index, request; some are over
    Time next_waiting_ = kNever;
    uint32_t next_request_ = 1;
    std::vector<Outgoing> messages_;
    std::vector<RelayChange> changes_;
    std::array<uint64_t, kNbRelayCounters> counters_{};
};

}  // namespace meshgate::mesh

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/keys.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "control/mesh/relays/relay_table.h"
#include "control/wireguard/primitives.h"

namespace meshgate::mesh {

constexpr auto kPublishedHandshake = std::chrono::seconds{5};   // how long an answer may take
constexpr auto kPublishedLifetime = std::chrono::seconds{180};  // as long as a session
constexpr size_t kMaxPublished = 64;  // members that one relay serves; the others are not

struct PublishedMember {
    IpAddress node;
    PublicKey key;
};

// Where a client's datagram came from and where it arrived: an answer goes the same way back.
struct ClientAddress {
    Endpoint remote;
    Endpoint local;
    PortId port = kNoPort;

    auto operator<=>(const ClientAddress&) const = default;
};

// Links to clients, in the same table as links to members.
class ClientLinks {
public:
    virtual ~ClientLinks() = default;
    virtual LinkId open(const ClientAddress& client) = 0;  // kNoLink: no room, no next hop
    virtual void close(LinkId link) = 0;
};

// A handshake message to be sent from our WireGuard port as it is.
struct RelayedClientsDatagram {
    std::optional<LinkId> link;  // to a member; else to the client
    ClientAddress client;
    std::vector<uint8_t> bytes;
};

enum class RelayedClientsCounter : uint8_t {
    initiations_forwarded,
    answers_forwarded,  // responses and cookie replies
    sessions,           // entries made, for both directions
    not_for_us,         // of no published member, or an answer that nobody waits for
    no_link,            // the member is not reached directly
    over_rate,          // more handshakes than a member, an address or all may have
    table_full,
    index_taken,     // by another session; the client will choose another one
    over_budget,     // an answer longer than what was asked with
    refused_source,  // an address that no client can have, or a member's
    nb_counters,
};
constexpr size_t kNbRelayedClientsCounters =
    static_cast<size_t>(RelayedClientsCounter::nb_counters);
const char* to_string(RelayedClientsCounter counter) noexcept;

// At a relay: lets stock WireGuard clients reach members that name this relay in `published`. An
// initiation says by its mac1 whom it is for, without any key that could read it. It goes to the
// member by its link, the answer back to who asked, and then relay entries carry the session in
// both directions: what the client sends by the member's index, what the member sends by the
// client's.
//
// Nobody here is authenticated; so nothing is sent to an address that has not asked in the last
// five seconds, no answer is longer than what was asked with, and tables and rates are bounded per
// member and per address.
//
// The owner: pass on handshake datagrams that the WireGuard device refused for their mac1 or their
// index, never others; send take_datagrams(); call tick() at next_deadline(). `routes`, `entries`
// and `links` outlive it.
class RelayedClients {
public:
    RelayedClients(const RouteLookup& routes, RelayEntries& entries, ClientLinks& links);
    ~RelayedClients();
    RelayedClients(const RelayedClients&) = delete;
    RelayedClients& operator=(const RelayedClients&) = delete;

    // The members that name us. At most kMaxPublished; the others are not served. Sessions of those
    // that are gone end.
    void set_published(std::span<const PublishedMember> members);
    void on_next_hop_changed(const IpAddress& member);
    // Before Dataplane::remove_link.
    void on_link_gone(LinkId link);

    // `member`: whose link has the datagram's outer endpoints, if any.
    void receive(std::span<const uint8_t> datagram, const ClientAddress& source,
                 const std::optional<IpAddress>& member, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;

    std::vector<RelayedClientsDatagram> take_datagrams();

    size_t nb_waiting() const noexcept { return waiting_.size(); }
    size_t nb_sessions() const noexcept { return sessions_.size(); }
    uint64_t counter(RelayedClientsCounter counter) const noexcept {
        return counters_[static_cast<size_t>(counter)];
    }

private:
    struct Member {
        IpAddress node;
        wireguard::Hash mac1_key;
        TokenBucket handshakes;
        size_t nb_sessions = 0;
    };
    struct Waiting {
        IpAddress member;
        ClientAddress client;
        size_t budget;  // bytes that may go back
        Time expires;
    };
    struct Session {
        IpAddress member;
        uint32_t member_index;
        LinkId member_link;
        ClientAddress client;
        Time expires;
    };
    struct ClientLink {
        LinkId link;
        size_t nb_sessions;
    };

    Member* member_with_mac1(std::span<const uint8_t> initiation);
    Member* member_at(const IpAddress& node);
    std::optional<LinkId> link_to(const IpAddress& member) const;
    void receive_initiation(std::span<const uint8_t> message, const ClientAddress& source,
                            Time now);
    void receive_answer(std::span<const uint8_t> message, const IpAddress& member, Time now);
    bool make_session(uint32_t client_index, uint32_t member_index, const Waiting& waiting,
                      Time now);
    std::optional<LinkId> hold_client_link(const ClientAddress& client);
    void release_client_link(const ClientAddress& client);
    void forget_waiting(uint32_t client_index);
    bool follow_way(Session& session);
    void end_session(uint32_t client_index);
    template <typename Condition>
    void end_sessions_if(Condition condition);
    void count(RelayedClientsCounter counter) noexcept {
        ++counters_[static_cast<size_t>(counter)];
    }

    const RouteLookup& routes_;
    RelayEntries& entries_;
    ClientLinks& links_;
    std::vector<Member> members_;
    TokenBucket examined_;
    std::unordered_map<uint32_t, Waiting> waiting_;   // by the client's index
    std::map<IpAddress, size_t> nb_waiting_of_;       // by the client's address
    std::unordered_map<uint32_t, Session> sessions_;  // by the client's index
    std::map<ClientAddress, ClientLink> client_links_;
    // Each with a lifetime of its own, so in the order of expiry.
    std::deque<std::pair<Time, uint32_t>> waiting_order_;
    std::deque<std::pair<Time, uint32_t>> session_order_;
    std::vector<RelayedClientsDatagram> datagrams_;
    std::array<uint64_t, kNbRelayedClientsCounters> counters_{};
};

}  // namespace meshgate::mesh

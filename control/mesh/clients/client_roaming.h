// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/keys.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "control/mesh/members/route_lookup.h"
#include "control/mesh/protocol/messages.h"

namespace meshgate::mesh {

using ClientTimestamp = std::array<uint8_t, 12>;  // TAI64N, as in a WireGuard initiation

constexpr auto kClientRefresh = std::chrono::seconds{60};  // a box says again which clients it has
// Without a refresh the client is nowhere.
constexpr auto kClientLifetime = std::chrono::seconds{180};

struct ClientRule {
    PublicKey key;
    std::vector<IpAddress> boxes;  // node addresses where it may connect; empty: at any member
};

// A client is at another box than before, or at none.
struct ClientChange {
    PublicKey key;
    std::optional<IpAddress> box;

    bool operator==(const ClientChange&) const = default;
};

enum class ClientCounter : uint8_t {
    entries_received,
    entries_sent,
    unknown_client,
    box_not_allowed,  // no member, or the client may not connect there
    not_by_its_way,   // a neighbour spoke for a box that is not reached over it
    over_rate,
    from_strangers,
    nb_counters,
};
constexpr size_t kNbClientCounters = static_cast<size_t>(ClientCounter::nb_counters);
const char* to_string(ClientCounter counter) noexcept;

// Which client of the network file is at which box. The handshake with the greatest timestamp wins:
// clients write those, and only ever greater ones. Each box says which clients it has, at once and
// each minute; neighbours pass on what is new. What a box said is forgotten after three minutes,
// counted from when it said so, however many boxes passed it on.
//
// Of a box only itself is believed, or the neighbour over which it is reached: another member could
// send a client's traffic astray only where it could drop it anyway. What a member says of itself
// is believed as far as the network file lets clients connect there.
//
// The owner: pass on what neighbours send, and handshakes and ends of sessions with clients of the
// network file; after any call send take_messages() and apply take_changes(); call tick() at
// next_deadline(). `routes` outlives it.
class ClientRoaming {
public:
    ClientRoaming(const IpAddress& self, const RouteLookup& routes)
        : self_{self}, routes_{routes} {}

    // What the network file says. What it no longer allows is forgotten at once.
    void set_network(std::span<const ClientRule> clients, std::span<const IpAddress> members,
                     Time now);
    // Members with a working link. A new one is told everything, a little at a time; one that is
    // there already, once more.
    void add_neighbor(const IpAddress& node, Time now);
    void remove_neighbor(const IpAddress& node);

    // The client has a session here, by an initiation with this timestamp (again with each).
    void here(const PublicKey& key, const ClientTimestamp& timestamp, Time now);
    // It has none any more.
    void gone(const PublicKey& key, Time now);

    void receive(const IpAddress& from, const ClientAt& said, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;

    std::vector<Outgoing> take_messages(Time now);
    std::vector<ClientChange> take_changes();

    std::optional<IpAddress> box_of(const PublicKey& key) const;
    size_t nb_claims() const noexcept;
    uint64_t counter(ClientCounter counter) const noexcept {
        return counters_[static_cast<size_t>(counter)];
    }

private:
    // That a client is at a box.
    struct Claim {
        ClientTimestamp timestamp{};
        uint32_t refresh = 0;
        bool gone = false;
        Time said;
    };
    struct Client {
        std::vector<IpAddress> boxes;
        std::map<IpAddress, Claim> claims;  // by box; at most kMaxClaims
        std::optional<IpAddress> box;       // as told last
    };
    struct Neighbor {
        TokenBucket entries;
        std::optional<PublicKey> told_from;  // everything from this client on is still to be told
    };
    struct News {
        PublicKey key;
        IpAddress box;

        auto operator<=>(const News&) const = default;
    };

    bool may_be_at(const Client& client, const IpAddress& box) const;
    bool is_believed(const IpAddress& from, const IpAddress& box) const;
    void receive_entry(const IpAddress& from, const ClientAt::Entry& entry, Time now);
    void announce(const PublicKey& key, Client& client, Time now);
    void update(const PublicKey& key, Client& client);
    bool is_outdated(const IpAddress& box, const Claim& claim, Time now) const;
    ClientAt::Entry entry_of(const News& news, const Claim& claim, Time now) const;
    void send(const IpAddress& to, std::vector<ClientAt::Entry> entries);
    void tell_more(const IpAddress& to, Neighbor& neighbor, Time now);
    void tell_news(Time now);
    void look_over(Time now);
    void count(ClientCounter counter, uint64_t more = 1) noexcept {
        counters_[static_cast<size_t>(counter)] += more;
    }

    IpAddress self_;
    const RouteLookup& routes_;
    std::map<PublicKey, Client> roaming_;
    std::vector<IpAddress> members_;  // sorted
    std::map<IpAddress, Neighbor> neighbors_;
    std::map<News, IpAddress> news_;  // to be passed on, and who said it
    Time next_look_ = kNever;
    Time next_telling_ = kNever;
    std::vector<Outgoing> messages_;
    std::vector<ClientChange> changes_;
    std::array<uint64_t, kNbClientCounters> counters_{};
};

}  // namespace meshgate::mesh

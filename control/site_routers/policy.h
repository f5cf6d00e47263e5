// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/babel/speaker.h"
#include "dataplane/api/link.h"

namespace meshgate::control::site_routers {

// Why a prefix may not come from a router.
struct Refusal {
    enum class Kind : uint8_t {
        not_accepted,  // `accept` of the box file does not hold it
        own_address,
        node_prefix,  // node addresses are of the mesh alone
        peer,         // another stock peer's allowed_ips
        member,       // of the network
        client,
    };
    Kind kind = Kind::not_accepted;
    std::string owner;  // peer, member, client

    bool operator==(const Refusal&) const = default;
};
// "it is member munich's"
std::string to_string(const Refusal& refusal);

// The first half of a box's router-id, by which the boxes of its network know it when several of
// them speak with the routers of one site. The other half is random at each start. Whoever copies
// it gains that his announcements are refused without an alarm.
using RouterMark = std::array<uint8_t, 4>;
RouterMark router_mark(const IpAddress& node_address);

// What may pass between this box and routers that are no Meshgate. The Speaker asks for each prefix
// of each Update, before anything of it enters a table.
class Policy final : public babel::Policy {
public:
    struct Filter {
        std::vector<Prefix> accept;
        std::optional<std::vector<Prefix>> announce;  // none: everything
        PeerId peer = kNoPeer;                        // in whose tunnel it is

        bool operator==(const Filter&) const = default;
    };
    // A prefix that is somebody's: nobody else may announce it, or a part of it. A default prefix
    // is what is left over, and nobody's.
    struct Claim {
        Prefix prefix;
        Refusal::Kind kind = Refusal::Kind::peer;
        std::string owner;
        PeerId peer = kNoPeer;  // kind peer: may announce it himself

        bool operator==(const Claim&) const = default;
    };
    // What is not for others to announce.
    struct Ownership {
        std::vector<IpAddress> own_addresses;
        std::optional<Prefix> node_prefix;
        std::vector<Claim> claims;
        std::set<RouterMark> boxes;  // of the network, this one too: it may have been restarted

        bool operator==(const Ownership&) const = default;
    };

    void set_filter(babel::InterfaceId interface, Filter filter);
    void remove_filter(babel::InterfaceId interface);
    // False when it is what was set before.
    bool set_ownership(Ownership ownership);
    // Which of our own announcements lead to a peer: he is not told of them.
    void set_leads_to(std::map<Prefix, PeerId> leads_to) { leads_to_ = std::move(leads_to); }

    // Empty when the prefix may come in there.
    std::optional<Refusal> refusal(babel::InterfaceId interface, const Prefix& prefix) const;

    bool may_announce(const babel::NeighborId& neighbor, const Prefix& prefix) const override;
    bool is_of_our_network(const babel::RouterId& originator) const override;
    bool may_export(babel::InterfaceId interface, const Prefix& prefix, bool own) const override;

private:
    const Claim* claim_on(const Prefix& prefix, PeerId peer) const;

    std::map<babel::InterfaceId, Filter> filters_;
    Ownership ownership_;
    std::multimap<Prefix, Claim> claims_;  // of ownership_, those that count
    std::set<uint8_t> claim_lens_;         // theirs, so that few look-ups do
    std::map<Prefix, PeerId> leads_to_;
};

}  // namespace meshgate::control::site_routers

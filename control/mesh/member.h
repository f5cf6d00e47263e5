// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/token_bucket.h"
#include "config/network.h"
#include "control/underlay/links.h"

namespace meshgate::mesh {

using control::LinkKey;
using control::UnderlayPort;

// How we came to know a link.
enum class LinkOrigin : uint8_t {
    network_file,  // an endpoint of the member in the network file
    heard,         // the member's own probes came from there
    candidate,     // the member said that it may be reached there
};
const char* to_string(LinkOrigin origin) noexcept;  // "network file"

// A link of a member, with what is known besides its measurements, which are the Babel speaker's.
struct MemberLink {
    LinkId id = kNoLink;
    LinkOrigin origin = LinkOrigin::network_file;
    Time added{};
    Time fresh_until{};         // it is new, or came back: has to prove itself, fast
    std::optional<Time> heard;  // last Babel packet by this link
    bool probed = false;        // the speaker has an interface of this number
    Time::duration interval{};
    uint64_t nb_relayed = 0;          // as counted when last looked at
    std::optional<Time> relayed_at;   // when it last grew
    Time next_seen{};                 // when to tell again where we see them
    std::optional<Endpoint> seen_as;  // where they see us by this link
};

// How a member's datagrams travel: by a link to `hop`, which is the member itself or a relay.
struct Steering {
    LinkId link = kNoLink;
    IpAddress hop;  // node address
    uint16_t metric = 0;

    bool same_way(const Steering& other) const noexcept {
        return link == other.link && hop == other.hop;
    }
};

// What size gets through by the way in force, where that goes by relays (mesh_sounding.cc).
struct Sounding {
    uint16_t mtu_bytes = UINT16_MAX;  // in force; no more than what our own link takes anyway
    uint16_t best = 0;                // largest that was answered since the sounding began
    unsigned nb_rounds = 0;
    uint32_t next_id = 0;
    std::map<uint32_t, uint16_t> sent;  // by the probe's id
    Time next{};
};

// Another box of the network, as we know it. Ourselves are not among them.
struct Member {
    config::Member info;
    IpAddress node;
    IpAddress link_local;
    PeerId peer = kNoPeer;
    std::map<LinkKey, MemberLink> links;
    uint64_t network_version = 0;         // that it told us; 0: none yet
    TokenBucket control_rate{500, 1000};  // messages from it

    // Traffic of users, which is what the packet path counted less what we sent and received.
    uint64_t control_tx = 0, control_rx = 0;
    uint64_t user_tx = 0, user_rx = 0;
    uint64_t data_tx_tsc = 0, data_rx_tsc = 0;
    std::optional<Time> last_user;

    // Path
    std::optional<Steering> steering;  // in force
    Time steered_at{};
    std::optional<Time> lost_at;            // the way in force has failed and there is no other
    std::map<uint32_t, uint32_t> keypairs;  // local index -> remote index, all that live
    bool held = false;                      // a session waits for a path before it may send
    uint32_t held_local = 0;                // which; also the one that was used last
    Time held_until{};
    std::optional<Steering> told_way;  // the best way when those who relay were last told
    // A handshake message came by this link: good enough until the probes know better.
    std::optional<LinkKey> greeted_by;
    Time greeted_until{};
    Time next_greeting{};
    bool greeted = false;

    // End-to-end probes over relays
    uint32_t probe_id = 0;
    unsigned nb_unanswered = 0;
    std::optional<Time> probe_sent;
    std::optional<Time> next_probe;
    std::optional<double> path_rtt_ms;
    struct Suspicion {
        Time until{};
        unsigned nb_times = 0;
        bool active = false;
    };
    std::map<IpAddress, Suspicion> suspected;  // relays that forwarded nothing
    Sounding sounding;

    // NAT
    Time next_candidates{};
    unsigned nb_candidate_rounds = 0;
    TokenBucket candidate_rate{0.5, 5};  // messages with its endpoints

    bool has_session() const noexcept { return !keypairs.empty(); }
};

}  // namespace meshgate::mesh

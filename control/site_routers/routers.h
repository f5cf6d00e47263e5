// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "config/key_file.h"
#include "config/model.h"
#include "control/babel/speaker.h"
#include "control/log/log.h"
#include "control/neighbor/neighbors.h"
#include "control/routing/rib.h"
#include "control/site_routers/policy.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control::site_routers {

// By the name of the file; read before anything is changed.
using MacSecrets = std::map<std::string, config::MacSecret>;

// Where Babel is spoken: an entry of the box file, as it stands on this box.
struct Place {
    std::string name;              // of the port or the peer
    PortId port = kNoPort;         // a lan port, or
    PeerId peer = kNoPeer;         // a stock peer's tunnel
    PortIdentity identity;         // of the port
    bool up = true;                // the port's link
    std::vector<Prefix> networks;  // connected to the port: whose hosts answer ARP
    babel::InterfaceOptions options;
    Policy::Filter filter;
    std::string key_file;  // empty: in clear
    config::MacAlgorithm key_algorithm = config::MacAlgorithm::hmac_sha256;
    std::array<uint8_t, 16> key_tag{};

    babel::InterfaceId id() const noexcept;
};

// What the entries of the box file come to. `find_peer`: none for one that is not there.
struct PlaceParts {
    const config::Model& model;
    std::span<const MacAddress> macs;               // by port
    std::span<const uint64_t> links_down_since_ns;  // by port; 0: up
    std::function<PeerId(const PublicKey&)> find_peer;
};
std::vector<Place> places_of(const PlaceParts& parts);

// Speaks Babel with routers that are no Meshgate: on lan ports in clear, and inside the tunnels of
// stock peers. What they announce, as far as the policy allows, becomes routes of the box; they are
// told what the box reaches.
class Routers {
public:
    struct Parts {
        Dataplane& dataplane;  // all outlive this
        Neighbors& neighbors;
        Log& log;
        babel::FillRandom fill_random;
        std::optional<RouterMark> mark = {};  // of a member of a network
    };
    explicit Routers(Parts parts);

    // ---- configuration ----
    // Entries that did not change keep their neighbours and routes. `secrets`: new ones; those
    // known by name stay.
    void set_places(std::vector<Place> places, MacSecrets&& secrets, Time now);
    void set_ownership(Policy::Ownership ownership, Time now);
    // What the box reaches without Babel: what others are told.
    void set_own_routes(std::span<const RibRoute> rib, Time now);

    // ---- events ----
    bool takes(const PacketInfo& info) const;
    void receive(const Packet& packet, Time now);
    void tick(Time now);
    Time next_deadline() const noexcept;
    // Retracts everything we announced, and says nothing after it; while workers still run.
    void shutdown();

    // True once after routes() changed.
    bool take_changed() noexcept { return std::exchange(changed_, false); }
    std::vector<RibRoute> routes() const;
    size_t nb_routes() const noexcept { return learned_.size(); }

    // ---- views ----
    struct Refused {
        uint64_t total = 0;
        Prefix last;
        std::string reason;
    };
    struct PlaceView {
        const Place& place;
        Refused refused;
    };
    std::vector<PlaceView> places() const;
    const babel::Speaker& speaker() const noexcept { return speaker_; }
    const std::map<Prefix, babel::RouteChange>& learned() const noexcept { return learned_; }
    // By what they are about; sums over all places.
    const std::map<Refusal::Kind, uint64_t>& nb_refused() const noexcept { return nb_refused_; }

private:
    struct Active {
        Place place;
        bool running = false;
        Refused refused;
        std::map<IpAddress, MacAddress> macs;  // whom we heard, where the neighbour table is silent
    };

    void start(Active& active, Time now);
    void stop(Active& active, Time now);
    void change(Active& active, Place place, Time now);
    void retract(const Place& before, const Place& after, Time now);
    // Sends and books what the speaker wants.
    void settle(Time now);
    Packet datagram_of(const babel::Outgoing& outgoing);
    void send(const babel::Outgoing& outgoing, Time now);
    void send_on_port(const Active& active, const babel::Outgoing& outgoing, Time now);
    void on_route(const babel::RouteChange& change, Time now);
    void on_event(const babel::Event& event, Time now);
    std::optional<RibRoute> route_of(const babel::RouteChange& change) const;

    Parts parts_;
    Policy policy_;
    babel::Speaker speaker_;
    std::map<babel::InterfaceId, Active> places_;
    MacSecrets secrets_;
    std::map<Prefix, uint16_t> originated_;
    std::map<Prefix, babel::RouteChange> learned_;
    std::map<Refusal::Kind, uint64_t> nb_refused_;
    bool changed_ = false;
    bool gone_ = false;  // said goodbye: what is known still serves, for as long as we do
};

}  // namespace meshgate::control::site_routers

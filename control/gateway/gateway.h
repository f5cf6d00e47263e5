// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/keys.h"
#include "base/result.h"
#include "base/time.h"
#include "config/diff.h"
#include "config/model.h"
#include "control/gateway/echo_responder.h"
#include "control/gateway/endpoint_names.h"
#include "control/gateway/handshake_queue.h"
#include "control/gateway/listen_ports.h"
#include "control/gateway/port_watch.h"
#include "control/gateway/publisher.h"
#include "control/gateway/running_ports.h"
#include "control/log/log.h"
#include "control/mesh/members/network_store.h"
#include "control/mesh/mesh.h"
#include "control/sessions/sessions.h"
#include "control/site_routers/routers.h"
#include "control/underlay/echo_prober.h"
#include "control/underlay/links.h"
#include "control/underlay/next_hops.h"
#include "control/wireguard/device.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::control {

// The secrets that a model names, read from their files before anything is changed.
struct Secrets {
    SecretKey private_key;
    std::map<PublicKey, SecretKey> preshared_keys;  // by peer; none: no entry
    site_routers::MacSecrets mac_keys;
};
Result<Secrets> load_secrets(const config::Model& model);

// The control thread's side of the box: what the workers hand up goes to the WireGuard device and
// the neighbour table, what those decide goes down again. Owns both. Nothing here waits or reads a
// clock by itself; event_loop.h says when each function is called.
class Gateway {
public:
    struct Parts {
        Dataplane& dataplane;  // outlives the gateway
        Log& log;              // likewise
        Clock clock;
        wireguard::Timings timings;
        // Of the network that the model names, loaded; outlives the gateway. Null: no network.
        mesh::NetworkStore* network = nullptr;
    };

    // Adds the model's peers and publishes the first snapshot; workers may start afterwards.
    static Result<std::unique_ptr<Gateway>> create(Parts parts, config::Model model,
                                                   Secrets secrets);

    // Own timestamps stay above this one; before up().
    void raise_timestamp_floor(uint64_t wall_ns) { device_.raise_timestamp_floor(wall_ns); }
    // Begins to greet and to answer.
    void up();
    // Tells the mesh and neighbouring routers that we go. True: others go through us, or talk to
    // us, and it is kind to forward for a while.
    bool leave();
    // Forgets all sessions.
    void down();

    // Handles a bounded amount of what the workers handed up; true: more waits.
    bool poll();
    // Runs timers that are due.
    void tick();
    Time next_deadline() const noexcept;
    // Tells the device what sessions moved; every 50 ms while wants_sampling().
    void sample();
    bool wants_sampling() const noexcept { return sessions_.any(); }
    // This machine was copied or went back to a snapshot. The other instance has the same keys and
    // counters: no keypair of before sends any more.
    void on_vm_fork();
    // Looks at the links of the ports; every 200 ms.
    void watch_links();

    // The model's ports with the addresses and gateways that the machine's kernel has on the twins
    // of those with `addresses: host`.
    void take_given(std::vector<config::Port> ports);
    // What the kernel reaches through us; empty when it is as before. Prefixes are sorted.
    struct ForHost {
        std::vector<Prefix> destinations;
        std::vector<Prefix> of_peers;          // of these
        std::vector<IpAddress> own_addresses;  // that are on no port
    };
    std::optional<ForHost> news_for_host();

    // Changes to `after`, of which `changes` is the difference to the present model; restart-class
    // differences must have been taken out. New things come before old ones go. `secrets`: of
    // `after`. Fails without having changed anything.
    Result<void> apply(const config::Diff& changes, config::Model after, Secrets secrets);
    // Offers a network file; `source` says whence. It is taken when it is signed and newer.
    mesh::NetworkStore::Offered offer_network(config::SignedNetwork candidate,
                                              const std::string& source);
    // What a name in an endpoint stands for.
    void set_addresses(const std::string& host, const std::vector<IpAddress>& addresses);
    // Tries peers whose endpoint is a name at another of its addresses where they do not answer;
    // once a second.
    void follow_names();
    const EndpointNames& endpoint_names() const noexcept { return endpoint_names_; }
    // Names that could not be looked up the last time.
    void set_unresolved(std::vector<std::string> hosts) { unresolved_ = std::move(hosts); }
    const std::vector<std::string>& unresolved() const noexcept { return unresolved_; }
    // Null: the box is a plain WireGuard gateway.
    const mesh::Mesh* mesh() const noexcept { return mesh_.get(); }

    const config::Model& model() const noexcept { return model_; }
    // Of the model, with the addresses and gateways that the kernel gave; those that are disabled
    // have neither.
    const std::vector<config::Port>& running_ports() const noexcept { return running_ports_.all(); }
    const Dataplane& dataplane() const noexcept { return parts_.dataplane; }
    Dataplane& dataplane() noexcept { return parts_.dataplane; }
    const wireguard::Device& device() const noexcept { return device_; }
    const Links& links() const noexcept { return links_; }
    const Sessions& sessions() const noexcept { return sessions_; }
    Sessions& sessions() noexcept { return sessions_; }
    const site_routers::Routers& site_routers() const noexcept { return site_routers_; }
    const std::vector<RibRoute>& routes() const noexcept { return publisher_.builder().routes(); }
    // How many of them lead where; what is built in is not counted.
    const RouteCounts& nb_routes() const noexcept { return publisher_.builder().nb_routes(); }
    struct Forks {
        uint64_t total = 0;
        Time last{};
    };
    const Forks& vm_forks() const noexcept { return vm_forks_; }
    // `starting` until up(), `leaving` from leave() or down() on.
    enum class Phase : uint8_t { starting, running, leaving };
    Phase phase() const noexcept { return phase_; }
    std::string name_of(PeerId peer) const;
    const Neighbors& neighbors() const noexcept { return next_hops_.table(); }
    Now now() const { return parts_.clock(); }
    // By port: empty while the link is up, else since when it is down, on the wall clock.
    const std::vector<uint64_t>& links_down_since_ns() const noexcept {
        return ports_.down_since_ns();
    }

private:
    Gateway(Parts parts, config::Model model);

    wireguard::DeviceOptions device_options();
    Result<PeerId> add_peer(const config::Peer& peer, const Secrets& secrets, const Now& now);
    void update_peer(const config::PeerChange& change, const Secrets& secrets, const Now& now);
    void remove_peer(const PublicKey& public_key, const Now& now);
    void publish_listen_ports(Time now);
    void publish_ports(Time now);
    void publish_routes();
    std::optional<site_routers::RouterMark> router_mark() const;
    void set_site_routers(site_routers::MacSecrets secrets, Time now);

    void follow_name_of(PeerId id, const config::Peer& peer);
    EndpointNames::Progress progress_of(PeerId peer) const;

    PortIdentity identity_of(PortId port) const;
    void handle(Packet packet, const Now& now);
    void answer_handshakes();
    void publish_echo_targets(const std::vector<PeerPrefixes>& prefixes);
    void handle(const Note& note, const Now& now);
    void make_mesh(const Now& now);
    void take_network(const Now& now);
    void add_clients(const std::vector<config::Client>& clients, const Now& now);
    void look_at_candidates(const Now& now);
    void answer_forwarded_handshakes(const Now& now);
    void release_slot(PeerId peer);
    // Carries out what the other functions led to; the last step of each.
    void settle(const Now& now);

    Parts parts_;
    Phase phase_ = Phase::starting;
    Forks vm_forks_;
    config::Model model_;
    RunningPorts running_ports_;
    uint64_t nb_changes_told_ = 0;
    EndpointNames endpoint_names_;
    std::vector<std::string> unresolved_;
    WaitingBudget packet_budget_;
    wireguard::Device device_;
    NextHops next_hops_;
    PortWatch ports_;
    ListenPorts listen_ports_;
    Links links_;
    Sessions sessions_;
    EchoProber echo_prober_;
    std::unique_ptr<mesh::Mesh> mesh_;
    site_routers::Routers site_routers_;
    Publisher publisher_;
    std::map<PeerId, std::string> names_;
    HandshakeQueue handshakes_;
    EchoResponder echo_;
};

}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/api/dataplane.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/ports/port.h"
#include "dataplane/worker/worker.h"
#include "tests/packet/packet_text.h"

namespace meshgate::packet_test {

// The same small network for every case, on in-memory ports (net_ring), no root:
//
//   wan0  198.51.100.2, 2001:db8:1::2, MTU 1500            underlay, UDP 51820
//   lan0  10.1.0.1/24, fd10:1::1/64, fe80::1, MTU 1500     hosts 10.1.0.9, fd10:1::9 resolved,
//                                                          10.1.0.8 not; 10.1.8.0/21 via 10.1.0.254
//   lan1  10.2.0.1/24, VLAN 7, MTU 1400                    host 10.2.0.9 resolved
//   peers alice   10.9.0.2, fd09::2                        192.0.2.7:51820
//         munich  10.20.0.0/16, fd20::/48                  [2001:db8:2::9]:51820
//         bob     10.9.0.3                                 endpoint known, no session
//         carol   10.9.0.4                                 session, but no endpoint
//   10.66.0.0/16 is a blackhole
struct Peer {
    PeerId id = 0;
    Endpoint endpoint;
    uint32_t local_index = 0;  // theirs reach us under this index
    uint32_t remote_index = 0;
    uint64_t next_counter = 0;  // of what the peer sends
    Keypair* keypair = nullptr;
};

struct Sent {
    std::string port;
    Bytes frame;
};

class World {
public:
    // How the workers look at headers: with vectors whatever the burst, or never.
    enum class Headers : uint8_t { vector, scalar };

    // One or two workers; with two, alice's session belongs to worker 0 and munich's to worker 1.
    // Where the processor has no vectors for it, both are scalar.
    explicit World(unsigned nb_workers, Headers headers = Headers::vector);
    ~World();

    void inject_frame(const std::string& port, const Bytes& frame);
    // `link`: as set_link() named it, for Inject::seal; empty: the peer's path. `probe_mtu_bytes`:
    // the size that it tries.
    void inject_from_control(Inject how, const std::string& target, const Bytes& packet,
                             const std::string& link = "", uint16_t probe_mtu_bytes = 0);
    // Turns of all workers until nothing moves.
    void turn();
    void expire_fragments();
    std::vector<Sent> take_sent();
    // Names of what was counted since the last call, one per packet: "drop bad_tag", "punt arp".
    std::vector<std::string> take_events();

    // A link of wan0 to there; null: its slot is left empty.
    void set_link(const std::string& name, const std::optional<Endpoint>& remote,
                  uint16_t port_mtu_bytes, UdpChecksum udp_checksum = UdpChecksum::always);
    // Another link in place of the peer's, to the same endpoint.
    void set_path(const std::string& peer, uint16_t port_mtu_bytes,
                  UdpChecksum udp_checksum = UdpChecksum::always,
                  OuterFragments fragments = OuterFragments::forbidden);
    LinkId link_id(const std::string& name) const { return link_ids_.at(name); }
    IndexTable& index() { return *index_; }
    Dataplane::LinkActivity link_activity(const std::string& name) const;

    // A keypair in place of the peer's, as after a rekey whose memory was given out again.
    void renew_session(const std::string& peer);
    // As the peer would seal it; the message only, no outer headers.
    Bytes seal_as(const std::string& peer, const Bytes& inner, uint64_t counter);
    // What the peer would read; empty when its session does not open it.
    std::optional<Bytes> open_as(const std::string& peer, const Bytes& message, uint64_t& counter);
    std::string peer_with_remote_index(uint32_t remote_index) const;

    // One route more, to a peer.
    void add_route(const std::string& prefix, const std::string& peer);
    // wan0 is one arm from now on, with hosts and a router on its network; on that VLAN.
    void make_one_arm(uint16_t vlan);
    const PortView& view(const std::string& port) const;
    PortId port_id(const std::string& port) const;
    Peer& peer(const std::string& name) { return peers_.at(name); }
    PeerSlot& slot(const std::string& name) { return slots_[peers_.at(name).id]; }
    Dataplane::Activity activity(const std::string& name) const;
    // rx + injected + originated - tx - drops - punts, over all workers; 0 is right.
    int64_t imbalance() const;
    // Packets received less those booked by the rx stage, over all workers; 0 is right.
    int64_t unbooked_rx() const;
    unsigned mbufs_in_use() const;

private:
    const Link* make_link_to(const Endpoint& remote, uint16_t port_mtu_bytes,
                             UdpChecksum udp_checksum = UdpChecksum::always,
                             OuterFragments fragments = OuterFragments::forbidden);
    void add_peer(const std::string& name, const std::string& endpoint, bool session);
    void build_snapshot();
    std::unique_ptr<Worker> make_worker(unsigned id, Headers headers);
    static void empty_ring(rte_ring* ring);
    void take_mesh_punts(std::vector<std::string>& events, rte_ring* ring) const;

    struct Ports;
    static Ports& ports_for(unsigned nb_workers);

    Ports& ports_;
    std::unique_ptr<Published<Snapshot>> snapshot_;
    std::unique_ptr<IndexTable> index_;
    std::unique_ptr<PeerSlot[]> slots_;
    std::vector<std::unique_ptr<PeerActivity[]>> activities_;
    std::vector<std::unique_ptr<Keypair>> keypairs_;
    std::vector<std::unique_ptr<Link>> links_;  // all that ever were
    std::unique_ptr<std::atomic<const Link*>[]> link_table_;
    std::map<std::string, LinkId> link_ids_;
    std::vector<std::unique_ptr<LinkCounters[]>> link_counters_;  // by worker
    std::unique_ptr<rte_rcu_qsbr, void (*)(void*)> rcu_;
    std::unique_ptr<Doorbell> control_doorbell_;
    WorkerShared shared_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::map<std::string, Peer> peers_;
    std::vector<std::pair<std::string, std::string>> more_routes_;
    std::optional<uint16_t> one_arm_vlan_;
    std::vector<uint64_t> drops_seen_, punts_seen_;
    uint64_t handovers_seen_ = 0;
    std::vector<std::string> notes_;
    unsigned mbufs_at_start_ = 0;
};

}  // namespace meshgate::packet_test

// SPDX-License-Identifier: Apache-2.0
#include "tests/packet/world.h"

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "base/assert.h"
#include "dataplane/api/note.h"
#include "dataplane/path/stages.h"
#include "dataplane/worker/idle_ladder.h"

namespace meshgate::packet_test {

namespace {

constexpr PeerId kMaxPeers = 8;
constexpr LinkId kMaxLinksHere = 8;
constexpr unsigned kRingSize = 1024;
const std::vector<std::string> kPortNames{"wan0", "lan0", "lan1"};
constexpr MacAddress kGatewayMac{{2, 0, 0, 0, 0, 0xfe}};
constexpr MacAddress kHostMac{{2, 0, 0, 0, 0, 9}};

IpAddress address(const char* text) {
    return parse_address(text).value();
}

std::array<uint8_t, 12> nonce_of(uint64_t counter) {
    std::array<uint8_t, 12> nonce{};
    std::memcpy(&nonce[4], &counter, sizeof counter);
    return nonce;
}

rte_ring* make_ring(const std::string& name, unsigned entry_len) {
    rte_ring* ring = rte_ring_create_elem(name.c_str(), entry_len, kRingSize, 0, RING_F_SC_DEQ);
    MG_ASSERT(ring != nullptr);
    return ring;
}

}  // namespace

// The EAL, the pool and the ports live as long as the process; a world borrows them.
struct World::Ports {
    Mempool pool;
    std::vector<std::unique_ptr<Port>> ports;
    std::vector<std::vector<rte_ring*>> rings;  // by port: one per queue, both directions
};

World::Ports& World::ports_for(unsigned nb_workers) {
    // Never destroyed: the EAL is gone before statics are.
    static auto& all = *new std::map<unsigned, std::unique_ptr<Ports>>;
    std::unique_ptr<Ports>& slot = all[nb_workers];
    if (slot)
        return *slot;
    auto pool = Mempool::create(
        {.name = nb_workers == 1 ? "test1" : "test2", .nb_mbufs = 4096, .max_frame_bytes = 2000});
    MG_ASSERT(pool.has_value());
    slot = std::make_unique<Ports>(Ports{std::move(*pool), {}, {}});
    for (PortId id = 0; id < kPortNames.size(); ++id) {
        const std::string device = "net_ring" + std::to_string(10 * nb_workers + id);
        auto port = Port::open(PortOptions{.name = kPortNames[id],
                                           .device = DeviceKind::vdev,
                                           .device_argument = device,
                                           .role = id == 0 ? PortRole::wan : PortRole::lan},
                               id, nb_workers, slot->pool);
        if (!port)
            std::fprintf(stderr, "%s\n", port.error().message.c_str());
        MG_ASSERT(port.has_value());
        std::vector<rte_ring*> rings;
        for (unsigned queue = 0; queue < nb_workers; ++queue)
            rings.push_back(
                rte_ring_lookup(("ETH_RXTX" + std::to_string(queue) + "_" + device).c_str()));
        MG_ASSERT(std::count(rings.begin(), rings.end(), nullptr) == 0);
        slot->ports.push_back(std::move(*port));
        slot->rings.push_back(rings);
    }
    return *slot;
}

World::World(unsigned nb_workers, Headers headers)
    : ports_{ports_for(nb_workers)}, rcu_{nullptr, rte_free} {
    MG_ASSERT(sodium_init() >= 0);
    mbufs_at_start_ = ports_.pool.nb_in_use();
    index_ = std::make_unique<IndexTable>(IndexTable::create(64).value());
    slots_ = std::make_unique<PeerSlot[]>(kMaxPeers);
    link_table_ = std::make_unique<std::atomic<const Link*>[]>(kMaxLinksHere);
    control_doorbell_ = std::make_unique<Doorbell>(Doorbell::create().value());
    const size_t rcu_len = rte_rcu_qsbr_get_memsize(nb_workers);
    rcu_.reset(static_cast<rte_rcu_qsbr*>(rte_zmalloc(nullptr, rcu_len, RTE_CACHE_LINE_SIZE)));
    MG_ASSERT(rte_rcu_qsbr_init(rcu_.get(), nb_workers) == 0);
    snapshot_ = std::make_unique<Published<Snapshot>>(std::make_shared<const Snapshot>());
    // Rates that count by the clock stand still: a thousand times slower than the test.
    shared_ = WorkerShared{.ports = {},
                           .pool = ports_.pool.get(),
                           .snapshot = snapshot_.get(),
                           .index = index_.get(),
                           .peers = slots_.get(),
                           .links = link_table_.get(),
                           .rcu = rcu_.get(),
                           .control_doorbell = control_doorbell_.get(),
                           .workers = {},
                           .tsc_hz = 1000 * rte_get_tsc_hz()};
    for (const auto& port : ports_.ports)
        shared_.ports.push_back(port.get());
    for (unsigned id = 0; id < nb_workers; ++id) {
        activities_.push_back(std::make_unique<PeerActivity[]>(kMaxPeers));
        link_counters_.push_back(std::make_unique<LinkCounters[]>(kMaxLinksHere));
        workers_.push_back(make_worker(id, headers));
        shared_.workers.push_back(workers_.back().get());
    }
    add_peer("alice", "192.0.2.7:51820", true);
    add_peer("munich", "[2001:db8:2::9]:51820", true);
    add_peer("bob", "192.0.2.8:51820", false);
    add_peer("carol", "", true);
    build_snapshot();
    drops_seen_.resize(kNbDrops);
    punts_seen_.resize(kNbPunts);
}

World::~World() {
    for (const auto& worker : workers_) {
        for (rte_ring* ring : {worker->parts.punts, worker->parts.mesh, worker->parts.waiting,
                               worker->parts.injections, worker->parts.inbox}) {
            empty_ring(ring);
            rte_ring_free(ring);
        }
        rte_ring_free(worker->parts.notes);
    }
}

std::unique_ptr<Worker> World::make_worker(unsigned id, Headers headers) {
    WorkerParts parts{.id = id, .doorbell = Doorbell::create().value()};
    const bool vectors = headers == Headers::vector && has_avx512();
    parts.min_vector_burst = vectors ? 1 : WorkerParts::kNever;
    for (PortId port = 0; port < kPortNames.size(); ++port) {
        parts.rx_queues.push_back({port, static_cast<uint16_t>(id)});
        parts.tx_routes.push_back({.queue = static_cast<uint16_t>(id), .owner = id});
    }
    parts.aead = create_sodium_engine().value();
    parts.activity = activities_[id].get();
    parts.links = link_counters_[id].get();
    const std::string suffix = std::to_string(id);
    parts.punts = make_ring("test_punts" + suffix, sizeof(void*));
    parts.mesh = make_ring("test_mesh" + suffix, sizeof(void*));
    parts.waiting = make_ring("test_waiting" + suffix, sizeof(void*));
    parts.notes = make_ring("test_notes" + suffix, sizeof(Note));
    parts.injections = make_ring("test_injections" + suffix, sizeof(void*));
    parts.inbox = make_ring("test_inbox" + suffix, sizeof(void*));
    parts.idle = std::make_unique<IdleLadder>(IdleLadder::Options{.mode = IdleMode::busy});
    return std::make_unique<Worker>(shared_, std::move(parts));
}

const Link* World::make_link_to(const Endpoint& remote, uint16_t port_mtu_bytes,
                                UdpChecksum udp_checksum, OuterFragments fragments) {
    const char* local = remote.address.is_v6() ? "2001:db8:1::2" : "198.51.100.2";
    links_.push_back(std::make_unique<Link>(make_link({.port = 0,
                                                       .port_mtu_bytes = port_mtu_bytes,
                                                       .vlan = kNoVlan,
                                                       .source_mac = ports_.ports[0]->mac(),
                                                       .next_hop_mac = kGatewayMac,
                                                       .local = Endpoint{address(local), 51820},
                                                       .remote = remote,
                                                       .udp_checksum = udp_checksum,
                                                       .fragments = fragments})));
    return links_.back().get();
}

void World::set_link(const std::string& name, const std::optional<Endpoint>& remote,
                     uint16_t port_mtu_bytes, UdpChecksum udp_checksum) {
    const auto id = static_cast<LinkId>(link_ids_.size());
    const LinkId slot = link_ids_.try_emplace(name, id).first->second;
    MG_ASSERT(slot < kMaxLinksHere);
    link_table_[slot].store(remote ? make_link_to(*remote, port_mtu_bytes, udp_checksum) : nullptr);
}

void World::set_path(const std::string& name, uint16_t port_mtu_bytes, UdpChecksum udp_checksum,
                     OuterFragments fragments) {
    const Peer& peer = peers_.at(name);
    slots_[peer.id].path.store(
        make_link_to(peer.endpoint, port_mtu_bytes, udp_checksum, fragments));
}

Dataplane::LinkActivity World::link_activity(const std::string& name) const {
    Dataplane::LinkActivity sum{};
    for (const auto& counters : link_counters_) {
        sum.relayed_packets += counters[link_id(name)].relayed_packets.get();
        sum.relayed_bytes += counters[link_id(name)].relayed_bytes.get();
    }
    return sum;
}

// Both directions use one key: what the peer seals with, we open with, and the other way round.
void World::add_peer(const std::string& name, const std::string& endpoint, bool session) {
    Peer& peer = peers_[name];
    peer.id = static_cast<PeerId>(peers_.size());
    peer.local_index = (0x1000U * peer.id) << kWorkerBits |
                       (name == "munich" ? static_cast<uint32_t>(workers_.size() - 1) : 0);
    peer.remote_index = 0xa0000000U + peer.id;
    if (!endpoint.empty()) {
        peer.endpoint = parse_endpoint(endpoint).value();
        slots_[peer.id].path.store(make_link_to(peer.endpoint, 1500));
    }
    auto keypair = std::make_unique<Keypair>();
    keypair->send_key.fill(static_cast<uint8_t>(0x10 + peer.id));
    keypair->receive_key.fill(static_cast<uint8_t>(0x20 + peer.id));
    keypair->local_index = peer.local_index;
    keypair->remote_index_le = peer.remote_index;
    keypair->peer = peer.id;
    keypair->reject_after_tsc = rte_rdtsc() + 180 * rte_get_tsc_hz();
    keypair->confirmed.store(true);
    peer.keypair = keypair.get();
    if (session) {
        slots_[peer.id].sending.store(keypair.get());
        MG_ASSERT(index_->insert(peer.local_index, IndexEntry{keypair.get()}));
    }
    keypairs_.push_back(std::move(keypair));
}

void World::build_snapshot() {
    auto snapshot = std::make_shared<Snapshot>();
    const auto mac = [this](PortId id) { return ports_.ports[id]->mac(); };
    snapshot->ports = {
        {.role = one_arm_vlan_ ? PortRole::one_arm : PortRole::wan,
         .mac = mac(0),
         .vlan = one_arm_vlan_.value_or(kNoVlan),
         .priority = 5,
         .addresses = {address("198.51.100.2"), address("2001:db8:1::2")}},
        {.role = PortRole::lan,
         .mac = mac(1),
         .addresses = {address("10.1.0.1"), address("fd10:1::1"), address("fe80::1")}},
        {.role = PortRole::lan,
         .mac = mac(2),
         .vlan = 7,
         .mtu_bytes = 1400,
         .addresses = {address("10.2.0.1")}}};
    snapshot->listen_ports = {51820};
    snapshot->icmp_sources = {address("10.1.0.1"), address("fd10:1::1")};
    snapshot->entries.push_back({});
    std::vector<Fib::Route> routes;
    const auto add = [&](const char* prefix, ForwardingEntry entry) {
        snapshot->entries.push_back(entry);
        routes.push_back(
            {*parse_prefix(prefix), static_cast<uint32_t>(snapshot->entries.size() - 1)});
    };
    for (const char* ours : {"10.1.0.1", "10.2.0.1", "fd10:1::1", "fe80::1"})
        add(ours, {.kind = ForwardKind::local});
    for (const char* connected : {"10.1.0.0/24", "fd10:1::/64"})
        add(connected, {.kind = ForwardKind::connected, .port = 1});
    add("10.2.0.0/24", {.kind = ForwardKind::connected, .port = 2});
    add("10.1.8.0/21",
        {.kind = ForwardKind::gateway, .port = 1, .next_hop = address("10.1.0.254")});
    for (const char* everybody : {"10.1.0.0", "10.1.0.255", "10.2.0.0", "10.2.0.255"})
        add(everybody, {.kind = ForwardKind::broadcast});
    add("10.66.0.0/16", {.kind = ForwardKind::blackhole});
    for (const auto& [prefix, name] : more_routes_)
        add(prefix.c_str(), {.kind = ForwardKind::peer, .peer = peers_.at(name).id});
    for (const auto& [prefix, name] : {std::pair{"10.9.0.2/32", "alice"},
                                       {"fd09::2/128", "alice"},
                                       {"10.20.0.0/16", "munich"},
                                       {"fd20::/48", "munich"},
                                       {"10.9.0.3/32", "bob"},
                                       {"10.9.0.4/32", "carol"}})
        add(prefix, {.kind = ForwardKind::peer, .peer = peers_.at(name).id});
    std::vector<NeighborTable::Neighbor> neighbors{{1, address("10.1.0.9"), kHostMac},
                                                   {1, address("fd10:1::9"), kHostMac},
                                                   {1, address("10.1.0.254"), kGatewayMac},
                                                   {2, address("10.2.0.9"), kHostMac}};
    if (one_arm_vlan_) {
        for (const char* ours : {"198.51.100.2", "2001:db8:1::2"})
            add(ours, {.kind = ForwardKind::local});
        for (const char* connected : {"198.51.100.0/24", "2001:db8:1::/64"})
            add(connected, {.kind = ForwardKind::connected, .port = 0});
        add("10.77.0.0/16",
            {.kind = ForwardKind::gateway, .port = 0, .next_hop = address("198.51.100.1")});
        neighbors.push_back({0, address("198.51.100.9"), kHostMac});
        neighbors.push_back({0, address("2001:db8:1::9"), kHostMac});
        neighbors.push_back({0, address("198.51.100.1"), kGatewayMac});
    }
    snapshot->fib = Fib::build(routes);
    snapshot->neighbors = NeighborTable::build(neighbors);
    (void)snapshot_->exchange(std::move(snapshot));
}

void World::add_route(const std::string& prefix, const std::string& peer) {
    more_routes_.emplace_back(prefix, peer);
    build_snapshot();
}

void World::make_one_arm(uint16_t vlan) {
    one_arm_vlan_ = vlan;
    build_snapshot();
}

void World::expire_fragments() {
    for (const auto& worker : workers_)
        meshgate::expire_fragments(*worker, UINT64_MAX);
}

PortId World::port_id(const std::string& port) const {
    const auto found = std::find(kPortNames.begin(), kPortNames.end(), port);
    MG_ASSERT(found != kPortNames.end());
    return static_cast<PortId>(found - kPortNames.begin());
}

const PortView& World::view(const std::string& port) const {
    return snapshot_->read().ports[port_id(port)];
}

void World::inject_frame(const std::string& port, const Bytes& frame) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(ports_.pool.get());
    MG_ASSERT(mbuf != nullptr);
    void* data = rte_pktmbuf_append(mbuf, static_cast<uint16_t>(frame.size()));
    MG_ASSERT(data != nullptr);
    std::copy(frame.begin(), frame.end(), static_cast<uint8_t*>(data));
    MG_ASSERT(rte_ring_enqueue(ports_.rings[port_id(port)][0], mbuf) == 0);
}

void World::inject_from_control(Inject how, const std::string& target, const Bytes& packet,
                                const std::string& link, uint16_t probe_mtu_bytes) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(ports_.pool.get());
    MG_ASSERT(mbuf != nullptr);
    void* data = rte_pktmbuf_append(mbuf, static_cast<uint16_t>(packet.size()));
    std::copy(packet.begin(), packet.end(), static_cast<uint8_t*>(data));
    PacketInfo& info = meta_of(mbuf).info;
    info = PacketInfo{};
    info.inject = how;
    if (how == Inject::frame)
        info.port = port_id(target);
    if (how == Inject::seal)
        info.peer = peer(target).id;
    if (!link.empty())
        info.link = link_id(link);
    info.mtu_bytes = probe_mtu_bytes;
    MG_ASSERT(rte_ring_enqueue(workers_[0]->parts.injections, mbuf) == 0);
}

// Ring ports loop: what a turn sends would be received by the next one. So one turn per worker,
// then what was sent is held back until all handovers are through.
void World::turn() {
    std::vector<std::vector<rte_mbuf*>> held(ports_.rings.size());
    const auto hold_back = [&] {
        for (size_t port = 0; port < ports_.rings.size(); ++port) {
            for (rte_ring* ring : ports_.rings[port]) {
                void* mbuf = nullptr;
                while (rte_ring_dequeue(ring, &mbuf) == 0)
                    held[port].push_back(static_cast<rte_mbuf*>(mbuf));
            }
        }
    };
    for (unsigned moved = 1; moved != 0;) {
        moved = 0;
        for (const auto& worker : workers_) {
            moved += worker->turn();
            hold_back();
        }
    }
    for (size_t port = 0; port < held.size(); ++port) {
        for (rte_mbuf* mbuf : held[port])
            rte_ring_enqueue(ports_.rings[port][0], mbuf);
    }
}

std::vector<Sent> World::take_sent() {
    std::vector<Sent> sent;
    for (size_t port = 0; port < ports_.rings.size(); ++port) {
        void* object = nullptr;
        while (rte_ring_dequeue(ports_.rings[port][0], &object) == 0) {
            auto* mbuf = static_cast<rte_mbuf*>(object);
            const auto* data = rte_pktmbuf_mtod(mbuf, const uint8_t*);
            sent.push_back({kPortNames[port], Bytes(data, data + mbuf->data_len)});
            rte_pktmbuf_free(mbuf);
        }
    }
    return sent;
}

void World::empty_ring(rte_ring* ring) {
    void* mbuf = nullptr;
    while (rte_ring_dequeue(ring, &mbuf) == 0)
        rte_pktmbuf_free(static_cast<rte_mbuf*>(mbuf));
}

// "mesh alice 192.0.2.7:51820 198.51.100.2:51820": from a peer; "mesh 02:00:00:00:00:09": in clear.
void World::take_mesh_punts(std::vector<std::string>& events, rte_ring* ring) const {
    void* object = nullptr;
    while (rte_ring_dequeue(ring, &object) == 0) {
        const Packet packet{static_cast<rte_mbuf*>(object)};
        const PacketInfo& info = packet.info();
        MG_ASSERT(packet.bytes()[0] >> 4 == 6);
        std::string event = "mesh " + kPortNames.at(info.port) + " ";
        for (const auto& [name, peer] : peers_) {
            if (peer.id == info.peer)
                event += name + " " + to_string(info.remote) + " " + to_string(info.local);
        }
        events.push_back(info.peer == kNoPeer ? event + to_string(info.source_mac) : event);
    }
}

std::vector<std::string> World::take_events() {
    std::vector<std::string> events;
    std::vector<uint64_t> drops(kNbDrops), punts(kNbPunts);
    uint64_t handovers = 0;
    for (const auto& worker : workers_) {
        handovers += worker->counters.handover_out_packets.get();
        for (size_t i = 0; i < kNbDrops; ++i)
            drops[i] += worker->counters.drops.get(static_cast<Drop>(i));
        for (size_t i = 0; i < kNbPunts; ++i)
            punts[i] += worker->counters.punts[i].get();
        Note note;
        while (rte_ring_dequeue_elem(worker->parts.notes, &note, sizeof note) == 0)
            events.push_back(note.kind == Note::Kind::confirmed
                                 ? "note confirmed"
                                 : "note endpoint_moved " + to_string(note.remote) + " " +
                                       to_string(note.local));
        take_mesh_punts(events, worker->parts.mesh);
        empty_ring(worker->parts.punts);
        empty_ring(worker->parts.waiting);
    }
    for (; handovers_seen_ < handovers; ++handovers_seen_)
        events.push_back("handover");
    for (size_t i = 0; i < kNbDrops; ++i) {
        for (; drops_seen_[i] < drops[i]; ++drops_seen_[i])
            events.push_back(std::string{"drop "} + to_string(static_cast<Drop>(i)));
    }
    for (size_t i = 0; i < kNbPunts; ++i) {
        for (; punts_seen_[i] < punts[i]; ++punts_seen_[i])
            events.push_back(std::string{"punt "} + to_string(static_cast<Punt>(i)));
    }
    return events;
}

void World::renew_session(const std::string& name) {
    Keypair& keypair = *peer(name).keypair;
    const auto send_key = keypair.send_key;
    const auto receive_key = keypair.receive_key;
    const uint32_t local_index = keypair.local_index;
    const uint32_t remote_index_le = keypair.remote_index_le;
    const PeerId id = keypair.peer;
    std::destroy_at(&keypair);
    std::construct_at(&keypair);
    keypair.send_key = send_key;
    keypair.receive_key = receive_key;
    keypair.local_index = local_index;
    keypair.remote_index_le = remote_index_le;
    keypair.peer = id;
    keypair.reject_after_tsc = rte_rdtsc() + 180 * rte_get_tsc_hz();
    keypair.confirmed.store(true);
}

Bytes World::seal_as(const std::string& name, const Bytes& inner, uint64_t counter) {
    const Peer& sender = peer(name);
    Bytes message(16 + inner.size() + 16);
    message[0] = 4;
    std::memcpy(&message[4], &sender.local_index, 4);
    std::memcpy(&message[8], &counter, 8);
    crypto_aead_chacha20poly1305_ietf_encrypt(&message[16], nullptr, inner.data(), inner.size(),
                                              nullptr, 0, nullptr, nonce_of(counter).data(),
                                              sender.keypair->receive_key.data());
    return message;
}

std::optional<Bytes> World::open_as(const std::string& name, const Bytes& message,
                                    uint64_t& counter) {
    std::memcpy(&counter, &message[8], 8);
    Bytes inner(message.size() - 32);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(
            inner.data(), nullptr, nullptr, &message[16], message.size() - 16, nullptr, 0,
            nonce_of(counter).data(), peer(name).keypair->send_key.data()) != 0)
        return std::nullopt;
    return inner;
}

std::string World::peer_with_remote_index(uint32_t remote_index) const {
    for (const auto& [name, peer] : peers_) {
        if (peer.remote_index == remote_index)
            return name;
    }
    return "";
}

Dataplane::Activity World::activity(const std::string& name) const {
    Dataplane::Activity sum{};
    for (const auto& activity : activities_) {
        const PeerActivity& of_worker = activity[peers_.at(name).id];
        sum.rx_packets += of_worker.rx_packets.get();
        sum.rx_bytes += of_worker.rx_bytes.get();
        sum.tx_packets += of_worker.tx_packets.get();
        sum.sized_packets += of_worker.sized_packets.get();
        sum.tx_bytes += of_worker.tx_bytes.get();
    }
    return sum;
}

int64_t World::imbalance() const {
    uint64_t sources = 0, sinks = 0;
    for (const auto& worker : workers_) {
        const WorkerCounters& c = worker->counters;
        sources += c.rx_packets.get() + c.injected_packets.get() + c.originated_packets.get() +
                   c.handover_in_packets.get();
        sinks += c.tx_packets.get() + c.handover_out_packets.get();
        for (size_t i = 0; i < kNbDrops; ++i)
            sinks += c.drops.get(static_cast<Drop>(i));
        for (const Counter& punt : c.punts)
            sinks += punt.get();
    }
    return static_cast<int64_t>(sources - sinks);
}

int64_t World::unbooked_rx() const {
    int64_t difference = 0;
    for (const auto& worker : workers_) {
        const WorkerCounters& c = worker->counters;
        difference += static_cast<int64_t>(c.rx_packets.get() -
                                           c.stages[static_cast<size_t>(Stage::rx)].packets.get());
    }
    return difference;
}

unsigned World::mbufs_in_use() const {
    return ports_.pool.nb_in_use() - mbufs_at_start_;
}

}  // namespace meshgate::packet_test

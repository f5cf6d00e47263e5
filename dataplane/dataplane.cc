// SPDX-License-Identifier: Apache-2.0
#include "dataplane/api/dataplane.h"

#include <pthread.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_ring_elem.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <unordered_map>

#include "base/assert.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/device.h"
#include "dataplane/eal.h"
#include "dataplane/idle_ladder.h"
#include "dataplane/index_table.h"
#include "dataplane/mempool.h"
#include "dataplane/packet_meta.h"
#include "dataplane/port.h"
#include "dataplane/retire_list.h"
#include "dataplane/worker.h"
#include "dataplane/worker_rings.h"
#include "dataplane/zeroed_array.h"

namespace meshgate {

namespace {

// Besides mbufs: rings, and the queues of each port (af_packet keeps two arrays per queue).
constexpr unsigned kBaseMemoryMib = 48;
constexpr unsigned kMemoryPerPortMib = 8;
// Previous, current and next keypair of a peer, and one that waits for its grace period.
constexpr size_t kKeypairsPerPeer = 4;
// So many cut frames are no accident: a host beside us makes super-packets.
constexpr uint64_t kSuperPackets = 8;
// Of the packets that control takes, so many may be punts in a row while others wait.
constexpr unsigned kPuntsPerWaiting = 4;
// The kernel lets a thread's sleeps last so much longer than asked; its default is as long as a
// nap.
constexpr unsigned long kTimerSlackNs = 1000;

std::shared_ptr<const Snapshot> empty_snapshot(size_t nb_ports) {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->fib = Fib::build({});
    snapshot->neighbors = NeighborTable::build({});
    snapshot->entries.resize(1);
    snapshot->ports.resize(nb_ports);
    return snapshot;
}

uint16_t max_frame_bytes(const DataplaneOptions& options) noexcept {
    uint16_t mtu_bytes = 0;
    for (const PortOptions& port : options.ports)
        mtu_bytes = std::max(mtu_bytes, port.mtu_bytes);
    return static_cast<uint16_t>(mtu_bytes + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN);
}

bool has_af_xdp(const DataplaneOptions& options) noexcept {
    return std::any_of(options.ports.begin(), options.ports.end(),
                       [](const PortOptions& port) { return port.device == DeviceKind::af_xdp; });
}

Result<void> check_options(const DataplaneOptions& options) {
    if (options.nb_workers < 1 || options.nb_workers > kMaxWorkers)
        return fail("between 1 and " + std::to_string(kMaxWorkers) + " workers are possible, not " +
                    std::to_string(options.nb_workers));
    if (!options.cores.empty() && options.cores.size() != options.nb_workers)
        return fail("there are " + std::to_string(options.nb_workers) + " workers, but " +
                    std::to_string(options.cores.size()) + " cores for them");
    if (options.ports.size() > kMaxPorts)
        return fail("at most " + std::to_string(kMaxPorts) + " ports are possible, not " +
                    std::to_string(options.ports.size()));
    return {};
}

// A worker and whether its thread runs. The release and acquire of `runs` order what control did
// before start() and does after stop() with what the thread does: DPDK launches by a pipe, which
// promises nothing of the kind.
struct WorkerThread {
    WorkerThread(const WorkerShared& shared, WorkerParts parts)
        : worker{shared, std::move(parts)} {}

    Worker worker;
    std::atomic<bool> runs{false};
};

class DataplaneImpl final : public Dataplane {
public:
    // The steps of create(), in this order; what is built is released in the opposite one.
    explicit DataplaneImpl(const DataplaneOptions& options) : options_{options} {}
    ~DataplaneImpl() override;
    Result<void> start_eal();
    Result<void> open_ports();
    Result<void> allocate_tables();
    Result<void> make_workers();

    void start() override;
    void stop() override;

    void publish(std::shared_ptr<const Snapshot> next) override;
    const Snapshot& snapshot() const override { return snapshot_->read(); }
    PeerId add_peer() override;
    void remove_peer(PeerId peer) override;
    PeerSlot& peer(PeerId peer) override { return (*peers_)[peer]; }
    Activity activity(PeerId peer) const override;
    bool install(std::unique_ptr<Keypair> keypair) override;
    Keypair* keypair(uint32_t local_index) override;
    void remove_keypair(uint32_t local_index) override;
    LinkId add_link() override;
    void set_link(LinkId id, const Link* link) override;
    void remove_link(LinkId id) override;
    bool install_relay(uint32_t receiver_index, LinkId link) override;
    void move_relay(uint32_t receiver_index, LinkId link) override;
    void remove_relay(uint32_t receiver_index) override;
    LinkActivity link_activity(LinkId id) const override;
    void retire(std::shared_ptr<const void> object) override { retired_->add(std::move(object)); }
    size_t reclaim() override { return retired_->reclaim(); }

    int wakeup_fd() const override { return control_doorbell_->fd(); }
    bool arm_wakeup() override;
    Packet next_punt() override;
    std::optional<Note> next_note() override;
    Packet allocate(uint16_t len) override;
    bool send(Packet packet, uint32_t order) override;

    const DataplaneOptions& options() const override { return options_; }
    PortStatus port_status(PortId port) const override;
    WorkerStatus worker_status(unsigned worker) const override;
    const WorkerCounters& counters(unsigned worker) const override;
    WorkerCounters& control_counters() override { return control_counters_; }
    std::string aead_engine() const override { return aead_->name; }
    std::string aead_reason() const override { return aead_->reason; }
    std::string memory_description() const override;
    unsigned mbufs_in_use() const override { return mempool_->nb_in_use(); }
    uint64_t tsc_hz() const override { return rte_get_tsc_hz(); }
    uint64_t tsc_now() const override { return rte_rdtsc(); }

private:
    // Queues go round over the workers, so that two ports of one queue each have two workers.
    unsigned owner_of(PortId port, unsigned queue) const noexcept {
        return (port + queue) % options_.nb_workers;
    }
    TxRoute tx_route(PortId port, unsigned worker) const noexcept;
    uint64_t nb_drops(Drop reason) const noexcept;
    Result<WorkerParts> parts_of(unsigned worker);
    Packet take(Ring WorkerRings::*ring);
    Packet take_urgent();

    const DataplaneOptions options_;
    MemoryPlan memory_;
    std::optional<Eal> eal_;
    std::optional<Mempool> mempool_;
    std::vector<std::unique_ptr<Port>> ports_;
    std::optional<AeadSelection> aead_;

    std::optional<Rcu> rcu_;
    std::optional<IndexTable> index_;
    // Owns what the index table points to. Before retired_: that one's last acts concern these.
    std::unordered_map<uint32_t, std::unique_ptr<Keypair>> keypairs_;
    std::optional<ZeroedArray<PeerSlot>> peers_;
    std::vector<ZeroedArray<PeerActivity>> activity_;  // by worker
    PeerId nb_peers_ever_ = 0;
    std::vector<PeerId> free_peers_;
    std::optional<ZeroedArray<std::atomic<const Link*>>> links_;
    std::vector<ZeroedArray<LinkCounters>> link_counters_;  // by worker
    LinkId nb_links_ever_ = 0;
    std::vector<LinkId> free_links_;
    uint32_t nb_relays_ = 0;  // those removed of late included
    std::optional<Published<Snapshot>> snapshot_;
    std::optional<RetireList> retired_;

    std::optional<Doorbell> control_doorbell_;
    std::vector<WorkerRings> rings_;  // by worker
    WorkerCounters control_counters_;
    unsigned next_ring_ = 0;        // whose turn it is among the workers
    bool mesh_first_ = false;       // among the punts that nobody waits for
    unsigned nb_punts_in_row_ = 0;  // taken since control last had a waiting packet

    WorkerShared shared_;
    std::vector<std::unique_ptr<WorkerThread>> workers_;
    bool running_ = false;
};

// ---- create ----

Result<void> DataplaneImpl::start_eal() {
    const Mempool::Options pool{.nb_mbufs = options_.nb_mbufs,
                                .max_frame_bytes = max_frame_bytes(options_),
                                .for_af_xdp = has_af_xdp(options_)};
    const auto nb_ports = static_cast<unsigned>(options_.ports.size());
    const unsigned least_mib = static_cast<unsigned>(Mempool::memory_bytes(pool) >> 20) +
                               kBaseMemoryMib + nb_ports * kMemoryPerPortMib;
    const Result<MemoryPlan> memory = plan_memory(
        options_.memory, std::max(options_.memory_mib, least_mib), free_hugepages_mib());
    if (!memory)
        return tl::unexpected{memory.error()};
    memory_ = *memory;
    Eal::Options eal{.memory = memory_, .nb_workers = options_.nb_workers, .cores = options_.cores};
    for (PortId id = 0; id < nb_ports; ++id) {
        const Result<Device> device = make_device(options_.ports[id], id, 1);
        if (!device)
            return within("port " + options_.ports[id].name, device.error());
        if (options_.ports[id].device == DeviceKind::pci)
            eal.pci_addresses.push_back(device->name);
    }
    Result<Eal> started = Eal::start(eal);
    if (!started)
        return tl::unexpected{started.error()};
    eal_.emplace(*std::move(started));
    Result<Mempool> mempool = Mempool::create(pool);
    if (!mempool)
        return tl::unexpected{mempool.error()};
    mempool_.emplace(*std::move(mempool));
    return {};
}

Result<void> DataplaneImpl::open_ports() {
    for (const PortOptions& options : options_.ports) {
        const auto id = static_cast<PortId>(ports_.size());
        Result<Port> port = Port::open(options, id, options_.nb_workers, *mempool_);
        if (!port)
            return tl::unexpected{port.error()};
        ports_.push_back(std::make_unique<Port>(*std::move(port)));
        shared_.ports.push_back(ports_.back().get());
    }
    return {};
}

Result<void> DataplaneImpl::allocate_tables() {
    Result<Rcu> rcu = Rcu::create(options_.nb_workers);
    Result<IndexTable> index =
        IndexTable::create(options_.max_peers * kKeypairsPerPeer + options_.max_relays);
    Result<ZeroedArray<PeerSlot>> peers = ZeroedArray<PeerSlot>::create(options_.max_peers);
    auto links = ZeroedArray<std::atomic<const Link*>>::create(kMaxLinks);
    Result<Doorbell> doorbell = Doorbell::create();
    if (!rcu || !index || !peers || !links || !doorbell)
        return fail(ENOMEM, "tables for " + std::to_string(options_.max_peers) + " peers");
    rcu_.emplace(*std::move(rcu));
    index_.emplace(*std::move(index));
    peers_.emplace(*std::move(peers));
    links_.emplace(*std::move(links));
    control_doorbell_.emplace(*std::move(doorbell));
    snapshot_.emplace(empty_snapshot(options_.ports.size()));
    retired_.emplace(*rcu_);
    Result<AeadSelection> aead = select_aead(options_.aead);
    if (!aead)
        return tl::unexpected{aead.error()};
    aead_.emplace(*std::move(aead));
    return {};
}

// A queue of the worker's own where there is one; else the workers share them evenly.
TxRoute DataplaneImpl::tx_route(PortId port, unsigned worker) const noexcept {
    const unsigned nb_queues = ports_[port]->nb_tx_queues();
    unsigned queue = worker % nb_queues;
    for (unsigned own = 0; own < nb_queues; ++own) {
        if (owner_of(port, own) == worker)
            queue = own;
    }
    return {.queue = static_cast<uint16_t>(queue), .owner = owner_of(port, queue)};
}

Result<WorkerParts> DataplaneImpl::parts_of(unsigned worker) {
    Result<std::unique_ptr<AeadEngine>> aead = aead_->create();
    Result<Doorbell> doorbell = Doorbell::create();
    Result<WorkerRings> rings = WorkerRings::create(worker);
    Result<ZeroedArray<PeerActivity>> activity =
        ZeroedArray<PeerActivity>::create(options_.max_peers);
    Result<ZeroedArray<LinkCounters>> links = ZeroedArray<LinkCounters>::create(kMaxLinks);
    if (!aead)
        return tl::unexpected{aead.error()};
    if (!doorbell || !rings || !activity || !links)
        return fail(ENOMEM, "rings and counters of a worker");
    const WorkerRings& own = rings_.emplace_back(*std::move(rings));
    activity_.push_back(*std::move(activity));
    link_counters_.push_back(*std::move(links));

    using CoreUse = IdleLadder::CoreUse;
    IdleLadder::Options idle{.mode = options_.idle,
                             .core = options_.cores.empty() ? CoreUse::floating : CoreUse::pinned,
                             .queue_doorbell_fds = {},
                             .own_doorbell_fd = doorbell->fd(),
                             .tsc_hz = rte_get_tsc_hz()};
    std::vector<RxQueue> rx_queues;
    std::vector<TxRoute> tx_routes;
    for (const auto& port : ports_) {
        tx_routes.push_back(tx_route(port->id(), worker));
        for (uint16_t queue = 0; queue < port->nb_rx_queues(); ++queue) {
            if (owner_of(port->id(), queue) != worker)
                continue;
            rx_queues.push_back({.port = port->id(), .queue = queue});
            idle.queue_doorbell_fds.push_back(port->doorbell_fd(queue));
        }
    }
    return WorkerParts{.id = worker,
                       .rx_queues = std::move(rx_queues),
                       .tx_routes = std::move(tx_routes),
                       .aead = *std::move(aead),
                       .activity = activity_.back().data(),
                       .links = link_counters_.back().data(),
                       .punts = own.punts.get(),
                       .mesh = own.mesh.get(),
                       .waiting = own.waiting.get(),
                       .notes = own.notes.get(),
                       .injections = own.injections.get(),
                       .inbox = own.inbox.get(),
                       .doorbell = *std::move(doorbell),
                       .idle = std::make_unique<IdleLadder>(idle)};
}

Result<void> DataplaneImpl::make_workers() {
    shared_.pool = mempool_->get();
    shared_.snapshot = &*snapshot_;
    shared_.index = &*index_;
    shared_.peers = peers_->data();
    shared_.links = links_->data();
    shared_.rcu = rcu_->get();
    shared_.control_doorbell = &*control_doorbell_;
    shared_.tsc_hz = rte_get_tsc_hz();
    rings_.reserve(options_.nb_workers);
    for (unsigned worker = 0; worker < options_.nb_workers; ++worker) {
        Result<WorkerParts> parts = parts_of(worker);
        if (!parts)
            return within("worker " + std::to_string(worker), parts.error());
        workers_.push_back(std::make_unique<WorkerThread>(shared_, *std::move(parts)));
        shared_.workers.push_back(&workers_.back()->worker);
    }
    return {};
}

// ---- start and stop ----

int run_worker(void* argument) {
    auto& thread = *static_cast<WorkerThread*>(argument);
    MG_ASSERT(thread.runs.load(std::memory_order_acquire));
    const std::string name = "worker-" + std::to_string(thread.worker.id());
    pthread_setname_np(pthread_self(), name.c_str());
    prctl(PR_SET_TIMERSLACK, kTimerSlackNs, 0, 0, 0);
    thread.worker.run();
    thread.runs.store(false, std::memory_order_release);
    return 0;
}

void DataplaneImpl::start() {
    MG_ASSERT(!running_);
    for (const auto& thread : workers_) {
        thread->runs.store(true, std::memory_order_release);
        const unsigned lcore = Eal::lcore_of(thread->worker.id());
        const int status = rte_eal_remote_launch(run_worker, thread.get(), lcore);
        MG_ASSERT(status == 0);
    }
    running_ = true;
}

void DataplaneImpl::stop() {
    if (!running_)
        return;
    for (const auto& thread : workers_) {
        thread->worker.stop();
        thread->worker.parts.doorbell.ring();
    }
    for (const auto& thread : workers_) {
        rte_eal_wait_lcore(Eal::lcore_of(thread->worker.id()));
        MG_ASSERT(!thread->runs.load(std::memory_order_acquire));
    }
    running_ = false;
}

DataplaneImpl::~DataplaneImpl() {
    stop();
    if (retired_)
        MG_ASSERT(reclaim() == 0);  // no reader is left
}

// ---- down, by pointer ----

void DataplaneImpl::publish(std::shared_ptr<const Snapshot> next) {
    MG_ASSERT(next->ports.size() == ports_.size());
    retire(snapshot_->exchange(std::move(next)));
}

PeerId DataplaneImpl::add_peer() {
    if (!free_peers_.empty()) {
        const PeerId peer = free_peers_.back();
        free_peers_.pop_back();
        return peer;
    }
    return nb_peers_ever_ < options_.max_peers ? nb_peers_ever_++ : kNoPeer;
}

void DataplaneImpl::remove_peer(PeerId peer) {
    MG_ASSERT(peer < nb_peers_ever_);
    PeerSlot& slot = (*peers_)[peer];
    slot.sending.store(nullptr, std::memory_order_release);
    slot.path.store(nullptr, std::memory_order_release);
    retired_->add_action([this, peer] {
        (*peers_)[peer].roaming_noted_tsc.store(0, std::memory_order_relaxed);
        (*peers_)[peer].path_is_fixed.store(false, std::memory_order_relaxed);
        (*peers_)[peer].path_mtu_bytes.store(0, std::memory_order_relaxed);
        for (const ZeroedArray<PeerActivity>& of_worker : activity_) {
            PeerActivity& seen = of_worker[peer];
            for (Counter* counter : {&seen.rx_packets, &seen.rx_bytes, &seen.tx_packets,
                                     &seen.tx_bytes, &seen.last_data_rx_tsc, &seen.last_data_tx_tsc,
                                     &seen.last_any_rx_tsc, &seen.last_any_tx_tsc})
                counter->set(0);
        }
        free_peers_.push_back(peer);
    });
}

Dataplane::Activity DataplaneImpl::activity(PeerId peer) const {
    Activity sum{};
    const auto raise = [](uint64_t& value, const Counter& counter) {
        value = std::max(value, counter.get());
    };
    for (const ZeroedArray<PeerActivity>& of_worker : activity_) {
        const PeerActivity& seen = of_worker[peer];
        sum.rx_packets += seen.rx_packets.get();
        sum.rx_bytes += seen.rx_bytes.get();
        sum.tx_packets += seen.tx_packets.get();
        sum.tx_bytes += seen.tx_bytes.get();
        raise(sum.last_data_rx_tsc, seen.last_data_rx_tsc);
        raise(sum.last_data_tx_tsc, seen.last_data_tx_tsc);
        raise(sum.last_any_rx_tsc, seen.last_any_rx_tsc);
        raise(sum.last_any_tx_tsc, seen.last_any_tx_tsc);
    }
    return sum;
}

bool DataplaneImpl::install(std::unique_ptr<Keypair> keypair) {
    const uint32_t index = keypair->local_index;
    MG_ASSERT(worker_of(index) < options_.nb_workers);
    MG_ASSERT(keypair->peer < nb_peers_ever_);
    if (!index_->insert(index, IndexEntry{keypair.get()}))
        return false;
    keypairs_.insert_or_assign(index, std::move(keypair));
    return true;
}

Keypair* DataplaneImpl::keypair(uint32_t local_index) {
    return index_->find(local_index).keypair();
}

void DataplaneImpl::remove_keypair(uint32_t local_index) {
    Keypair* const removed = keypair(local_index);
    if (removed == nullptr)
        return;
    index_->erase(local_index);
    Keypair* sending = removed;
    (*peers_)[removed->peer].sending.compare_exchange_strong(sending, nullptr,
                                                             std::memory_order_acq_rel);
    // The slot of the table stays reserved as long as the keypair lives.
    retired_->add_action([this, local_index] {
        keypairs_.erase(local_index);
        index_->recycle(local_index);
    });
}

// ---- links and relays ----

LinkId DataplaneImpl::add_link() {
    if (!free_links_.empty()) {
        const LinkId id = free_links_.back();
        free_links_.pop_back();
        return id;
    }
    return nb_links_ever_ < kMaxLinks ? nb_links_ever_++ : kNoLink;
}

void DataplaneImpl::set_link(LinkId id, const Link* link) {
    MG_ASSERT(id < nb_links_ever_);
    (*links_)[id].store(link, std::memory_order_release);
}

void DataplaneImpl::remove_link(LinkId id) {
    set_link(id, nullptr);
    retired_->add_action([this, id] {
        for (const ZeroedArray<LinkCounters>& of_worker : link_counters_) {
            of_worker[id].relayed_packets.set(0);
            of_worker[id].relayed_bytes.set(0);
        }
        free_links_.push_back(id);
    });
}

bool DataplaneImpl::install_relay(uint32_t receiver_index, LinkId link) {
    MG_ASSERT(link < nb_links_ever_);
    if (nb_relays_ == options_.max_relays ||
        !index_->insert(receiver_index, IndexEntry::relay(link)))
        return false;
    ++nb_relays_;
    return true;
}

void DataplaneImpl::move_relay(uint32_t receiver_index, LinkId link) {
    MG_ASSERT(link < nb_links_ever_);
    if (index_->find(receiver_index).kind() == IndexEntry::Kind::relay)
        index_->replace(receiver_index, IndexEntry::relay(link));
}

void DataplaneImpl::remove_relay(uint32_t receiver_index) {
    if (index_->find(receiver_index).kind() != IndexEntry::Kind::relay)
        return;
    index_->erase(receiver_index);
    retired_->add_action([this, receiver_index] {
        index_->recycle(receiver_index);
        --nb_relays_;
    });
}

Dataplane::LinkActivity DataplaneImpl::link_activity(LinkId id) const {
    LinkActivity sum{};
    for (const ZeroedArray<LinkCounters>& of_worker : link_counters_) {
        sum.relayed_packets += of_worker[id].relayed_packets.get();
        sum.relayed_bytes += of_worker[id].relayed_bytes.get();
    }
    return sum;
}

// ---- up and down, by ring ----

bool DataplaneImpl::arm_wakeup() {
    control_doorbell_->disarm();
    control_doorbell_->arm();
    const auto has_news = [](const WorkerRings& rings) {
        return !is_empty(rings.punts.get()) || !is_empty(rings.mesh.get()) ||
               !is_empty(rings.waiting.get()) || !is_empty(rings.notes.get());
    };
    if (std::none_of(rings_.begin(), rings_.end(), has_news))
        return true;
    control_doorbell_->disarm();
    return false;
}

Packet DataplaneImpl::take(Ring WorkerRings::*ring) {
    for (size_t i = 0; i < rings_.size(); ++i) {
        next_ring_ = (next_ring_ + 1) % static_cast<unsigned>(rings_.size());
        void* mbuf = nullptr;
        if (rte_ring_dequeue((rings_[next_ring_].*ring).get(), &mbuf) == 0)
            return Packet{static_cast<rte_mbuf*>(mbuf)};
    }
    return Packet{};
}

// Handshakes and Babel by turns, so that a flood of the one does not delay the other.
Packet DataplaneImpl::take_urgent() {
    mesh_first_ = !mesh_first_;
    if (Packet packet = take(mesh_first_ ? &WorkerRings::mesh : &WorkerRings::punts))
        return packet;
    return take(mesh_first_ ? &WorkerRings::punts : &WorkerRings::mesh);
}

// Handshakes before packets that wait for them; but neither kind can keep the other out.
Packet DataplaneImpl::next_punt() {
    if (nb_punts_in_row_ < kPuntsPerWaiting) {
        ++nb_punts_in_row_;
        if (Packet packet = take_urgent())
            return packet;
    }
    nb_punts_in_row_ = 0;
    if (Packet packet = take(&WorkerRings::waiting))
        return packet;
    return take_urgent();
}

std::optional<Note> DataplaneImpl::next_note() {
    Note note;
    for (const WorkerRings& rings : rings_) {
        if (rte_ring_dequeue_elem(rings.notes.get(), &note, sizeof note) == 0)
            return note;
    }
    return std::nullopt;
}

Packet DataplaneImpl::allocate(uint16_t len) {
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(mempool_->get());
    if (mbuf == nullptr)
        return Packet{};
    meta_of(mbuf) = PacketMeta{};
    Packet packet{mbuf};
    if (rte_pktmbuf_append(mbuf, len) == nullptr)
        return Packet{};
    return packet;
}

bool DataplaneImpl::send(Packet packet, uint32_t order) {
    MG_ASSERT(packet);
    const PacketInfo& info = packet.info();
    MG_ASSERT(info.link == kNoLink || info.link < nb_links_ever_);
    unsigned worker = order % options_.nb_workers;
    // A finished frame goes to the worker that can send it without handing it on.
    if (info.inject == Inject::frame)
        worker = owner_of(info.port, order % ports_.at(info.port)->nb_tx_queues());
    rte_mbuf* const mbuf = packet.release();
    if (rte_ring_enqueue(rings_[worker].injections.get(), mbuf) != 0) {
        control_counters_.drops[static_cast<size_t>(Drop::handover_full)].add(1);
        rte_pktmbuf_free(mbuf);
        return false;
    }
    workers_[worker]->worker.parts.doorbell.ring();
    return true;
}

// ---- what is going on ----

uint64_t DataplaneImpl::nb_drops(Drop reason) const noexcept {
    uint64_t sum = 0;
    for (const auto& thread : workers_)
        sum += thread->worker.counters.drops[static_cast<size_t>(reason)].get();
    return sum;
}

PortStatus DataplaneImpl::port_status(PortId id) const {
    Port& port = *ports_.at(id);
    if (nb_drops(Drop::truncated) >= kSuperPackets)
        port.refuse_super_packets();
    const PortOptions& options = options_.ports[id];
    const PortTraits& traits = port.traits();
    const PortDriverStats stats = port.stats();
    const LinkState link = port.poll_link();
    return {.name = options.name,
            .device = device_text(options),
            .driver = port.driver(),
            .role = options.role,
            .mac = port.mac(),
            .link = link,
            .link_changes = port.nb_link_changes(),
            .nb_rx_queues = port.nb_rx_queues(),
            .nb_tx_queues = port.nb_tx_queues(),
            .rss = traits.rss,
            .tx_checksum_offload = traits.tx_ipv4_checksum && traits.tx_udp_checksum,
            .vlan_strip_offload = traits.vlan_strip,
            .rx_missed = stats.rx_missed,
            .rx_errors = stats.rx_errors,
            .rx_nombuf = stats.rx_nombuf,
            .tx_errors = stats.tx_errors};
}

WorkerStatus DataplaneImpl::worker_status(unsigned worker) const {
    return {.id = worker,
            .core = options_.cores.empty() ? -1 : static_cast<int>(options_.cores.at(worker)),
            .asleep = workers_.at(worker)->worker.asleep.load(std::memory_order_relaxed)};
}

const WorkerCounters& DataplaneImpl::counters(unsigned worker) const {
    return workers_.at(worker)->worker.counters;
}

std::string DataplaneImpl::memory_description() const {
    return std::to_string(memory_.memory_mib) + " MiB in " +
           (memory_.hugepages ? "hugepages" : "ordinary pages");
}

}  // namespace

Result<std::unique_ptr<Dataplane>> Dataplane::create(const DataplaneOptions& options) {
    if (const Result<void> fine = check_options(options); !fine)
        return tl::unexpected{fine.error()};
    auto dataplane = std::make_unique<DataplaneImpl>(options);
    for (const auto step : {&DataplaneImpl::start_eal, &DataplaneImpl::open_ports,
                            &DataplaneImpl::allocate_tables, &DataplaneImpl::make_workers}) {
        if (const Result<void> done = (*dataplane.*step)(); !done)
            return tl::unexpected{done.error()};
    }
    return dataplane;
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <sys/prctl.h>

#include <algorithm>

#include "dataplane/dataplane_impl.h"
#include "dataplane/ports/device.h"

namespace meshgate {

namespace {

// Besides mbufs: rings, and the queues of each port (af_packet keeps two arrays per queue).
constexpr unsigned kBaseMemoryMib = 48;
constexpr unsigned kMemoryPerPortMib = 8;  // likewise, for each port
// Previous, current and next keypair of a peer, and one that waits for its grace period.
constexpr size_t kKeypairsPerPeer = 4;
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

}  // namespace

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
        return propagate(memory);
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
        return propagate(started);
    eal_.emplace(*std::move(started));
    Result<Mempool> mempool = Mempool::create(pool);
    if (!mempool)
        return propagate(mempool);
    mempool_.emplace(*std::move(mempool));
    return {};
}

Result<void> DataplaneImpl::open_ports() {
    for (const PortOptions& options : options_.ports) {
        const auto id = static_cast<PortId>(ports_.size());
        Result<std::unique_ptr<Port>> port =
            Port::open(options, id, options_.nb_workers, *mempool_);
        if (!port)
            return propagate(port);
        ports_.push_back(*std::move(port));
        shared_.ports.push_back(ports_.back().get());
    }
    return {};
}

Result<void> DataplaneImpl::open_host() {
    Result<std::unique_ptr<HostSide>> host = HostSide::create(options_);
    if (!host)
        return propagate(host);
    host_ = *std::move(host);
    for (const auto& port : ports_) {
        if (host_)  // before the kernel derives addresses of its own from the MAC
            host_->follow(port->id(), port->mac(), port->mtu_bytes(), port->link());
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
        return propagate(aead);
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
    Result<WorkerRings> rings =
        WorkerRings::create(worker, host_ ? WorkerRings::Host::some : WorkerRings::Host::none);
    Result<ZeroedArray<PeerActivity>> activity =
        ZeroedArray<PeerActivity>::create(options_.max_peers);
    Result<ZeroedArray<LinkCounters>> links = ZeroedArray<LinkCounters>::create(kMaxLinks);
    if (!aead)
        return propagate(aead);
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
                       .host_up = own.host_up.get(),
                       .host_down = own.host_down.get(),
                       .inbox = own.inbox.get(),
                       .doorbell = *std::move(doorbell),
                       .idle = std::make_unique<IdleLadder>(idle),
                       .reassembly_bytes = Reassembly::kMaxBytes / options_.nb_workers};
}

Result<void> DataplaneImpl::make_workers() {
    shared_.pool = mempool_->get();
    shared_.snapshot = &*snapshot_;
    shared_.index = &*index_;
    shared_.peers = peers_->data();
    shared_.links = links_->data();
    shared_.rcu = rcu_->get();
    shared_.control_doorbell = &*control_doorbell_;
    if (host_)
        shared_.host = host_->view();
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

void DataplaneImpl::start() {
    MG_ASSERT(!running_);
    for (const auto& thread : workers_) {
        thread->runs.store(true, std::memory_order_release);
        const unsigned lcore = Eal::lcore_of(thread->worker.id());
        const int status = rte_eal_remote_launch(run_worker, thread.get(), lcore);
        MG_ASSERT(status == 0);
    }
    running_ = true;
    start_host();
}

void DataplaneImpl::start_host() {
    if (!host_)
        return;
    HostSide::Parts parts{.pool = mempool_->get(), .workers = {}, .tx_workers = {}};
    for (unsigned worker = 0; worker < options_.nb_workers; ++worker)
        parts.workers.push_back({.up = rings_[worker].host_up.get(),
                                 .down = rings_[worker].host_down.get(),
                                 .worker = &workers_[worker]->worker.parts.doorbell});
    for (const auto& port : ports_)
        parts.tx_workers.push_back(owner_of(port->id(), 0));
    host_->start(std::move(parts));
}

void DataplaneImpl::stop() {
    if (!running_)
        return;
    if (host_)
        host_->stop();
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

// ---- what is going on ----

PortStatus DataplaneImpl::port_status(PortId id) const {
    const Port& port = *ports_.at(id);
    const PortOptions& options = options_.ports[id];
    const PortTraits& traits = port.traits();
    const Ethdev* const ethdev = port.ethdev();
    const PortDriverStats stats = port.stats();
    return {.name = options.name,
            .device = device_text(options),
            .driver = port.driver(),
            .role = options.role,
            .mac = port.mac(),
            .link = port.link(),
            .link_changes = port.nb_link_changes(),
            .nb_rx_queues = port.nb_rx_queues(),
            .nb_tx_queues = port.nb_tx_queues(),
            .rss = ethdev != nullptr && ethdev->rss(),
            .tx_checksum_offload = traits.tx_ipv4_checksum && traits.tx_udp_checksum,
            .vlan_strip_offload = ethdev != nullptr && ethdev->strips_vlan(),
            .rx_missed = stats.rx_missed,
            .rx_errors = stats.rx_errors,
            .rx_nombuf = stats.rx_nombuf,
            .tx_errors = stats.tx_errors,
            .mtu_bytes = port.mtu_bytes(),
            .rebinds = port.nb_rebinds(),
            .offload_repairs = port.nb_offload_repairs(),
            .problem = port.problem(),
            .twin = host_ ? host_->status(id) : TwinStatus{}};
}

void DataplaneImpl::tick_ports(Time now) {
    for (const auto& port : ports_) {
        uint64_t nb_cut_frames = 0;
        for (const auto& thread : workers_)
            nb_cut_frames += thread->worker.counters.ports[port->id()].cut_frames.get();
        if (auto gone = port->tick(now, nb_cut_frames))
            retired_->add(std::move(gone));
        if (host_)
            host_->follow(port->id(), port->mac(), port->mtu_bytes(), port->link());
    }
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

Result<std::unique_ptr<Dataplane>> Dataplane::create(const DataplaneOptions& options) {
    if (const Result<void> fine = check_options(options); !fine)
        return propagate(fine);
    auto dataplane = std::make_unique<DataplaneImpl>(options);
    Result<void> done = dataplane->start_eal();
    if (done)
        done = dataplane->open_ports();
    if (done)
        done = dataplane->open_host();
    if (done)
        done = dataplane->allocate_tables();
    if (done)
        done = dataplane->make_workers();
    if (!done)
        return propagate(done);
    return dataplane;
}

}  // namespace meshgate

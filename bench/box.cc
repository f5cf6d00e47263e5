// SPDX-License-Identifier: Apache-2.0
#include "bench/box.h"

#include <rte_cycles.h>
#include <rte_malloc.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "dataplane/api/dataplane.h"
#include "dataplane/packet/packet_meta.h"
#include "dataplane/wire/wire.h"
#include "dataplane/worker/idle_ladder.h"

namespace meshgate::bench {

namespace {

constexpr unsigned kNbLanHosts = 32;
constexpr uint16_t kListenPort = 51820;
constexpr unsigned kMaxWorkersHere = 2;
constexpr MacAddress kOtherMac{{2, 0, 0, 0, 0, 9}};

IpAddress address(const char* text) {
    return parse_address(text).value();
}

uint16_t receive(void* queue, rte_mbuf** mbufs, uint16_t nb_mbufs) {
    auto& memory = *static_cast<MemoryQueue*>(queue);
    size_t n = std::min<size_t>(nb_mbufs, memory.arriving.size() - memory.nb_arrived);
    if (!memory.arrivals_tsc.empty())
        n = memory.nb_due(n);
    std::copy_n(memory.arriving.data() + memory.nb_arrived, n, mbufs);
    memory.nb_arrived += n;
    return static_cast<uint16_t>(n);
}

uint16_t transmit(void* queue, rte_mbuf** mbufs, uint16_t nb_mbufs) {
    auto& memory = *static_cast<MemoryQueue*>(queue);
    const size_t n = std::min<size_t>(nb_mbufs, memory.departed.size() - memory.nb_departed);
    std::copy_n(mbufs, n, memory.departed.data() + memory.nb_departed);
    if (!memory.departures_tsc.empty())
        std::fill_n(memory.departures_tsc.data() + memory.nb_departed, n, rte_rdtsc());
    memory.nb_departed += n;
    return static_cast<uint16_t>(n);
}

// The pool and the ports live as long as the process.
struct Ports {
    Mempool pool;
    std::vector<std::unique_ptr<Port>> ports;
    // By port and queue; what the ethdev layer calls instead of the driver's own.
    std::array<std::array<MemoryQueue, kMaxWorkersHere>, 2> queues;
    std::array<std::array<void*, kMaxWorkersHere>, 2> queue_pointers{};
};

std::unique_ptr<Port> open_port(const Mempool& pool, PortId id) {
    const std::string device = "net_ring" + std::to_string(id);
    auto port = Port::open(PortOptions{.name = id == Box::kWan ? "wan0" : "lan0",
                                       .device = DeviceKind::vdev,
                                       .device_argument = device,
                                       .role = id == Box::kWan ? PortRole::wan : PortRole::lan},
                           id, kMaxWorkersHere, pool);
    if (!port)
        std::fprintf(stderr, "%s\n", port.error().message.c_str());
    MG_ASSERT(port.has_value());
    MG_ASSERT((*port)->nb_rx_queues() == kMaxWorkersHere);
    return std::move(*port);
}

Ports& all_ports() {
    static Ports* ports = nullptr;
    if (ports != nullptr)
        return *ports;
    auto pool = Mempool::create({.name = "bench", .nb_mbufs = 8192, .max_frame_bytes = 1600});
    MG_ASSERT(pool.has_value());
    ports = new Ports{.pool = std::move(*pool), .ports = {}, .queues = {}};  // never destroyed
    for (const PortId id : {Box::kWan, Box::kLan}) {
        ports->ports.push_back(open_port(ports->pool, id));
        uint16_t ethdev = 0;
        MG_ASSERT(
            rte_eth_dev_get_port_by_name(("net_ring" + std::to_string(id)).c_str(), &ethdev) == 0);
        for (unsigned queue = 0; queue < kMaxWorkersHere; ++queue)
            ports->queue_pointers[id][queue] = &ports->queues[id][queue];
        struct rte_eth_fp_ops& calls = rte_eth_fp_ops[ethdev];
        calls.rx_pkt_burst = receive;
        calls.tx_pkt_burst = transmit;
        calls.rxq.data = ports->queue_pointers[id].data();
        calls.txq.data = ports->queue_pointers[id].data();
    }
    return *ports;
}

rte_ring* make_ring(const std::string& name, unsigned entry_len) {
    rte_ring* ring = rte_ring_create_elem(name.c_str(), entry_len, 4096, 0, RING_F_SC_DEQ);
    MG_ASSERT(ring != nullptr);
    return ring;
}

uint16_t padded(uint16_t len) noexcept {
    return static_cast<uint16_t>((len + kPadding - 1) / kPadding * kPadding);
}

}  // namespace

const char* to_string(Direction direction) noexcept {
    switch (direction) {
        case Direction::lan_to_wan:
            return "lan_to_wan";
        case Direction::wan_to_lan:
            return "wan_to_lan";
        case Direction::hairpin:
            break;
    }
    return "hairpin";
}

Sizes imix() {
    return {64, 64, 64, 64, 64, 64, 64, 570, 570, 570, 570, 1420};
}

void TimedAead::seal(std::span<AeadJob> jobs) noexcept {
    const uint64_t start_tsc = rte_rdtsc();
    engine_->seal(jobs);
    cycles += rte_rdtsc() - start_tsc;
}

void TimedAead::open(std::span<AeadJob> jobs) noexcept {
    const uint64_t start_tsc = rte_rdtsc();
    engine_->open(jobs);
    cycles += rte_rdtsc() - start_tsc;
}

size_t MemoryQueue::nb_due(size_t most) const noexcept {
    const uint64_t now_tsc = rte_rdtsc();
    size_t n = 0;
    while (n < most && arrivals_tsc[nb_arrived + n] <= now_tsc)
        ++n;
    return n;
}

// ---- the box ----

Box::Box(const BoxOptions& options) : options_{options}, rcu_{nullptr, rte_free} {
    MG_ASSERT(sodium_init() >= 0);
    MG_ASSERT(options.nb_workers <= kMaxWorkersHere && options.nb_prefixes >= options.nb_peers);
    Ports& ports = all_ports();
    // As large as a box makes it, however many there are: entries lie as far apart.
    const size_t room_for_relays = options.nb_relays == 0 ? 0 : DataplaneOptions{}.max_relays;
    index_ = std::make_unique<IndexTable>(
        IndexTable::create(options.nb_peers * 4 + room_for_relays).value());
    slots_ = std::make_unique<PeerSlot[]>(options.nb_peers);
    link_table_ = std::make_unique<std::atomic<const Link*>[]>(options.nb_peers);
    control_doorbell_ = std::make_unique<Doorbell>(Doorbell::create().value());
    const size_t rcu_len = rte_rcu_qsbr_get_memsize(options.nb_workers);
    rcu_.reset(static_cast<rte_rcu_qsbr*>(rte_zmalloc(nullptr, rcu_len, RTE_CACHE_LINE_SIZE)));
    MG_ASSERT(rte_rcu_qsbr_init(rcu_.get(), options.nb_workers) == 0);
    snapshot_ = std::make_unique<Published<Snapshot>>(std::make_shared<const Snapshot>());
    shared_ = WorkerShared{.ports = {},
                           .pool = ports.pool.get(),
                           .snapshot = snapshot_.get(),
                           .index = index_.get(),
                           .peers = slots_.get(),
                           .links = link_table_.get(),
                           .rcu = rcu_.get(),
                           .control_doorbell = control_doorbell_.get(),
                           .workers = {},
                           .tsc_hz = rte_get_tsc_hz()};
    for (const auto& port : ports.ports)
        shared_.ports.push_back(port.get());
    for (unsigned id = 0; id < options.nb_workers; ++id) {
        activities_.push_back(std::make_unique<PeerActivity[]>(options.nb_peers));
        link_counters_.push_back(std::make_unique<LinkCounters[]>(options.nb_peers));
        workers_.push_back(make_worker(id));
        shared_.workers.push_back(workers_.back().get());
    }
    links_.resize(options.nb_peers);
    next_counters_.resize(options.nb_peers);
    for (PeerId peer = 0; peer < options.nb_peers; ++peer)
        add_peer(peer);
    add_relays();
    publish();
}

Box::~Box() {
    for (const auto& worker : workers_) {
        for (rte_ring* ring : {worker->parts.punts, worker->parts.mesh, worker->parts.waiting,
                               worker->parts.injections, worker->parts.inbox, worker->parts.notes})
            rte_ring_free(ring);
    }
}

rte_mempool* Box::pool() {
    return all_ports().pool.get();
}

std::unique_ptr<AeadEngine> Box::make_engine() const {
    static const AeadSelection selection = select_aead(AeadChoice::automatic).value();
    return selection.create().value();
}

std::unique_ptr<Worker> Box::make_worker(unsigned id) {
    WorkerParts parts{.id = id, .doorbell = Doorbell::create().value()};
    for (const PortId port : {kWan, kLan}) {
        parts.rx_queues.push_back({port, static_cast<uint16_t>(id)});
        parts.tx_routes.push_back({.queue = static_cast<uint16_t>(id), .owner = id});
    }
    auto aead = std::make_unique<TimedAead>(make_engine());
    aeads_.push_back(aead.get());
    parts.aead = std::move(aead);
    parts.activity = activities_[id].get();
    parts.links = link_counters_[id].get();
    static unsigned nb_made = 0;
    const std::string suffix = std::to_string(nb_made++);  // the names of rings are the process's
    parts.punts = make_ring("bench_punts" + suffix, sizeof(void*));
    parts.mesh = make_ring("bench_mesh" + suffix, sizeof(void*));
    parts.waiting = make_ring("bench_waiting" + suffix, sizeof(void*));
    parts.notes = make_ring("bench_notes" + suffix, sizeof(Note));
    parts.injections = make_ring("bench_injections" + suffix, sizeof(void*));
    parts.inbox = make_ring("bench_inbox" + suffix, sizeof(void*));
    parts.idle = std::make_unique<IdleLadder>(IdleLadder::Options{.mode = IdleMode::busy});
    return std::make_unique<Worker>(shared_, std::move(parts));
}

// Both directions use keys of their own; sessions go round over the workers.
void Box::add_peer(PeerId peer) {
    Endpoint local{address("198.51.100.2"), kListenPort};
    Endpoint remote{IpAddress::v4(rte_cpu_to_be_32(0xc6120000U + peer)), kListenPort};
    if (options_.outer == Family::ipv6) {
        local.address = address("2001:db8:f::2");
        remote.address = address("2001:db8:e::");
        const uint32_t number_be = rte_cpu_to_be_32(peer);
        std::memcpy(&remote.address.bytes[12], &number_be, sizeof number_be);
    }
    links_[peer] = make_link({.port = kWan,
                              .port_mtu_bytes = 1500,
                              .vlan = kNoVlan,
                              .source_mac = shared_.ports[kWan]->mac(),
                              .next_hop_mac = kOtherMac,
                              .local = local,
                              .remote = remote});
    auto keypair = std::make_unique<Keypair>();
    randombytes_buf(keypair->send_key.data(), keypair->send_key.size());
    randombytes_buf(keypair->receive_key.data(), keypair->receive_key.size());
    // Any 27 bits, all different: an odd factor permutes them.
    const uint32_t number = (peer + 1) * 0x9e3779b1U & 0x7ffffffU;
    keypair->local_index = number << kWorkerBits | peer % options_.nb_workers;
    keypair->remote_index_le = peer;
    keypair->peer = peer;
    keypair->reject_after_tsc = UINT64_MAX;
    keypair->confirmed.store(true);
    MG_ASSERT(index_->insert(keypair->local_index, IndexEntry{keypair.get()}));
    slots_[peer].path.store(&links_[peer]);
    slots_[peer].sending.store(keypair.get());
    keypairs_.push_back(std::move(keypair));
}

// Any 32 bits, none of them a session's: an odd factor permutes them, and sessions name a worker.
uint32_t Box::relay_index(uint32_t number) const noexcept {
    return (number * 0x9e3779b1U & 0x7ffffffU) << kWorkerBits | 0x1fU;
}

void Box::add_relays() {
    for (PeerId peer = 0; peer < options_.nb_peers; ++peer)
        link_table_[peer].store(&links_[peer]);
    for (uint32_t number = 0; number < options_.nb_relays; ++number)
        MG_ASSERT(
            index_->insert(relay_index(number), IndexEntry::relay(number % options_.nb_peers)));
}

// Networks all over the address space that a gateway may route to: /24 of 16.0.0.0/4 and onwards,
// /64 of fd00::/16.
Prefix Box::prefix(size_t number) const {
    if (options_.inner == Family::ipv4) {
        const auto network = static_cast<uint32_t>((number * 2654435761U) & 0x1fffffU);
        return {IpAddress::v4(rte_cpu_to_be_32(0x10000000U + (network << 8))), 24};
    }
    std::array<uint8_t, 16> bytes{0xfd, 0};
    const uint64_t network_be = rte_cpu_to_be_64((number * 0x9e3779b97f4a7c15U) << 16);
    std::memcpy(&bytes[2], &network_be, 6);
    return {IpAddress::v6(bytes.data()), 64};
}

IpAddress Box::address_of(PeerId peer, std::mt19937_64& random) const {
    const size_t nb_each = options_.nb_prefixes / options_.nb_peers;
    const size_t number = random() % nb_each * options_.nb_peers + peer;
    IpAddress result = prefix(number).address;
    result.bytes[result.is_v4() ? 3 : 15] = static_cast<uint8_t>(1 + random() % 200);
    return result;
}

IpAddress Box::lan_host(std::mt19937_64& random) const {
    IpAddress host = address(options_.inner == Family::ipv4 ? "10.1.0.0" : "2001:db8:1::");
    host.bytes[host.is_v4() ? 3 : 15] = static_cast<uint8_t>(2 + random() % kNbLanHosts);
    return host;
}

void Box::publish() {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->ports = {{.role = PortRole::wan,
                        .mac = shared_.ports[kWan]->mac(),
                        .addresses = {address("198.51.100.2"), address("2001:db8:f::2")}},
                       {.role = PortRole::lan,
                        .mac = shared_.ports[kLan]->mac(),
                        .addresses = {address("10.1.0.1"), address("2001:db8:1::1")}}};
    snapshot->listen_ports = {kListenPort};
    snapshot->entries.push_back({});
    std::vector<Fib::Route> routes;
    const auto add = [&](const Prefix& prefix, uint32_t entry) {
        routes.push_back({prefix, entry});
    };
    snapshot->entries.push_back({.kind = ForwardKind::local});
    snapshot->entries.push_back({.kind = ForwardKind::connected, .port = kLan});
    for (const char* ours : {"10.1.0.1/32", "2001:db8:1::1/128"})
        add(*parse_prefix(ours), 1);
    for (const char* connected : {"10.1.0.0/24", "2001:db8:1::/64"})
        add(*parse_prefix(connected), 2);
    for (PeerId peer = 0; peer < options_.nb_peers; ++peer)
        snapshot->entries.push_back({.kind = ForwardKind::peer, .peer = peer});
    for (size_t number = 0; number < options_.nb_prefixes; ++number)
        add(prefix(number), static_cast<uint32_t>(3 + number % options_.nb_peers));
    snapshot->fib = Fib::build(routes);
    std::vector<NeighborTable::Neighbor> neighbors;
    for (unsigned i = 0; i < kNbLanHosts; ++i) {
        for (const char* network : {"10.1.0.0", "2001:db8:1::"}) {
            IpAddress host = address(network);
            host.bytes[host.is_v4() ? 3 : 15] = static_cast<uint8_t>(2 + i);
            neighbors.push_back({kLan, host, kOtherMac});
        }
    }
    snapshot->neighbors = NeighborTable::build(neighbors);
    (void)snapshot_->exchange(std::move(snapshot));
}

MemoryQueue& Box::queue(Direction direction, unsigned worker) {
    return all_ports().queues[direction == Direction::lan_to_wan ? kLan : kWan][worker];
}

MemoryQueue& Box::departures(Direction direction, unsigned worker) {
    return all_ports().queues[direction == Direction::wan_to_lan ? kLan : kWan][worker];
}

// ---- packets ----

Packets::Packets(Box& box, unsigned worker, Direction direction, const Sizes& sizes,
                 size_t nb_packets)
    : box_{box},
      worker_{worker},
      direction_{direction},
      nb_packets_{nb_packets},
      plans_(kNbPlans),
      mbufs_(nb_packets),
      peers_aead_{box.make_engine()} {
    MG_ASSERT(nb_packets % kBurst == 0 && kNbPlans % nb_packets == 0);
    MG_ASSERT(
        rte_pktmbuf_alloc_bulk(Box::pool(), mbufs_.data(), static_cast<unsigned>(nb_packets)) == 0);
    std::mt19937_64 random{worker};
    for (Plan& one : plans_)
        plan(one, random, sizes[random() % sizes.size()]);
}

Packets::~Packets() {
    rte_pktmbuf_free_bulk(mbufs_.data(), static_cast<unsigned>(nb_packets_));
    box_.queue(direction_, worker_) = MemoryQueue{};
    box_.departures(direction_, worker_) = MemoryQueue{};
}

// Any peer sends and any peer receives; but sessions arrive where they belong, as with a NIC that
// spreads by what the sender chose.
void Packets::plan(Plan& plan, std::mt19937_64& random, uint16_t len) const {
    const BoxOptions& options = box_.options();
    const PeerId nb_own = options.nb_peers / options.nb_workers;
    const auto any_peer = [&] { return static_cast<PeerId>(random() % options.nb_peers); };
    if (direction_ != Direction::lan_to_wan)
        plan.from = static_cast<PeerId>(random() % std::max(nb_own, 1U)) * options.nb_workers +
                    (nb_own == 0 ? 0 : worker_);
    if (direction_ != Direction::wan_to_lan)
        plan.to = any_peer();
    plan.len = len;
    const IpAddress source =
        plan.from == kNoPeer ? box_.lan_host(random) : box_.address_of(plan.from, random);
    const IpAddress destination =
        plan.to == kNoPeer ? box_.lan_host(random) : box_.address_of(plan.to, random);
    const bool v4 = source.is_v4();
    const uint16_t ip_len = v4 ? kIpv4Len : kIpv6Len;
    plan.header_len = static_cast<uint16_t>(ip_len + kUdpLen);
    rte_udp_hdr udp{.src_port = static_cast<uint16_t>(random()),
                    .dst_port = static_cast<uint16_t>(random()),
                    .dgram_len = rte_cpu_to_be_16(static_cast<uint16_t>(len - ip_len)),
                    .dgram_cksum = 1};
    if (v4) {
        rte_ipv4_hdr ip{};
        ip.version_ihl = RTE_IPV4_VHL_DEF;
        ip.total_length = rte_cpu_to_be_16(len);
        ip.time_to_live = 64;
        ip.next_proto_id = kProtoUdp;
        ip.src_addr = source.v4_be();
        ip.dst_addr = destination.v4_be();
        ip.hdr_checksum = rte_ipv4_cksum(&ip);
        std::memcpy(plan.header.data(), &ip, sizeof ip);
    } else {
        rte_ipv6_hdr ip{};
        ip.vtc_flow = rte_cpu_to_be_32(6U << 28);
        ip.payload_len = rte_cpu_to_be_16(static_cast<uint16_t>(len - kIpv6Len));
        ip.proto = kProtoUdp;
        ip.hop_limits = 64;
        std::memcpy(ip.src_addr, source.bytes.data(), 16);
        std::memcpy(ip.dst_addr, destination.bytes.data(), 16);
        std::memcpy(plan.header.data(), &ip, sizeof ip);
    }
    std::memcpy(plan.header.data() + ip_len, &udp, sizeof udp);
}

void Packets::make_frame(rte_mbuf* mbuf, const Plan& plan) const noexcept {
    rte_pktmbuf_reset(mbuf);
    mbuf->data_len = static_cast<uint16_t>(kEtherLen + plan.len);
    mbuf->pkt_len = mbuf->data_len;
    auto* ether = header_at<rte_ether_hdr>(mbuf);
    const MacAddress& mac = box_.view(Box::kLan).mac;
    std::memcpy(&ether->dst_addr, mac.bytes.data(), 6);
    std::memcpy(&ether->src_addr, kOtherMac.bytes.data(), 6);
    ether->ether_type =
        rte_cpu_to_be_16((plan.header[0] >> 4) == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
    std::memcpy(ether + 1, plan.header.data(), plan.header_len);
}

// Inner packets where they stand in a datagram from the underlay, padded, and what to seal them
// with: the key we open with.
void Packets::make_plaintexts(rte_mbuf* const* mbufs, AeadJob* jobs, size_t begin,
                              size_t nb_packets) {
    for (size_t i = 0; i < nb_packets; ++i) {
        const Plan& plan = plan_of(begin + i);
        Keypair& keypair = box_.keypair(plan.from);
        rte_mbuf* mbuf = mbufs[i];
        rte_pktmbuf_reset(mbuf);
        auto* inner =
            header_at<uint8_t>(mbuf, kEtherLen + kIpv4Len + kUdpLen + sizeof(TransportHeader));
        std::memcpy(inner, plan.header.data(), plan.header_len);
        const uint16_t padded_len = padded(plan.len);
        std::memset(inner + plan.len, 0, static_cast<size_t>(padded_len - plan.len));
        jobs[i] = {.key = keypair.receive_key.data(),
                   .counter = box_.next_counter(plan.from),
                   .data = inner,
                   .len = padded_len};
    }
}

void Packets::put_outer(rte_mbuf* mbuf, const Plan& plan, uint64_t counter,
                        uint16_t padded_len) const {
    const Link& link = box_.link(plan.from);
    const auto udp_len =
        static_cast<uint16_t>(kUdpLen + sizeof(TransportHeader) + padded_len + kTagLen);
    auto* ether = header_at<rte_ether_hdr>(mbuf);
    const MacAddress& mac = box_.view(Box::kWan).mac;
    std::memcpy(&ether->dst_addr, mac.bytes.data(), 6);
    std::memcpy(&ether->src_addr, kOtherMac.bytes.data(), 6);
    ether->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
    auto* ip = header_at<rte_ipv4_hdr>(mbuf, kEtherLen);
    *ip = rte_ipv4_hdr{};
    ip->version_ihl = RTE_IPV4_VHL_DEF;
    ip->total_length = rte_cpu_to_be_16(static_cast<uint16_t>(kIpv4Len + udp_len));
    ip->time_to_live = 64;
    ip->next_proto_id = kProtoUdp;
    ip->src_addr = link.remote.address.v4_be();
    ip->dst_addr = link.local.address.v4_be();
    ip->hdr_checksum = rte_ipv4_cksum(ip);
    auto* udp = header_at<rte_udp_hdr>(mbuf, kEtherLen + kIpv4Len);
    *udp = {.src_port = rte_cpu_to_be_16(link.remote.port),
            .dst_port = rte_cpu_to_be_16(kListenPort),
            .dgram_len = rte_cpu_to_be_16(udp_len),
            .dgram_cksum = 0};
    *header_at<TransportHeader>(mbuf, kEtherLen + kIpv4Len + kUdpLen) = {
        .type_le = rte_cpu_to_le_32(kMessageTransport),
        .receiver_index_le = rte_cpu_to_le_32(box_.keypair(plan.from).local_index),
        .counter_le = rte_cpu_to_le_64(counter)};
    mbuf->data_len = static_cast<uint16_t>(kEtherLen + kIpv4Len + udp_len);
    mbuf->pkt_len = mbuf->data_len;
}

void Packets::prepare() {
    first_plan_ = (first_plan_ + nb_packets_) % kNbPlans;
    std::array<AeadJob, kBurst> jobs;
    for (size_t begin = 0; begin < nb_packets_; begin += kBurst) {
        if (direction_ == Direction::lan_to_wan) {
            for (size_t i = begin; i < begin + kBurst; ++i)
                make_frame(mbufs_[i], plan_of(i));
            continue;
        }
        make_plaintexts(&mbufs_[begin], jobs.data(), begin, kBurst);
        peers_aead_->seal(jobs);
        for (size_t i = 0; i < kBurst; ++i)
            put_outer(mbufs_[begin + i], plan_of(begin + i), jobs[i].counter,
                      static_cast<uint16_t>(jobs[i].len));
    }
    MemoryQueue& in = box_.queue(direction_, worker_);
    in.arriving = mbufs_;
    in.nb_arrived = 0;
    MemoryQueue& out = box_.departures(direction_, worker_);
    out.departed.resize(nb_packets_);
    out.nb_departed = 0;
}

// All that was received was sent: a packet that dies is cheaper than one that travels.
void Packets::check_departed() const {
    if (box_.departures(direction_, worker_).nb_departed == nb_packets_)
        return;
    const WorkerCounters& counters = box_.worker(worker_).counters;
    for (size_t i = 0; i < kNbDrops; ++i) {
        if (const uint64_t n = counters.drops.get(static_cast<Drop>(i)); n != 0)
            std::fprintf(stderr, "dropped %s: %lu\n", meshgate::to_string(static_cast<Drop>(i)), n);
    }
    for (size_t i = 0; i < kNbPunts; ++i) {
        if (const uint64_t n = counters.punts[i].get(); n != 0)
            std::fprintf(stderr, "punted %s: %lu\n", meshgate::to_string(static_cast<Punt>(i)), n);
    }
    MG_ASSERT(false && "packets were lost");
}

uint64_t Packets::run() {
    Worker& worker = box_.worker(worker_);
    const MemoryQueue& in = box_.queue(direction_, worker_);
    const uint64_t start_tsc = rte_rdtsc();
    while (in.nb_arrived < in.arriving.size())
        worker.turn();
    const uint64_t cycles = rte_rdtsc() - start_tsc;
    check_departed();
    return cycles;
}

uint64_t Packets::run_ports() {
    const Port& in =
        *all_ports().ports[direction_ == Direction::lan_to_wan ? Box::kLan : Box::kWan];
    const Port& out =
        *all_ports().ports[direction_ == Direction::wan_to_lan ? Box::kLan : Box::kWan];
    const auto queue = static_cast<uint16_t>(worker_);
    std::array<rte_mbuf*, kBurst> mbufs;
    const uint64_t start_tsc = rte_rdtsc();
    while (const uint16_t n = in.rx_burst(queue, mbufs.data(), kBurst))
        out.tx_burst(queue, mbufs.data(), n);
    const uint64_t cycles = rte_rdtsc() - start_tsc;
    check_departed();
    return cycles;
}

AeadJob Packets::open_job(size_t i) noexcept {
    constexpr uint16_t kMessage = kEtherLen + kIpv4Len + kUdpLen;
    return {.key = box_.keypair(plan_of(i).from).receive_key.data(),
            .counter = header_at<TransportHeader>(mbufs_[i], kMessage)->counter_le,
            .data = header_at<uint8_t>(mbufs_[i], kMessage + sizeof(TransportHeader)),
            .len = uint32_t{padded(plan_of(i).len)} + kTagLen};
}

AeadJob Packets::seal_job(size_t i) noexcept {
    return {.key = box_.keypair(plan_of(i).to).send_key.data(),
            .counter = i,
            .data = header_at<uint8_t>(mbufs_[i], kEtherLen),
            .len = padded(plan_of(i).len)};
}

uint64_t Packets::run_aead(AeadEngine& engine) {
    std::array<AeadJob, kBurst> jobs;
    uint64_t cycles = 0;
    for (size_t begin = 0; begin < nb_packets_; begin += kBurst) {
        if (direction_ != Direction::lan_to_wan) {
            for (size_t i = 0; i < kBurst; ++i)
                jobs[i] = open_job(begin + i);
            const uint64_t start_tsc = rte_rdtsc();
            engine.open(jobs);
            cycles += rte_rdtsc() - start_tsc;
            for (const AeadJob& job : jobs)
                MG_ASSERT(job.ok);
        }
        if (direction_ != Direction::wan_to_lan) {
            for (size_t i = 0; i < kBurst; ++i)
                jobs[i] = seal_job(begin + i);
            const uint64_t start_tsc = rte_rdtsc();
            engine.seal(jobs);
            cycles += rte_rdtsc() - start_tsc;
        }
    }
    // Nobody shall find them on the port.
    MemoryQueue& in = box_.queue(direction_, worker_);
    in.nb_arrived = in.arriving.size();
    return cycles;
}

}  // namespace meshgate::bench

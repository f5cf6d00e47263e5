// SPDX-License-Identifier: Apache-2.0
#include "dataplane/host/host_side.h"

#include <pthread.h>
#include <rte_cycles.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>
#include <sched.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/random.h"
#include "dataplane/packet/batch.h"
#include "dataplane/packet/packet_meta.h"
#include "dataplane/wire/wire.h"
#include "dataplane/worker/rings.h"

namespace meshgate {

namespace {

// Of one interface in a row, so that none waits long for another.
constexpr unsigned kReadsPerTurn = 64;
// A packet of 64 KiB is at most so many pieces; less room, and the kernel waits.
constexpr unsigned kRoomForOne = 256;
// While a worker has not emptied its ring.
constexpr auto kWaitForRoom = std::chrono::microseconds{50};
constexpr size_t kFrameHead = 2 * sizeof(rte_ether_addr);

}  // namespace

// ---- made, followed, asked ----

HostSide::HostSide(Doorbell doorbell, uint64_t seed)
    : doorbell_{std::move(doorbell)}, guard_{seed}, buffer_(Tap::kMaxBytes) {}

Result<std::unique_ptr<HostSide>> HostSide::create(const DataplaneOptions& options) {
    const bool any = std::ranges::any_of(
        options.ports, [](const PortOptions& port) { return !port.twin.empty(); });
    if (!any)
        return nullptr;
    Result<Doorbell> doorbell = Doorbell::create();
    if (!doorbell)
        return propagate(doorbell);
    std::unique_ptr<HostSide> host{new HostSide{*std::move(doorbell), random_number<uint64_t>()}};
    host->epoll_ = UniqueFd{epoll_create1(EPOLL_CLOEXEC)};
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    if (!host->epoll_ ||
        epoll_ctl(host->epoll_.get(), EPOLL_CTL_ADD, host->doorbell_.fd(), &event) != 0)
        return fail(errno, "epoll");
    for (size_t i = 0; i < options.ports.size(); ++i) {
        const PortOptions& port = options.ports[i];
        if (port.twin.empty())
            continue;
        if (const auto added = host->add(port.twin, static_cast<PortId>(i), &port); !added)
            return within("port " + port.name, added.error());
    }
    if (!options.overlay_interface.empty()) {
        if (const auto added = host->add(options.overlay_interface, kNoPort, nullptr); !added)
            return propagate(added);
    }
    host->worker_cores_ = options.cores;
    return host;
}

Result<void> HostSide::add(const std::string& name, PortId port, const PortOptions* options) {
    auto tap = Tap::open(name, options != nullptr ? Tap::Layer::ethernet : Tap::Layer::ip);
    if (!tap)
        return propagate(tap);
    auto interface = KernelInterface::open(name);
    if (!interface)
        return propagate(interface);
    auto way = std::make_unique<Way>(*std::move(tap));
    way->port = port;
    way->interface.emplace(*std::move(interface));
    if (options != nullptr) {
        way->from = options->role == PortRole::wan ? Guard::From::internet : Guard::From::site;
        way->vlan = options->vlan;
    }
    epoll_event event{.events = EPOLLIN, .data = {.ptr = way.get()}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, way->tap.fd(), &event) != 0)
        return fail(errno, "kernel interface " + name + ": epoll");
    ways_.push_back(std::move(way));
    return {};
}

HostSide::~HostSide() {
    stop();
}

HostView HostSide::view() noexcept {
    HostView view{.doorbell = &doorbell_};
    for (const auto& way : ways_) {
        if (way->port == kNoPort)
            view.overlay = true;
        else
            view.twins |= 1U << way->port;
    }
    return view;
}

HostSide::Way* HostSide::way_of(PortId port) const noexcept {
    const auto found = std::ranges::find(ways_, port, [](const auto& way) { return way->port; });
    return found == ways_.end() ? nullptr : found->get();
}

// What the kernel refuses of MTU and link is tried again at the next change only. The MAC address is
// looked at each time: udev gives new interfaces one of its own (MACAddressPolicy=persistent), before or
// after we do, and frames for that one the port would not take.
void HostSide::follow(PortId port, const MacAddress& mac, uint16_t mtu_bytes, LinkState link) {
    Way* const way = way_of(port);
    if (way == nullptr)
        return;
    if (port != kNoPort && !mac.is_zero()) {
        const auto state = way->interface->read();
        if (state && state->mac != mac) [[maybe_unused]]
            const auto set = way->interface->set_mac(mac);
    }
    if (std::exchange(way->mtu_bytes, mtu_bytes) != mtu_bytes) [[maybe_unused]]
        const auto set = way->interface->set_mtu(mtu_bytes);
    if (std::exchange(way->link, link) != link)
        way->tap.set_carrier(link == LinkState::up);
}

TwinStatus HostSide::status(PortId port) const {
    const Way* const way = way_of(port);
    if (way == nullptr)
        return {};
    return {.name = way->tap.name(),
            .to_host_packets = way->to_host_packets.get(),
            .to_host_bytes = way->to_host_bytes.get(),
            .from_host_packets = way->from_host_packets.get(),
            .from_host_bytes = way->from_host_bytes.get()};
}

// ---- the thread ----

void HostSide::start(Parts parts) {
    parts_ = std::move(parts);
    stop_.store(false, std::memory_order_relaxed);
    thread_ = std::thread{[this] { run(); }};
}

void HostSide::stop() noexcept {
    if (!thread_.joinable())
        return;
    stop_.store(true, std::memory_order_relaxed);
    doorbell_.ring();
    thread_.join();
}

// It inherits the freedom of the thread that started it; a core that polls is nobody else's.
void HostSide::keep_off_worker_cores() noexcept {
    cpu_set_t allowed;
    if (worker_cores_.empty() || sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (const unsigned core : worker_cores_)
        CPU_CLR(core, &allowed);
    if (CPU_COUNT(&allowed) > 0)
        sched_setaffinity(0, sizeof allowed, &allowed);
}

void HostSide::run() noexcept {
    pthread_setname_np(pthread_self(), "host");
    keep_off_worker_cores();
    // Gives it a cache of mbufs of its own; without one it works all the same.
    const bool registered = rte_thread_register() == 0;
    bool busy = true;
    while (!stop_.load(std::memory_order_relaxed)) {
        if (!busy)
            sleep();
        const Time now = std::chrono::steady_clock::now();
        const bool any_up = take_from_workers(now) > 0;
        std::array<epoll_event, kMaxPorts + 2> events;
        const int nb_ready =
            has_room() ? epoll_wait(epoll_.get(), events.data(), events.size(), 0) : -1;
        unsigned nb_down = 0;
        for (int i = 0; i < nb_ready; ++i) {
            if (auto* const way = static_cast<Way*>(events[i].data.ptr); way != nullptr)
                nb_down += take_from_kernel(*way, events[i].events, now);
        }
        if (nb_ready < 0)
            std::this_thread::sleep_for(kWaitForRoom);
        busy = any_up || nb_down > 0 || nb_ready < 0;
    }
    take_from_workers(std::chrono::steady_clock::now());
    if (registered)
        rte_thread_unregister();
}

// Until a worker rings, the kernel sends, or we shall stop.
void HostSide::sleep() noexcept {
    doorbell_.arm();
    const bool anything =
        std::ranges::any_of(parts_.workers, [](const Rings& rings) { return !is_empty(rings.up); });
    if (!anything && !stop_.load(std::memory_order_relaxed)) {
        epoll_event event;
        counters_.sleeps.add(1);
        epoll_wait(epoll_.get(), &event, 1, -1);
    }
    doorbell_.disarm();
}

void HostSide::drop(Drop reason, uint64_t nb_packets) noexcept {
    counters_.drops.add(reason, Stage::host, nb_packets);
}

// ---- up ----

unsigned HostSide::take_from_workers(Time now) noexcept {
    unsigned nb_packets = 0;
    for (const Rings& rings : parts_.workers) {
        std::array<rte_mbuf*, kBurst> mbufs;
        const unsigned n = rte_ring_dequeue_burst(rings.up, reinterpret_cast<void**>(mbufs.data()),
                                                  mbufs.size(), nullptr);
        for (unsigned i = 0; i < n; ++i)
            hand_up(mbufs[i], now);
        if (n > 0)
            rte_pktmbuf_free_bulk(mbufs.data(), n);
        nb_packets += n;
    }
    return nb_packets;
}

void HostSide::hand_up(rte_mbuf* mbuf, Time now) noexcept {
    const PortId port = meta_of(mbuf).info.port;
    const std::span<const uint8_t> bytes{rte_pktmbuf_mtod(mbuf, const uint8_t*), mbuf->data_len};
    Way* const way = way_of(port);
    const auto packet = port == kNoPort ? parse_host_ip(bytes) : parse_host_frame(bytes);
    if (way == nullptr || !packet)
        return drop(Drop::bad_ip_header);
    if (const Verdict verdict = guard_.judge(port, way->from, *packet, now); !verdict.is_sound())
        return drop(verdict.reason());
    if (!way->tap.write(bytes))
        return drop(Drop::host_refused);
    counters_.to_host_packets.add(1);
    way->to_host_packets.add(1);
    way->to_host_bytes.add(bytes.size());
}

// ---- down ----

bool HostSide::has_room() const noexcept {
    return std::ranges::all_of(parts_.workers, [](const Rings& rings) {
        return rte_ring_free_count(rings.down) >= kRoomForOne;
    });
}

unsigned HostSide::take_from_kernel(Way& way, uint32_t events, Time now) noexcept {
    // Somebody deleted it, which it would say for ever.
    if ((events & EPOLLERR) != 0) {
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, way.tap.fd(), nullptr);
        return 0;
    }
    unsigned nb_packets = 0;
    for (; nb_packets < kReadsPerTurn && has_room(); ++nb_packets) {
        const auto received = way.tap.read(buffer_);
        if (!received)
            break;
        hand_down(way, *received, now);
    }
    for (const Rings& rings : parts_.workers)
        rings.worker->ring();
    return nb_packets;
}

// Whole packets without a tag of their own: the port's is put in later.
Verdict HostSide::check_down(const Way& way, std::span<const uint8_t> bytes, Time now) noexcept {
    const auto packet = way.port == kNoPort ? parse_host_ip(bytes) : parse_host_frame(bytes);
    if (!packet)
        return Drop::bad_ip_header;
    if (packet->ether_type == RTE_ETHER_TYPE_VLAN)
        return Drop::wrong_vlan;
    if (way.from == Guard::From::internet)
        guard_.sent(way.port, *packet, now);
    return kSound;
}

void HostSide::hand_down(Way& way, const Tap::Received& received, Time now) noexcept {
    const uint16_t l3_offset = way.port == kNoPort ? 0 : kEtherLen;
    const auto packet = SuperPacket::parse(received.header, received.bytes, l3_offset);
    const Verdict verdict =
        packet ? check_down(way, received.bytes, now) : Verdict{Drop::bad_ip_header};
    if (!verdict.is_sound()) {
        counters_.from_host_packets.add(1);
        return drop(verdict.reason());
    }
    send_pieces(way, *packet, worker_for(way, received.bytes));
}

// Frames go to whom the port's queue belongs; of the network's packets each flow to one worker.
unsigned HostSide::worker_for(const Way& way, std::span<const uint8_t> bytes) const noexcept {
    if (way.port != kNoPort)
        return parts_.tx_workers[way.port];
    const bool v4 = bytes[0] >> 4 == 4;
    const auto addresses = v4 ? bytes.subspan(12, 8) : bytes.subspan(8, 32);
    const auto len = static_cast<uint32_t>(addresses.size());
    return rte_hash_crc(addresses.data(), len, 0) % static_cast<uint32_t>(parts_.workers.size());
}

void HostSide::send_pieces(Way& way, const SuperPacket& packet, unsigned worker) noexcept {
    std::array<void*, kBurst> mbufs;
    unsigned nb_mbufs = 0;
    const auto send = [&] {
        const unsigned nb_sent =
            rte_ring_enqueue_burst(parts_.workers[worker].down, mbufs.data(), nb_mbufs, nullptr);
        if (nb_sent < nb_mbufs) {
            drop(Drop::host_full, nb_mbufs - nb_sent);
            rte_pktmbuf_free_bulk(reinterpret_cast<rte_mbuf**>(&mbufs[nb_sent]),
                                  nb_mbufs - nb_sent);
        }
        nb_mbufs = 0;
    };
    for (unsigned piece = 0; piece < packet.nb_pieces(); ++piece) {
        counters_.from_host_packets.add(1);
        way.from_host_packets.add(1);
        way.from_host_bytes.add(packet.piece_len(piece));
        if (rte_mbuf* const mbuf = make_mbuf(way, packet, piece))
            mbufs[nb_mbufs++] = mbuf;
        if (nb_mbufs == mbufs.size())
            send();
    }
    if (nb_mbufs > 0)
        send();
}

// Null, and counted, where it does not fit or there is none.
rte_mbuf* HostSide::make_mbuf(const Way& way, const SuperPacket& packet, unsigned piece) noexcept {
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(parts_.pool);
    if (mbuf == nullptr) {
        drop(Drop::no_mbuf);
        return nullptr;
    }
    const uint16_t tag_len = way.vlan == kNoVlan ? 0 : kVlanLen;
    const uint16_t len = packet.piece_len(piece);
    char* const data = rte_pktmbuf_append(mbuf, static_cast<uint16_t>(tag_len + len));
    if (data == nullptr) {
        rte_pktmbuf_free(mbuf);
        drop(Drop::too_big);
        return nullptr;
    }
    meta_of(mbuf) = PacketMeta{};
    meta_of(mbuf).info.port = way.port;
    packet.write(piece, reinterpret_cast<uint8_t*>(data) + tag_len);
    if (tag_len > 0) {
        std::memmove(data, data + tag_len, kFrameHead);
        const std::array<uint16_t, 2> tag{rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN),
                                          rte_cpu_to_be_16(way.vlan)};
        std::memcpy(data + kFrameHead, tag.data(), sizeof tag);
    }
    return mbuf;
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <poll.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "dataplane/api/note.h"
#include "dataplane/api/packet.h"
#include "dataplane/packet/packet_meta.h"
#include "dataplane/ports/device.h"
#include "dataplane/ports/eal.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/ports/packet_socket.h"
#include "dataplane/ports/port.h"
#include "dataplane/tables/retire_list.h"
#include "dataplane/tables/zeroed_array.h"
#include "dataplane/worker/activity.h"
#include "dataplane/worker/doorbell.h"
#include "dataplane/worker/idle_ladder.h"
#include "dataplane/worker/rings.h"

namespace meshgate {

namespace {

PortOptions port_options(DeviceKind device, std::string argument) {
    PortOptions options;
    options.name = "lan0";
    options.device = device;
    options.device_argument = std::move(argument);
    return options;
}

std::string arguments_of(const PortOptions& options, unsigned nb_queues = 1) {
    const Result<Device> device = make_device(options, 3, nb_queues);
    return device ? device->name + "," + device->arguments : "error: " + device.error().message;
}

// ---- words of the box file ----

TEST(Device, TurnsEachWordIntoTheArgumentsOfItsDriver) {
    EXPECT_EQ(arguments_of(port_options(DeviceKind::af_packet, "eth1"), 2),
              "net_af_packet3,iface=eth1,qpairs=2,framesz=2048,framecnt=4096,"
              "blocksz=65536");
    EXPECT_EQ(arguments_of(port_options(DeviceKind::af_xdp, "eth1")),
              "net_af_xdp3,iface=eth1,start_queue=0,queue_count=1,busy_budget=0");
    EXPECT_EQ(arguments_of(port_options(DeviceKind::pci, "03:00.1")), "0000:03:00.1,");
    EXPECT_EQ(arguments_of(port_options(DeviceKind::pci, "0001:03:00.1")), "0001:03:00.1,");
    EXPECT_EQ(arguments_of(port_options(DeviceKind::vdev, "net_null0,size=64,copy=1")),
              "net_null0,size=64,copy=1");
    PortOptions memif = port_options(DeviceKind::memif, "/run/m.sock,role=client,id=7");
    memif.mac = MacAddress{{2, 0, 0, 0, 0, 9}};
    EXPECT_EQ(arguments_of(memif),
              "net_memif3,role=client,id=7,socket=/run/m.sock,socket-abstract=no,"
              "mac=02:00:00:00:00:09");
}

TEST(Device, GivesTheKernelsEndOfATapAnotherAddressThanOurs) {
    PortOptions tap = port_options(DeviceKind::tap, "tap0");
    const std::string theirs = to_string(derive_mac(tap, WireEnd::theirs));
    EXPECT_EQ(arguments_of(tap), "net_tap3,iface=tap0,mac=" + theirs);
    EXPECT_NE(to_string(derive_mac(tap, WireEnd::ours)), theirs);
    tap.mac = MacAddress{{2, 0, 0, 0, 0, 9}};
    EXPECT_EQ(derive_mac(tap, WireEnd::ours), *tap.mac);
    EXPECT_EQ(to_string(derive_mac(tap, WireEnd::theirs)), theirs);
}

TEST(Device, DerivesStableLocalUnicastAddresses) {
    const PortOptions one = port_options(DeviceKind::tap, "tap0");
    const PortOptions other = port_options(DeviceKind::tap, "tap1");
    for (const WireEnd end : {WireEnd::ours, WireEnd::theirs}) {
        const MacAddress mac = derive_mac(one, end);
        EXPECT_EQ(mac.bytes[0] & 3, 2) << "locally administered, unicast";
        EXPECT_EQ(mac, derive_mac(one, end));
        EXPECT_NE(mac, derive_mac(other, end));
    }
}

TEST(Device, RefusesWhatIsNoDevice) {
    const struct {
        DeviceKind kind;
        const char* argument;
        const char* expected;  // part of the message
    } cases[] = {
        {DeviceKind::pci, "eth0", "is not a PCI address"},
        {DeviceKind::pci, "0000:03:00", "is not a PCI address"},
        {DeviceKind::af_packet, "", "is not an interface name"},
        {DeviceKind::af_packet, "eth0,qpairs=9", "is not an interface name"},
        {DeviceKind::af_xdp, "sixteencharacter", "is not an interface name"},
        {DeviceKind::tap, "a/b", "is not an interface name"},
        {DeviceKind::memif, "m.sock", "is not an absolute socket path"},
        {DeviceKind::memif, "/m.sock,role=peer", "'role=peer': expected memif:SOCKET"},
        {DeviceKind::memif, "/m.sock,id=x", "'id=x': expected memif:SOCKET"},
        {DeviceKind::vdev, "eth0", "is not a DPDK network device"},
    };
    for (const auto& [kind, argument, expected] : cases) {
        const Result<Device> device = make_device(port_options(kind, argument), 0, 1);
        ASSERT_FALSE(device) << argument;
        EXPECT_NE(device.error().message.find(expected), std::string::npos)
            << device.error().message;
    }
}

// ---- the EAL ----

TEST(MemoryPlan, TakesHugepagesOnlyWhenEnoughAreFree) {
    EXPECT_TRUE(plan_memory(MemoryMode::automatic, 256, 256)->hugepages);
    EXPECT_FALSE(plan_memory(MemoryMode::automatic, 256, 254)->hugepages);
    EXPECT_FALSE(plan_memory(MemoryMode::no_huge, 256, 1024)->hugepages);
    EXPECT_TRUE(plan_memory(MemoryMode::hugepages, 256, 1024)->hugepages);
    const Result<MemoryPlan> refused = plan_memory(MemoryMode::hugepages, 256, 100);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("256 MiB are needed and 100 MiB are free"),
              std::string::npos)
        << refused.error().message;
}

bool has(const std::vector<std::string>& arguments, const std::string& argument) {
    return std::find(arguments.begin(), arguments.end(), argument) != arguments.end();
}

TEST(EalArguments, NeverAskForHugepagesAndForNone) {
    Eal::Options options;
    options.memory = {.hugepages = true, .memory_mib = 64};
    const auto with = eal_arguments(options, {0, 1});
    EXPECT_TRUE(has(*with, "--in-memory") && !has(*with, "--no-huge"));
    options.memory.hugepages = false;
    const auto without = eal_arguments(options, {0, 1});
    EXPECT_TRUE(!has(*without, "--in-memory") && has(*without, "--no-huge"));
    EXPECT_TRUE(has(*without, "64"));
}

TEST(EalArguments, LetWorkersFloatOrPinThem) {
    Eal::Options options;
    options.nb_workers = 2;
    EXPECT_TRUE(has(*eal_arguments(options, {1, 4}), "0@(1,4),1@(1,4),2@(1,4)"));
    options.cores = {4, 1};
    EXPECT_TRUE(has(*eal_arguments(options, {1, 4}), "0@(1,4),1@4,2@1"));
    options.cores = {4, 2};
    const auto refused = eal_arguments(options, {1, 4});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "core 2 is not one that this process may use: 1,4");
}

TEST(EalArguments, TouchOnlyThePciDevicesOfOurPorts) {
    Eal::Options options;
    EXPECT_TRUE(has(*eal_arguments(options, {0}), "--no-pci"));
    options.pci_addresses = {"0000:03:00.0"};
    const auto arguments = eal_arguments(options, {0});
    EXPECT_FALSE(has(*arguments, "--no-pci"));
    EXPECT_TRUE(has(*arguments, "-a") && has(*arguments, "0000:03:00.0"));
}

TEST(Eal, IsBorrowedByASecondStartAndRefusesMoreWorkers) {
    EXPECT_TRUE(Eal::start({.memory = {}, .nb_workers = 2, .cores = {}, .pci_addresses = {}}));
    EXPECT_FALSE(Eal::start({.memory = {}, .nb_workers = 30, .cores = {}, .pci_addresses = {}}));
}

// ---- mbufs ----

TEST(Mempool, HoldsAFrameWithHeadroomAndTailInOneMbuf) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024, .max_frame_bytes = 9018});
    ASSERT_TRUE(pool) << pool.error().message;
    EXPECT_GE(pool->frame_room_bytes(), 9018);
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(pool->get());
    ASSERT_NE(mbuf, nullptr);
    EXPECT_EQ(pool->nb_in_use(), 1U);
    // Outer Ethernet with tag, IPv6, UDP, transport header; padding and tag behind.
    EXPECT_NE(rte_pktmbuf_append(mbuf, 9018 + 15 + 16), nullptr);
    EXPECT_NE(rte_pktmbuf_prepend(mbuf, 18 + 40 + 8 + 16), nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&meta_of(mbuf)) % 64, 0U);
    rte_pktmbuf_free(mbuf);
    EXPECT_EQ(pool->nb_in_use(), 0U);
}

// net_af_xdp lets the kernel use as many bytes as there are mbufs times their size, and no more.
TEST(Mempool, LeavesNoGapsBetweenMbufsForAfXdp) {
    const Result<Mempool> pool =
        Mempool::create({.name = "for_af_xdp", .nb_mbufs = 2048, .for_af_xdp = true});
    ASSERT_TRUE(pool) << pool.error().message;
    const rte_mempool& raw = *pool->get();
    const uintptr_t element = rte_mempool_calc_obj_size(raw.elt_size, raw.flags, nullptr);
    EXPECT_EQ(element, 4096U);
    EXPECT_EQ(pool->excess_over_page(), 0U);
    const auto begin = reinterpret_cast<uintptr_t>(STAILQ_FIRST(&raw.mem_list)->addr);
    unsigned nb_mbufs = 0;
    for (rte_mbuf* mbuf = rte_pktmbuf_alloc(pool->get()); mbuf != nullptr;
         mbuf = rte_pktmbuf_alloc(pool->get())) {
        ++nb_mbufs;
        const auto address = reinterpret_cast<uintptr_t>(mbuf);
        ASSERT_GE(address, begin);
        ASSERT_LE(address + raw.elt_size, begin + element * raw.populated_size);
    }
    EXPECT_GE(nb_mbufs, 2047U);
}

TEST(Mempool, SaysWhatItWantedWhenMemoryIsShort) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1'000'000});
    ASSERT_FALSE(pool);
    EXPECT_NE(pool.error().message.find("cannot allocate 1000000 mbufs ("), std::string::npos)
        << pool.error().message;
}

TEST(Packet, GrowsIntoTheHeadroomAndNoFurther) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 64});
    ASSERT_TRUE(pool);
    Packet packet{rte_pktmbuf_alloc(pool->get())};
    EXPECT_TRUE(packet.bytes().empty());
    ASSERT_NE(packet.prepend(RTE_PKTMBUF_HEADROOM), nullptr);
    EXPECT_EQ(packet.bytes().size(), size_t{RTE_PKTMBUF_HEADROOM});
    EXPECT_EQ(packet.prepend(1), nullptr);
    packet.info().peer = 5;
    const Packet moved = std::move(packet);
    EXPECT_EQ(moved.info().peer, 5U);
    EXPECT_FALSE(packet);  // NOLINT: emptiness after a move is promised
    EXPECT_EQ(pool->nb_in_use(), 1U);
}

// ---- outer headers ----

std::string hex(const Link& link) {
    std::string text;
    for (size_t i = 0; i < link.header_len; ++i) {
        char byte[3];
        std::snprintf(byte, sizeof byte, "%02x", link.header.at(i));
        text += byte;
    }
    return text;
}

LinkOptions link_options(const char* local, const char* remote) {
    return {.port = 2,
            .port_mtu_bytes = 1500,
            .vlan = kNoVlan,
            .source_mac = MacAddress{{2, 0, 0, 0, 0, 1}},
            .next_hop_mac = MacAddress{{2, 0, 0, 0, 0, 2}},
            .local = *parse_endpoint(local),
            .remote = *parse_endpoint(remote)};
}

TEST(Link, PreparesOuterIpv4) {
    const Link link = make_link(link_options("192.0.2.1:51820", "198.51.100.7:4660"));
    EXPECT_EQ(hex(link),
              "020000000002"
              "020000000001"
              "0800"
              "450000000000400040114eb1c0000201c6336407"  // the sum over a length of 0
              "ca6c12340000c8ee");  // the sum of addresses, protocol and ports
    EXPECT_EQ(link.ip_offset, 14);
    EXPECT_EQ(link.mtu_bytes, 1440);
    EXPECT_FALSE(link.outer_ipv6);
}

TEST(Link, PreparesOuterIpv6BehindAVlanTag) {
    LinkOptions options = link_options("[2001:db8::1]:51820", "[2001:db8::2]:4660");
    options.vlan = 42;
    const Link link = make_link(options);
    EXPECT_EQ(hex(link),
              "020000000002"
              "020000000001"
              "8100002a86dd"
              "6000000000001140"
              "20010db8000000000000000000000001"
              "20010db8000000000000000000000002"
              "ca6c123400003827");
    EXPECT_EQ(link.ip_offset, 18);
    EXPECT_EQ(link.header_len, link.header.size());
    EXPECT_EQ(link.mtu_bytes, 1420);
    EXPECT_TRUE(link.outer_ipv6);
}

// ---- sleeping and waking ----

bool is_readable(int fd, int timeout_ms = 0) {
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&entry, 1, timeout_ms) == 1;
}

TEST(Doorbell, RingsOnlyWhileArmed) {
    Result<Doorbell> bell = Doorbell::create();
    ASSERT_TRUE(bell);
    bell->ring();
    EXPECT_FALSE(is_readable(bell->fd()));
    bell->arm();
    bell->ring();
    EXPECT_TRUE(is_readable(bell->fd()));
    bell->disarm();
    EXPECT_FALSE(is_readable(bell->fd()));
}

TEST(Doorbell, NeverLosesWorkPutInPlaceBeforeSleep) {
    Result<Doorbell> bell = Doorbell::create();
    ASSERT_TRUE(bell);
    constexpr unsigned kRounds = 20'000;
    std::atomic<unsigned> put{0};
    std::atomic<unsigned> taken{0};
    std::atomic<bool> overslept{false};
    std::thread worker{[&] {
        while (taken.load() < kRounds && !overslept) {
            bell->arm();
            const bool has_work = put.load(std::memory_order_relaxed) != taken.load();
            overslept = !has_work && !is_readable(bell->fd(), 5000);
            bell->disarm();
            taken.store(put.load());
        }
    }};
    for (unsigned round = 1; round <= kRounds && !overslept; ++round) {
        put.store(round, std::memory_order_relaxed);
        bell->ring();
        while (taken.load() != round && !overslept)
            std::this_thread::yield();
    }
    worker.join();
    EXPECT_FALSE(overslept) << "slept on work";
}

IdleLadder::Options idle_options(int fd) {
    return {.mode = IdleMode::adaptive,
            .core = IdleLadder::CoreUse::floating,
            .queue_doorbell_fds = {},
            .own_doorbell_fd = fd,
            .tsc_hz = 1'000'000'000};  // one clock is one nanosecond
}

TEST(IdleLadder, SleepsOnlyAfterAWhileWithoutPackets) {
    IdleLadder::Options floating = idle_options(-1);
    IdleLadder::Options pinned = idle_options(-1);
    pinned.core = IdleLadder::CoreUse::pinned;
    IdleLadder::Options deaf = idle_options(-1);
    deaf.queue_doorbell_fds = {-1};
    constexpr uint64_t kLongTsc = 10'000'000;
    for (const IdleLadder::Options& options : {floating, pinned, deaf}) {
        IdleLadder idle{options};
        EXPECT_EQ(idle.on_turn(0, 1000), IdleLadder::Step::poll);
        EXPECT_EQ(idle.on_turn(0, 101'000), IdleLadder::Step::poll);
        EXPECT_EQ(idle.on_turn(0, 1000 + kLongTsc), IdleLadder::Step::sleep);
        EXPECT_EQ(idle.on_turn(1, 2000 + kLongTsc), IdleLadder::Step::poll);
        EXPECT_EQ(idle.on_turn(0, 3000 + kLongTsc), IdleLadder::Step::poll) << "from the bottom";
        EXPECT_EQ(idle.on_turn(0, 3000 + 2 * kLongTsc), IdleLadder::Step::sleep);
    }
}

TEST(IdleLadder, NeverSleepsWhenBusy) {
    IdleLadder::Options options = idle_options(-1);
    options.mode = IdleMode::busy;
    IdleLadder idle{options};
    for (uint64_t tsc = 1; tsc < 10'000'000'000; tsc += 1'000'000'000)
        EXPECT_EQ(idle.on_turn(0, tsc), IdleLadder::Step::poll);
}

// The shortest of several: a busy machine may keep us from running after we woke.
int64_t microseconds_of_sleep(IdleLadder& idle) {
    int64_t shortest = INT64_MAX;
    for (int i = 0; i < 10; ++i) {
        const auto start = std::chrono::steady_clock::now();
        idle.sleep();
        const auto end = std::chrono::steady_clock::now();
        const auto slept = std::chrono::duration_cast<std::chrono::microseconds>(end - start);
        shortest = std::min<int64_t>(shortest, slept.count());
    }
    return shortest;
}

TEST(IdleLadder, WakesWhenADoorbellRings) {
    Result<Doorbell> bell = Doorbell::create();
    Result<Doorbell> queue = Doorbell::create();  // stands for a socket with a frame in it
    ASSERT_TRUE(bell && queue);
    IdleLadder::Options options = idle_options(bell->fd());
    options.queue_doorbell_fds = {queue->fd()};
    IdleLadder idle{options};
    EXPECT_GE(microseconds_of_sleep(idle), 20'000);
    queue->arm();
    queue->ring();
    EXPECT_LT(microseconds_of_sleep(idle), 20'000);
    queue->disarm();
    bell->arm();
    bell->ring();
    EXPECT_LT(microseconds_of_sleep(idle), 20'000);
}

TEST(IdleLadder, NapsAfterADoorbellThatBroughtNothing) {
    Result<Doorbell> bell = Doorbell::create();
    Result<Doorbell> queue = Doorbell::create();  // readable, and its driver gives nothing
    ASSERT_TRUE(bell && queue);
    IdleLadder::Options options = idle_options(bell->fd());
    options.queue_doorbell_fds = {queue->fd()};
    IdleLadder idle{options};
    queue->arm();
    queue->ring();
    const auto two_sleeps_take = [&idle](unsigned nb_packets_between) {
        int64_t shortest_us = INT64_MAX;
        for (int i = 0; i < 10; ++i) {
            const auto start = std::chrono::steady_clock::now();
            idle.sleep();
            idle.on_turn(nb_packets_between, 1000);
            idle.sleep();
            idle.on_turn(1, 1000);
            const auto end = std::chrono::steady_clock::now();
            shortest_us = std::min<int64_t>(
                shortest_us,
                std::chrono::duration_cast<std::chrono::microseconds>(end - start).count());
        }
        return shortest_us;
    };
    EXPECT_GE(two_sleeps_take(0), 50);
    EXPECT_LT(two_sleeps_take(1), 50) << "packets came";
    bell->arm();
    bell->ring();
    EXPECT_LT(two_sleeps_take(0), 50) << "others may wake it from its nap";
}

TEST(IdleLadder, LooksOftenWhereAQueueHasNoDoorbell) {
    IdleLadder::Options options = idle_options(-1);
    options.queue_doorbell_fds = {-1};
    IdleLadder idle{options};
    EXPECT_LT(microseconds_of_sleep(idle), 20'000);
}

TEST(IdleLadder, NapsTheLongerTheLongerNothingCameWithoutADoorbell) {
    IdleLadder::Options options = idle_options(-1);
    options.queue_doorbell_fds = {-1};
    IdleLadder idle{options};
    const auto nap_after = [&idle](uint64_t idle_ns) {
        idle.on_turn(1, 1);
        EXPECT_EQ(idle.on_turn(0, 1), IdleLadder::Step::poll);
        EXPECT_EQ(idle.on_turn(0, 1 + idle_ns), IdleLadder::Step::sleep);
        return microseconds_of_sleep(idle);
    };
    EXPECT_GE(nap_after(1'000'000), 125) << "an eighth";
    EXPECT_GE(nap_after(4'000'000), 500);
    EXPECT_LT(nap_after(3'600'000'000'000), 20'000) << "but not for seconds";
}

// ---- grace periods ----

class RetireListTest : public testing::Test {
protected:
    RetireListTest() : rcu_{*Rcu::create(2)}, retired_{rcu_} {}

    void online(unsigned reader) {
        rte_rcu_qsbr_thread_register(rcu_.get(), reader);
        rte_rcu_qsbr_thread_online(rcu_.get(), reader);
    }

    Rcu rcu_;
    RetireList retired_;
};

TEST_F(RetireListTest, FreesAtOnceWhileNobodyReads) {
    auto object = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = object;
    retired_.add(std::move(object));
    EXPECT_FALSE(watch.expired()) << "only reclaim() lets go";
    EXPECT_EQ(retired_.reclaim(), 0U);
    EXPECT_TRUE(watch.expired());
}

TEST_F(RetireListTest, WaitsForEveryReaderThatWasOnline) {
    online(0);
    online(1);
    bool done = false;
    retired_.add_action([&done] { done = true; });
    EXPECT_EQ(retired_.reclaim(), 1U);
    rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    EXPECT_EQ(retired_.reclaim(), 1U);
    EXPECT_FALSE(done);
    rte_rcu_qsbr_thread_offline(rcu_.get(), 1);
    EXPECT_EQ(retired_.reclaim(), 0U);
    EXPECT_TRUE(done);
}

TEST_F(RetireListTest, KeepsWhatWasRetiredAfterTheReport) {
    online(0);
    retired_.add_action([] {});
    rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    retired_.add_action([] {});
    EXPECT_EQ(retired_.reclaim(), 1U);
    rte_rcu_qsbr_quiescent(rcu_.get(), 0);
    EXPECT_EQ(retired_.reclaim(), 0U);
}

// A reader in a thread of its own follows a pointer that is swapped all the time: under the address
// and thread sanitizers this finds an object freed too early.
TEST_F(RetireListTest, NeverFreesUnderAReader) {
    std::atomic<const uint64_t*> current{nullptr};
    std::atomic<bool> stop{false};
    std::shared_ptr<const uint64_t> owner = std::make_shared<uint64_t>(0);
    current.store(owner.get());
    std::thread reader{[&] {
        online(0);
        uint64_t last = 0;
        while (!stop.load()) {
            const uint64_t value = *current.load(std::memory_order_acquire);
            EXPECT_GE(value, last);
            last = value;
            rte_rcu_qsbr_quiescent(rcu_.get(), 0);
        }
        rte_rcu_qsbr_thread_offline(rcu_.get(), 0);
        rte_rcu_qsbr_thread_unregister(rcu_.get(), 0);
    }};
    for (uint64_t value = 1; value <= 20'000; ++value) {
        std::shared_ptr<const uint64_t> next = std::make_shared<uint64_t>(value);
        current.store(next.get(), std::memory_order_release);
        retired_.add(std::exchange(owner, std::move(next)));
        retired_.reclaim();
    }
    stop.store(true);
    reader.join();
    EXPECT_EQ(retired_.reclaim(), 0U);
}

// ---- rings and tables ----

TEST(WorkerRings, TakeWhatTheyPromiseAndNoMore) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 4096});
    ASSERT_TRUE(pool);
    {
        Result<WorkerRings> rings = WorkerRings::create(31);
        ASSERT_TRUE(rings) << rings.error().message;
        unsigned nb_taken = 0;
        rte_mbuf* mbuf = rte_pktmbuf_alloc(pool->get());
        for (; rte_ring_enqueue(rings->punts.get(), mbuf) == 0; ++nb_taken)
            mbuf = rte_pktmbuf_alloc(pool->get());
        rte_pktmbuf_free(mbuf);
        EXPECT_EQ(nb_taken, 1024U);
        EXPECT_EQ(pool->nb_in_use(), 1024U);
        EXPECT_TRUE(is_empty(rings->waiting.get())) << "a ring of its own";
        EXPECT_FALSE(is_empty(rings->punts.get()));
    }
    EXPECT_EQ(pool->nb_in_use(), 0U) << "what nobody took is freed";
}

TEST(WorkerRings, CarryNotesByValue) {
    const Result<WorkerRings> rings = WorkerRings::create(31);
    ASSERT_TRUE(rings);
    Note sent;
    sent.kind = Note::Kind::endpoint_moved;
    sent.peer = 77;
    sent.remote = *parse_endpoint("192.0.2.1:99");
    ASSERT_EQ(rte_ring_enqueue_elem(rings->notes.get(), &sent, sizeof sent), 0);
    Note received;
    ASSERT_EQ(rte_ring_dequeue_elem(rings->notes.get(), &received, sizeof received), 0);
    EXPECT_EQ(received.kind, Note::Kind::endpoint_moved);
    EXPECT_EQ(received.peer, 77U);
    EXPECT_EQ(to_string(received.remote), "192.0.2.1:99");
}

uint64_t resident_pages() {
    uint64_t size = 0;
    uint64_t resident = 0;
    std::ifstream{"/proc/self/statm"} >> size >> resident;
    return resident;
}

TEST(ZeroedArray, CostsMemoryOnlyWhereWritten) {
    const uint64_t before = resident_pages();
    const Result<ZeroedArray<PeerActivity>> array = ZeroedArray<PeerActivity>::create(1 << 20);
    ASSERT_TRUE(array);
    (*array)[(1 << 20) - 1].rx_packets.add(1);
    EXPECT_EQ((*array)[(1 << 20) - 1].rx_packets.get(), 1U);
    EXPECT_LT(resident_pages(), before + 64) << "64 MiB were asked for";
}

// ---- ports ----

TEST(Port, LoopsFramesThroughAnInMemoryRing) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    const auto opened = Port::open(port_options(DeviceKind::vdev, "net_ring0"), 0, 1, *pool);
    ASSERT_TRUE(opened) << opened.error().message;
    const Port* const port = opened->get();
    EXPECT_EQ(port->driver(), "net_ring");
    EXPECT_FALSE(port->mac().is_zero());
    EXPECT_EQ(port->doorbell_fd(0), -1);
    rte_mbuf* sent = rte_pktmbuf_alloc(pool->get());
    ASSERT_EQ(port->tx_burst(0, &sent, 1), 1);
    rte_mbuf* received = nullptr;
    ASSERT_EQ(port->rx_burst(0, &received, 1), 1);
    EXPECT_EQ(sent, received);
    rte_pktmbuf_free(received);
}

TEST(Port, CanBeOpenedAgain) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    for (int round = 0; round < 3; ++round) {
        const auto port = Port::open(port_options(DeviceKind::vdev, "net_ring0"), 0, 2, *pool);
        ASSERT_TRUE(port) << round << ": " << port.error().message;
        EXPECT_EQ((*port)->nb_rx_queues(), 2U);
    }
}

TEST(Port, CountsNoLinkChangeAtStart) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    const auto port = Port::open(port_options(DeviceKind::vdev, "net_ring0"), 0, 1, *pool);
    ASSERT_TRUE(port) << port.error().message;
    EXPECT_EQ((*port)->tick(Time{}, 0), nullptr);
    EXPECT_EQ((*port)->link(), LinkState::up);
    EXPECT_EQ((*port)->nb_link_changes(), 0U);
}

TEST(Port, NamesItselfTheCauseAndTheCure) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    PortOptions wide = port_options(DeviceKind::vdev, "net_ring0");
    wide.mtu_bytes = 9000;  // the pool was made for less
    const struct {
        PortOptions options;
        const char* expected;
    } cases[] = {
        {port_options(DeviceKind::af_packet, "lo"),
         "port lan0 (af_packet:lo): lo is a loopback: use a veth pair"},
        {port_options(DeviceKind::af_xdp, "lo"),
         "port lan0 (af_xdp:lo): lo is a loopback: use a veth pair"},
        {port_options(DeviceKind::tap, "lo"),
         "port lan0 (tap:lo): there is an interface of this name already"},
        {port_options(DeviceKind::pci, "0000:7f:1f.7"),
         "port lan0 (pci:0000:7f:1f.7): DPDK found no network device there"},
        {port_options(DeviceKind::vdev, "net_nonesuch0"),
         "port lan0 (vdev:net_nonesuch0): DPDK cannot make it"},
        {wide,
         "port lan0 (vdev:net_ring0): an MTU of 9000 is more than this port can do: at most "},
    };
    for (const auto& [options, expected] : cases) {
        const auto port = Port::open(options, 0, 1, *pool);
        ASSERT_FALSE(port) << expected;
        EXPECT_EQ(port.error().message.substr(0, std::string{expected}.size()), expected);
    }
}

TEST(Port, WaitsForAnInterfaceThatIsNotThere) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    const auto opened = Port::open(port_options(DeviceKind::af_packet, "mg-none0"), 0, 2, *pool);
    ASSERT_TRUE(opened) << opened.error().message;
    Port& port = **opened;
    EXPECT_EQ(port.nb_rx_queues(), 2U);
    EXPECT_GE(port.doorbell_fd(1), 0);
    EXPECT_EQ(port.tick(Time{}, 0), nullptr);
    EXPECT_EQ(port.link(), LinkState::down);
    EXPECT_NE(port.problem().find("waits for interface mg-none0"), std::string::npos)
        << port.problem();
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool->get());
    EXPECT_FALSE(port.is_bound());
    EXPECT_EQ(port.tx_burst(0, &mbuf, 1), 0);
    EXPECT_EQ(port.rx_burst(0, &mbuf, 1), 0);
    rte_pktmbuf_free(mbuf);
}

TEST(PacketSocket, FindsSocketsByFamily) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const std::vector<int> fds = open_fds();
    EXPECT_TRUE(std::find(fds.begin(), fds.end(), fd) != fds.end());
    const std::vector<int> sockets = sockets_of_family(fds, AF_UNIX);
    EXPECT_TRUE(std::find(sockets.begin(), sockets.end(), fd) != sockets.end());
    EXPECT_TRUE(sockets_of_family(fds, AF_PACKET).empty());
    close(fd);
}

}  // namespace

}  // namespace meshgate

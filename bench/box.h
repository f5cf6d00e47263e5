// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dataplane/ports/mempool.h"
#include "dataplane/ports/port.h"
#include "dataplane/worker/worker.h"

namespace meshgate::bench {

enum class Direction : uint8_t { lan_to_wan, wan_to_lan, hairpin };
const char* to_string(Direction direction) noexcept;

// Lengths of whole inner IP packets, each as often as it stands here.
using Sizes = std::vector<uint16_t>;
Sizes imix();  // 7:4:1 of 64, 570 and 1420 bytes

// One queue of an in-memory port: hands out what was prepared, keeps what was sent. Beside the
// pointers nothing is touched, so that what is measured is the pipeline.
struct alignas(64) MemoryQueue {
    std::vector<rte_mbuf*> arriving;
    size_t nb_arrived = 0;
    std::vector<rte_mbuf*> departed;
    size_t nb_departed = 0;
    // Where not empty: when each packet arrives, and room for when it departed.
    std::vector<uint64_t> arrivals_tsc, departures_tsc;

    size_t nb_due(size_t most) const noexcept;
};

// What the engine takes of the pipeline's time, from within.
class TimedAead final : public AeadEngine {
public:
    explicit TimedAead(std::unique_ptr<AeadEngine> engine) noexcept : engine_{std::move(engine)} {}
    void seal(std::span<AeadJob> jobs) noexcept override;
    void open(std::span<AeadJob> jobs) noexcept override;
    const char* name() const noexcept override { return engine_->name(); }

    uint64_t cycles = 0;

private:
    std::unique_ptr<AeadEngine> engine_;
};

struct BoxOptions {
    unsigned nb_workers = 1;
    PeerId nb_peers = 1;
    size_t nb_prefixes = 1;  // in all, at least one per peer
    Family inner = Family::ipv4;
    // Others' sessions that are led on, evenly by the links of the peers.
    uint32_t nb_relays = 0;
    Family outer = Family::ipv4;  // of the links
};

// A gateway without control: one wan and one lan port in memory, sessions with all peers, routes to
// all of their prefixes. Boxes share the ports: one runs at a time.
class Box {
public:
    explicit Box(const BoxOptions& options);
    ~Box();

    Worker& worker(unsigned id) { return *workers_[id]; }
    TimedAead& aead(unsigned id) { return *aeads_[id]; }
    MemoryQueue& queue(Direction direction, unsigned worker);  // where its packets arrive
    MemoryQueue& departures(Direction direction, unsigned worker);
    const BoxOptions& options() const noexcept { return options_; }
    Keypair& keypair(PeerId peer) { return *keypairs_[peer]; }
    // The engine that the workers have, once more.
    std::unique_ptr<AeadEngine> make_engine() const;
    // A counter that the peer did not use yet.
    uint64_t next_counter(PeerId peer) noexcept { return next_counters_[peer]++; }
    const Link& link(PeerId peer) const { return links_[peer]; }
    uint32_t relay_index(uint32_t number) const noexcept;
    const PortView& view(PortId port) const { return snapshot_->read().ports[port]; }

    // An address of the peer: inside one of its prefixes.
    IpAddress address_of(PeerId peer, std::mt19937_64& random) const;
    // A host on the LAN whose MAC address is known.
    IpAddress lan_host(std::mt19937_64& random) const;

    static rte_mempool* pool();
    static constexpr PortId kWan = 0;
    static constexpr PortId kLan = 1;

private:
    Prefix prefix(size_t number) const;
    void add_peer(PeerId peer);
    void add_relays();
    void publish();
    std::unique_ptr<Worker> make_worker(unsigned id);

    const BoxOptions options_;
    std::unique_ptr<Published<Snapshot>> snapshot_;
    std::unique_ptr<IndexTable> index_;
    std::unique_ptr<PeerSlot[]> slots_;
    std::vector<std::unique_ptr<PeerActivity[]>> activities_;
    std::vector<std::unique_ptr<Keypair>> keypairs_;
    std::vector<uint64_t> next_counters_;
    std::vector<Link> links_;
    std::unique_ptr<std::atomic<const Link*>[]> link_table_;      // link id: peer id
    std::vector<std::unique_ptr<LinkCounters[]>> link_counters_;  // by worker
    std::unique_ptr<rte_rcu_qsbr, void (*)(void*)> rcu_;
    std::unique_ptr<Doorbell> control_doorbell_;
    WorkerShared shared_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<TimedAead*> aeads_;
};

// The packets of one worker in one direction, made afresh for every round: plaintext frames from
// the LAN, or sealed datagrams with counters not seen before. Peers and addresses are random and
// others in each round, so that tables are as cold as their size makes them.
class Packets {
public:
    static constexpr size_t kNbPackets = 256;  // what a mempool keeps for one core

    Packets(Box& box, unsigned worker, Direction direction, const Sizes& sizes,
            size_t nb_packets = kNbPackets);
    ~Packets();

    size_t size() const noexcept { return nb_packets_; }
    // Makes them, and puts them where they arrive.
    void prepare();
    // Turns of the worker until all have arrived; TSC clocks. Dies unless all have departed.
    uint64_t run();
    // The same through the ports alone: received and sent, nothing between.
    uint64_t run_ports();
    // The same packets through the engine alone, in bursts as the pipeline makes them.
    uint64_t run_aead(AeadEngine& engine);

private:
    static constexpr size_t kNbPlans = 65'536;
    struct Plan {
        PeerId from = kNoPeer, to = kNoPeer;
        uint16_t len = 0;
        uint16_t header_len = 0;
        std::array<uint8_t, 64> header{};  // inner IP and UDP
    };
    void plan(Plan& plan, std::mt19937_64& random, uint16_t len) const;
    void make_frame(rte_mbuf* mbuf, const Plan& plan) const noexcept;
    void make_plaintexts(rte_mbuf* const* mbufs, AeadJob* jobs, size_t begin, size_t nb_packets);
    void check_departed() const;
    const Plan& plan_of(size_t i) const noexcept { return plans_[first_plan_ + i]; }
    AeadJob open_job(size_t i) noexcept;
    AeadJob seal_job(size_t i) noexcept;
    void put_outer(rte_mbuf* mbuf, const Plan& plan, uint64_t counter, uint16_t padded_len) const;

    Box& box_;
    const unsigned worker_;
    const Direction direction_;
    const size_t nb_packets_;
    size_t first_plan_ = 0;  // of this round
    std::vector<Plan> plans_;
    std::vector<rte_mbuf*> mbufs_;
    std::unique_ptr<AeadEngine> peers_aead_;  // seals what arrives from the underlay
};

}  // namespace meshgate::bench

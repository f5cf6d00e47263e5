// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/assert.h"
#include "dataplane/api/dataplane.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/host/host_side.h"
#include "dataplane/ports/eal.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/ports/port.h"
#include "dataplane/tables/index_table.h"
#include "dataplane/tables/peer_slot.h"
#include "dataplane/tables/retire_list.h"
#include "dataplane/tables/zeroed_array.h"
#include "dataplane/worker/activity.h"
#include "dataplane/worker/idle_ladder.h"
#include "dataplane/worker/rings.h"
#include "dataplane/worker/worker.h"

namespace meshgate {

// A worker and whether its thread runs. The release and acquire of `runs` order what control did
// before start() and does after stop() with what the thread does: DPDK launches by a pipe, which
// promises nothing of the kind.
struct WorkerThread {
    WorkerThread(const WorkerShared& shared, WorkerParts parts)
        : worker{shared, std::move(parts)} {}

    Worker worker;
    std::atomic<bool> runs{false};
};

// What control has of the workers. dataplane.cc makes and runs it and says how it is,
// dataplane_tables.cc is what goes down by pointer, dataplane_rings.cc what passes by ring.
class DataplaneImpl final : public Dataplane {
public:
    // The steps of create(), in this order; what is built is released in the opposite one.
    explicit DataplaneImpl(const DataplaneOptions& options) : options_{options} {}
    ~DataplaneImpl() override;
    Result<void> start_eal();
    Result<void> open_ports();
    Result<void> open_host();
    Result<void> allocate_tables();
    Result<void> make_workers();

    void start() override;
    void stop() override;

    void publish(std::shared_ptr<const Snapshot> next) override;
    const Snapshot& snapshot() const override { return snapshot_->read(); }
    PeerId add_peer() override;
    void remove_peer(PeerId peer) override;
    void set_path(PeerId peer, std::shared_ptr<const Link> link) override;
    void set_path_mtu(PeerId peer, uint16_t mtu_bytes) override;
    uint16_t path_mtu(PeerId peer) const override;
    void set_path_is_fixed(PeerId peer) override;
    void set_sending(PeerId peer, uint32_t local_index) override;
    void clear_sending(PeerId peer) override;
    std::optional<SendingKeypair> sending(PeerId peer) const override;
    Activity activity(PeerId peer) const override;
    bool install(const NewKeypair& keypair) override;
    bool has_keypair(uint32_t local_index) const override {
        return keypair(local_index) != nullptr;
    }
    void remove_keypair(uint32_t local_index) override;
    LinkId add_link() override;
    void set_link(LinkId id, std::shared_ptr<const Link> link) override;
    void remove_link(LinkId id) override;
    bool install_relay(uint32_t receiver_index, LinkId link) override;
    void move_relay(uint32_t receiver_index, LinkId link) override;
    void remove_relay(uint32_t receiver_index) override;
    LinkActivity link_activity(LinkId id) const override;
    size_t reclaim() override { return retired_->reclaim(); }

    int wakeup_fd() const override { return control_doorbell_->fd(); }
    bool arm_wakeup() override;
    Packet next_punt() override;
    std::optional<Note> next_note() override;
    Packet allocate(uint16_t len) override;
    bool send(Packet packet, uint32_t order) override;

    const DataplaneOptions& options() const override { return options_; }
    PortStatus port_status(PortId port) const override;
    void set_port_enabled(PortId port, bool enabled) override {
        ports_[port]->set_enabled(enabled);
    }
    void tick_ports(Time now) override;
    WorkerStatus worker_status(unsigned worker) const override;
    const WorkerCounters& counters(unsigned worker) const override;
    void count_drop(Drop reason, uint64_t nb_packets) override {
        control_counters_.drops.add(reason, Stage::control, nb_packets);
    }
    const WorkerCounters& control_counters() const override { return control_counters_; }
    const WorkerCounters* host_counters() const override {
        return host_ ? &host_->counters() : nullptr;
    }
    TwinStatus overlay_status() const override {
        return host_ ? host_->status(kNoPort) : TwinStatus{};
    }
    void set_overlay_mtu(uint16_t mtu_bytes) override {
        if (host_)
            host_->follow(kNoPort, {}, mtu_bytes, LinkState::up);
    }
    std::string aead_engine() const override { return aead_->name; }
    std::string aead_reason() const override { return aead_->reason; }
    std::string memory_description() const override;
    unsigned mbufs_in_use() const override { return mempool_->nb_in_use(); }
    uint64_t tsc_hz() const override { return rte_get_tsc_hz(); }
    uint64_t tsc_now() const override { return rte_rdtsc(); }

    // As workers see it.
    const PeerSlot& slot(PeerId peer) const { return (*peers_)[peer]; }

private:
    PeerSlot& slot(PeerId peer);
    // Null when there is none.
    Keypair* keypair(uint32_t local_index) const;
    // Queues go round over the workers, so that two ports of one queue each have two workers.
    unsigned owner_of(PortId port, unsigned queue) const noexcept {
        return (port + queue) % options_.nb_workers;
    }
    void start_host();
    TxRoute tx_route(PortId port, unsigned worker) const noexcept;
    Result<WorkerParts> parts_of(unsigned worker);
    enum class PuntRing : uint8_t { punts, mesh, waiting };
    static const Ring& ring_of(const WorkerRings& rings, PuntRing kind) noexcept;
    Packet take(PuntRing kind);
    Packet take_urgent();

    const DataplaneOptions options_;
    MemoryPlan memory_;
    std::optional<Eal> eal_;
    std::optional<Mempool> mempool_;
    std::vector<std::unique_ptr<Port>> ports_;
    std::unique_ptr<HostSide> host_;  // null: no port has a twin
    std::optional<AeadSelection> aead_;

    std::optional<Rcu> rcu_;
    std::optional<IndexTable> index_;
    // Owns what the index table points to. Before retired_: that one's last acts concern these.
    std::unordered_map<uint32_t, std::unique_ptr<Keypair>> keypairs_;
    std::optional<ZeroedArray<PeerSlot>> peers_;
    std::vector<std::shared_ptr<const Link>> paths_;   // by peer: owns PeerSlot::path
    std::vector<ZeroedArray<PeerActivity>> activity_;  // by worker
    PeerId nb_peers_ever_ = 0;
    std::vector<PeerId> free_peers_;
    std::optional<ZeroedArray<std::atomic<const Link*>>> links_;
    std::vector<std::shared_ptr<const Link>> link_owners_;  // by link: owns what links_ points to
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

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "dataplane/api/dataplane.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/tables/keypair.h"

namespace meshgate::control {

// The packet side as control sees it, without workers: a test puts punts in and looks at what was
// sent. Its packets are real mbufs, so that a forgotten one shows. What the boundary asks of its
// caller is asserted, and what was removed is given out again only after reclaim(), as after a
// grace period. The TSC counts nanoseconds.
class FakeDataplane : public Dataplane {
public:
    struct Sent {
        PacketInfo info;
        std::vector<uint8_t> bytes;
    };

    explicit FakeDataplane(DataplaneOptions options);
    ~FakeDataplane() override;

    // ---- for the test ----
    void punt(Punt reason, std::span<const uint8_t> bytes, PacketInfo info = {});
    // Leaves the pool empty while they live; none is counted as missing.
    std::vector<Packet> take_all_mbufs();
    std::vector<Sent> take_sent() { return std::exchange(sent, {}); }
    uint64_t drops(Drop reason) const { return control_counters_.drops.get(reason); }
    // As a worker counts what it drops.
    void count_worker_drop(Drop reason) { worker_counters_.drops.add(reason, usual_stage(reason)); }
    void count_worker_turn() { worker_counters_.turns.add(1); }
    static MacAddress mac_of(PortId port) { return {{2, 0, 0, 0, 1, static_cast<uint8_t>(port)}}; }

    // Null: none.
    const Link* path(PeerId peer) const { return peers_.at(peer).path.get(); }
    bool path_is_fixed(PeerId peer) const { return peers_.at(peer).path_is_fixed; }
    Keypair* sending_keypair(PeerId peer) const { return peers_.at(peer).sending; }
    Keypair* keypair(uint32_t local_index) const;

    uint64_t now_ns = 0;
    std::deque<Note> notes;
    std::vector<Sent> sent;
    std::map<uint32_t, std::unique_ptr<Keypair>> keypairs;
    std::map<PeerId, Activity> activities;
    std::vector<LinkState> links;  // of ports
    std::map<LinkId, std::shared_ptr<const Link>> link_table;
    std::map<uint32_t, LinkId> relays;
    std::map<LinkId, LinkActivity> link_activities;
    bool workers_asleep = true;
    bool refuse_install = false;  // keypairs and relay entries

    // ---- Dataplane ----
    void start() override {}
    void stop() override {}
    void publish(std::shared_ptr<const Snapshot> next) override;
    const Snapshot& snapshot() const override { return *snapshot_; }
    PeerId add_peer() override;
    void remove_peer(PeerId peer) override;
    void set_path(PeerId peer, std::shared_ptr<const Link> link) override {
        peers_.at(peer).path = std::move(link);
    }
    void set_path_mtu(PeerId peer, uint16_t mtu_bytes) override {
        peers_.at(peer).path_mtu_bytes = mtu_bytes;
    }
    uint16_t path_mtu(PeerId peer) const override;
    void set_path_is_fixed(PeerId peer) override { peers_.at(peer).path_is_fixed = true; }
    void set_sending(PeerId peer, uint32_t local_index) override;
    void clear_sending(PeerId peer) override { peers_.at(peer).sending = nullptr; }
    std::optional<SendingKeypair> sending(PeerId peer) const override;
    Activity activity(PeerId peer) const override;
    bool install(const NewKeypair& keypair) override;
    bool has_keypair(uint32_t local_index) const override { return keypairs.contains(local_index); }
    void remove_keypair(uint32_t local_index) override;
    LinkId add_link() override;
    void set_link(LinkId id, std::shared_ptr<const Link> link) override;
    void remove_link(LinkId id) override;
    bool install_relay(uint32_t receiver_index, LinkId link) override;
    void move_relay(uint32_t receiver_index, LinkId link) override;
    void remove_relay(uint32_t receiver_index) override;
    LinkActivity link_activity(LinkId id) const override;
    size_t reclaim() override;
    int wakeup_fd() const override { return -1; }
    bool arm_wakeup() override { return punts_.empty() && notes.empty(); }
    Packet next_punt() override;
    std::optional<Note> next_note() override;
    Packet allocate(uint16_t len) override;
    bool send(Packet packet, uint32_t order) override;
    const DataplaneOptions& options() const override { return options_; }
    PortStatus port_status(PortId port) const override;
    void set_port_enabled(PortId port, bool enabled) override {
        options_.ports[port].enabled = enabled;
    }
    void tick_ports(Time /*now*/) override {}
    WorkerStatus worker_status(unsigned worker) const override {
        return {worker, -1, workers_asleep};
    }
    const WorkerCounters& counters(unsigned) const override { return worker_counters_; }
    void count_drop(Drop reason, uint64_t nb_packets) override {
        control_counters_.drops.add(reason, Stage::control, nb_packets);
    }
    const WorkerCounters& control_counters() const override { return control_counters_; }
    const WorkerCounters* host_counters() const override { return nullptr; }
    TwinStatus overlay_status() const override { return {}; }
    void set_overlay_mtu(uint16_t) override {}
    std::string aead_engine() const override { return "none"; }
    std::string aead_reason() const override { return "none is needed"; }
    std::string memory_description() const override { return "ordinary pages"; }
    unsigned mbufs_in_use() const override;
    uint64_t tsc_hz() const override { return 1'000'000'000; }
    uint64_t tsc_now() const override { return now_ns; }

private:
    bool is_in_use(PeerId peer) const;

    struct Peer {
        Keypair* sending = nullptr;
        std::shared_ptr<const Link> path;
        bool path_is_fixed = false;
        uint16_t path_mtu_bytes = 0;
    };

    DataplaneOptions options_;
    std::shared_ptr<const Snapshot> snapshot_;
    std::vector<Peer> peers_;
    std::vector<PeerId> free_;
    // What workers may still hold.
    std::vector<PeerId> leaving_;
    std::set<uint32_t> leaving_indices_;
    LinkId next_link_ = 0;
    std::deque<Packet> punts_;
    WorkerCounters worker_counters_;
    WorkerCounters control_counters_;
};

// Mbufs of all fakes that are in use; the pool is made with the first fake.
unsigned fake_mbufs_in_use();

}  // namespace meshgate::control

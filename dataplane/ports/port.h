// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "dataplane/api/options.h"
#include "dataplane/api/status.h"
#include "dataplane/ports/device.h"
#include "dataplane/ports/ethdev.h"
#include "dataplane/ports/kernel_interface.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/ports/queue_discipline.h"
#include "dataplane/ports/super_packets.h"

namespace meshgate {

// What the port leaves to software, and what it does itself. The same as long as the port lives.
struct PortTraits {
    // Received L4 checksums may hold the sum of the pseudo-header only (ports of virtual machines
    // and veth pairs): the gateway stands in for the NIC that would have finished them.
    bool finish_partial_checksums = false;
    bool tx_ipv4_checksum = false;  // RTE_MBUF_F_TX_IP_CKSUM is honoured
    bool tx_udp_checksum = false;   // RTE_MBUF_F_TX_UDP_CKSUM is honoured, IPv4 and IPv6
};

// A place where frames come in and go out. What it stands on may come late, go away and come back:
// then the port is unbound for a while, receives nothing and drops what is to be sent. Bursts: the
// worker that owns the queue. All else: control thread.
class Port {
public:
    // Binds the port; one whose interface is not there yet waits for it. Errors name the port, the
    // cause and, where there is one, the cure. `mempool` outlives the port.
    static Result<std::unique_ptr<Port>> open(const PortOptions& options, PortId id,
                                              unsigned nb_workers, const Mempool& mempool);

    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    ~Port();

    uint16_t rx_burst(uint16_t queue, rte_mbuf** mbufs, uint16_t nb_mbufs) const noexcept {
        const uint16_t ethdev = ethdev_id_.load(std::memory_order_acquire);
        if (ethdev == kUnbound) [[unlikely]]
            return 0;
        return rte_eth_rx_burst(ethdev, queue, mbufs, nb_mbufs);
    }
    uint16_t tx_burst(uint16_t queue, rte_mbuf** mbufs, uint16_t nb_mbufs) const noexcept {
        const uint16_t ethdev = ethdev_id_.load(std::memory_order_acquire);
        if (ethdev == kUnbound) [[unlikely]]
            return 0;
        return rte_eth_tx_burst(ethdev, queue, mbufs, nb_mbufs);
    }
    // Any thread.
    bool is_bound() const noexcept {
        return ethdev_id_.load(std::memory_order_relaxed) != kUnbound;
    }
    // No interface sends us a longer one, but as a super-packet. Any thread.
    uint32_t longest_rx_bytes() const noexcept {
        return longest_rx_bytes_.load(std::memory_order_relaxed);
    }

    PortId id() const noexcept { return id_; }
    // Between 1 and the number of workers. Which worker has which is Dataplane's; with fewer than
    // workers, the workers without one hand their frames over.
    unsigned nb_rx_queues() const noexcept { return nb_queues_; }
    unsigned nb_tx_queues() const noexcept { return nb_queues_; }
    const PortTraits& traits() const noexcept { return traits_; }
    // Readable when frames wait in the queue, whatever the port is bound to; -1: this port cannot
    // tell. Owned by the port.
    int doorbell_fd(unsigned queue) const noexcept {
        return queue < doorbells_.size() ? doorbells_[queue].get() : -1;
    }

    // A port that is not is unbound, from the next tick() on.
    void set_enabled(bool enabled) noexcept { enabled_ = enabled; }

    // Looks at what the port stands on: binds it, follows it, mends what others changed. A few
    // system calls: some times a second, no more. `nb_cut_frames`: received so far. What it returns
    // is to be freed once no worker can use it any more; null: nothing.
    [[nodiscard]] std::shared_ptr<const void> tick(Time now, uint64_t nb_cut_frames);

    // As of the last tick.
    LinkState link() const noexcept { return link_; }
    uint64_t nb_link_changes() const noexcept { return nb_link_changes_; }
    uint64_t nb_rebinds() const noexcept { return nb_rebinds_; }
    uint64_t nb_offload_repairs() const noexcept { return nb_offload_repairs_; }
    // What is wrong with what it stands on, and the cure; empty: nothing.
    const std::string& problem() const noexcept { return problem_; }
    const MacAddress& mac() const noexcept { return mac_; }  // zero: none yet
    uint16_t mtu_bytes() const noexcept { return mtu_bytes_; }
    const std::string& driver() const noexcept { return driver_; }
    const Ethdev* ethdev() const noexcept { return ethdev_.get(); }  // null: unbound
    PortDriverStats stats() const noexcept;

private:
    static constexpr uint16_t kUnbound = RTE_MAX_ETHPORTS;

    Port(const PortOptions& options, PortId id, unsigned nb_workers, const Mempool& mempool);

    Result<void> make_doorbells();
    bool has_to_wait() const;
    std::string what_it_waits_for() const;
    Result<void> bind();
    Result<void> bind_ethdev(Transmit transmit);
    Result<void> check_interface();
    Result<void> prepare_interface();
    void point_doorbells();
    std::shared_ptr<const void> unbind();
    bool is_lost();
    void bind_again(Time now);
    void follow_interface(Time now);
    void follow_mtu(unsigned interface_mtu_bytes);
    std::string problem_of(const KernelInterface::State& state) const;
    bool read_link();

    const PortOptions options_;
    const DeviceKindTraits& kind_;
    const PortId id_;
    const Mempool& mempool_;
    bool enabled_;
    unsigned nb_queues_;
    PortTraits traits_;

    // Written by control, read by workers.
    std::atomic<uint16_t> ethdev_id_{kUnbound};
    std::atomic<uint32_t> longest_rx_bytes_{0};

    std::shared_ptr<const Ethdev> ethdev_;
    std::weak_ptr<const Ethdev> last_ethdev_;  // which workers may still use
    UniqueFd silence_;                 // never readable: what doorbells lead to while unbound
    std::vector<UniqueFd> doorbells_;  // by queue; each a duplicate of what the queue reads
    std::string driver_;
    MacAddress mac_;
    uint16_t mtu_bytes_;

    // Empty: the driver knows the link. Otherwise the driver always says "up".
    std::optional<KernelInterface> interface_;
    unsigned interface_index_ = 0;                     // that it is bound to
    std::optional<QueueDiscipline> queue_discipline_;  // af_packet on what has none
    std::optional<SuperPacketGuard> super_packets_;    // af_packet on veth
    uint64_t nb_cut_frames_ = 0;
    Time checked_{};
    Time next_attempt_{};
    LinkState link_ = LinkState::down;
    uint64_t nb_link_changes_ = 0;
    uint64_t nb_rebinds_ = 0;
    uint64_t nb_offload_repairs_ = 0;
    std::string problem_;
};

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_ethdev.h>

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "dataplane/api/dataplane.h"
#include "dataplane/ports/kernel_interface.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/ports/queue_discipline.h"

namespace meshgate {

// What the port leaves to software, and what it does itself.
struct PortTraits {
    // Received L4 checksums may hold the sum of the pseudo-header only (ports of virtual machines
    // and veth pairs): the gateway stands in for the NIC that would have finished them.
    bool finish_partial_checksums = false;
    bool filter_mac = true;  // frames to foreign unicast MACs may arrive
    // The tag of a received frame is in the mbuf (RTE_MBUF_F_RX_VLAN_STRIPPED), not in the frame.
    // Where false, tags stay in the frame.
    bool vlan_strip = false;
    bool rss = false;               // rte_mbuf::hash.rss holds a flow hash
    bool rx_checksum = false;       // RTE_MBUF_F_RX_{IP,L4}_CKSUM_{GOOD,BAD} are set
    bool tx_ipv4_checksum = false;  // RTE_MBUF_F_TX_IP_CKSUM is honoured
    bool tx_udp_checksum = false;   // RTE_MBUF_F_TX_UDP_CKSUM is honoured, IPv4 and IPv6
    uint16_t max_frame_bytes = 0;   // largest frame it can receive whole, tag included
};

// As the driver counts; zero where it does not.
struct PortDriverStats {
    uint64_t rx_missed = 0, rx_errors = 0, rx_nombuf = 0, tx_errors = 0;
};

// A started ethdev. Bursts: the worker that owns the queue. All else: control thread.
class Port {
public:
    // Errors name the port, the cause and, where there is one, the cure.
    static Result<Port> open(const PortOptions& options, PortId id, unsigned nb_workers,
                             const Mempool& mempool);

    Port(Port&& other) noexcept;
    Port& operator=(Port&&) = delete;
    ~Port();

    uint16_t rx_burst(uint16_t queue, rte_mbuf** mbufs, uint16_t nb_mbufs) const noexcept {
        return rte_eth_rx_burst(ethdev_, queue, mbufs, nb_mbufs);
    }
    uint16_t tx_burst(uint16_t queue, rte_mbuf** mbufs, uint16_t nb_mbufs) const noexcept {
        return rte_eth_tx_burst(ethdev_, queue, mbufs, nb_mbufs);
    }

    PortId id() const noexcept { return id_; }
    // Between 1 and the number of workers. Which worker has which is Dataplane's; with fewer than
    // workers, the workers without one hand their frames over.
    unsigned nb_rx_queues() const noexcept { return nb_queues_; }
    unsigned nb_tx_queues() const noexcept { return nb_queues_; }
    const MacAddress& mac() const noexcept { return mac_; }
    const PortTraits& traits() const noexcept { return traits_; }
    // Readable when frames wait in the queue; -1: this port cannot tell. Owned by the port.
    int doorbell_fd(unsigned queue) const noexcept;

    // Looks at the link, counts changes. A few system calls: some times a second, no more.
    LinkState poll_link();
    uint64_t nb_link_changes() const noexcept { return nb_link_changes_; }
    // The other end of a veth pair may join segments to super-packets, which the ring of af_packet
    // cuts. Makes the kernel take them apart from now on: TCP goes from nothing to 1.7 Gbit/s, but
    // a sixth below what hosts reach that make no super-packets, hence not before it is needed.
    void refuse_super_packets();
    const std::string& driver() const noexcept { return driver_; }
    PortDriverStats stats() const;

private:
    friend class PortOpener;
    bool read_link();
    Port() noexcept = default;

    uint16_t ethdev_ = RTE_MAX_ETHPORTS;  // RTE_MAX_ETHPORTS: none, moved from
    PortId id_ = kNoPort;
    unsigned nb_queues_ = 1;
    MacAddress mac_;
    PortTraits traits_;
    std::vector<int> doorbell_fds_;
    std::string driver_;
    std::string vdev_name_;  // empty: not a virtual device, nothing to remove
    // Empty: the driver knows the link. Otherwise the driver always says "up".
    std::optional<KernelInterface> interface_;
    bool makes_cut_frames_ = false;  // af_packet on veth, and nothing done about it yet
    UniqueFd xdp_pass_;
    std::optional<QueueDiscipline> queue_discipline_;  // af_packet on what has none
    int tap_fd_ = -1;  // the interface may move to another network namespace
    LinkState link_ = LinkState::down;
    uint64_t nb_link_changes_ = 0;
};

}  // namespace meshgate

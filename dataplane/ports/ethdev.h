// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_ethdev.h>
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "dataplane/api/options.h"
#include "dataplane/ports/device.h"
#include "dataplane/ports/mempool.h"
#include "dataplane/ports/packet_socket.h"

namespace meshgate {

// As the driver counts; zero where it does not.
struct PortDriverStats {
    uint64_t rx_missed = 0, rx_errors = 0, rx_nombuf = 0, tx_errors = 0;
};

// An ethdev of DPDK that is started, and the virtual device below it: made, configured and started
// by open(), stopped, closed and taken away by the destructor. A port whose interface went and came
// back has one after the other. Control thread; bursts go by id().
class Ethdev {
public:
    struct Request {
        const PortOptions& options;
        PortId id = 0;
        unsigned nb_queues = 1;
        const Mempool& mempool;
        // Of the interface that an af_packet or af_xdp port stands on.
        unsigned interface_index = 0;
        Transmit transmit = Transmit::direct;
    };
    static Result<std::unique_ptr<Ethdev>> open(const Request& request);
    // net_af_xdp lends the kernel as many mbufs, whatever the size of the ring, and never takes
    // them back. With all of them in the ring a worker may be away for twice as long.
    static constexpr uint16_t kNbXdpRxDescriptors = 2048;

    Ethdev(const Ethdev&) = delete;
    Ethdev& operator=(const Ethdev&) = delete;
    ~Ethdev();

    uint16_t id() const noexcept { return id_; }
    unsigned nb_queues() const noexcept { return nb_queues_; }
    const std::string& driver() const noexcept { return driver_; }
    const MacAddress& mac() const noexcept { return mac_; }
    // What each queue reads, where that is a descriptor of the kernel; else empty.
    const std::vector<int>& queue_fds() const noexcept { return queue_fds_; }

    bool rss() const noexcept { return rss_; }  // rte_mbuf::hash.rss holds a flow hash
    // Tags are taken off (RTE_MBUF_F_RX_VLAN_STRIPPED); else they stay in the frame.
    bool strips_vlan() const noexcept {
        return (offloads_.rx & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0;
    }
    bool makes_ipv4_checksums() const noexcept {
        return (offloads_.tx & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) != 0;
    }
    bool makes_udp_checksums() const noexcept {
        return (offloads_.tx & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
    }

    bool has_link() const noexcept;
    PortDriverStats stats() const noexcept;
    // The interface below it is gone for good, whatever has its name or index now.
    bool lost(DeviceKind kind, unsigned interface_index) const noexcept;

private:
    friend class EthdevOpener;
    Ethdev() noexcept = default;

    uint16_t id_ = RTE_MAX_ETHPORTS;  // RTE_MAX_ETHPORTS: none was found
    std::string vdev_name_;           // empty: not a virtual device, nothing to take away
    unsigned nb_queues_ = 1;
    std::string driver_;
    MacAddress mac_;
    std::vector<int> queue_fds_;
    std::vector<ino_t> xdp_sockets_;  // inodes of those of af_xdp
    UniqueFd xdp_link_;               // and what brings their frames
    struct {
        uint64_t rx = 0, tx = 0;
    } offloads_;
    bool rss_ = false;
};

}  // namespace meshgate

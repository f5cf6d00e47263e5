// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "dataplane/api/counters.h"
#include "dataplane/api/options.h"
#include "dataplane/api/status.h"
#include "dataplane/host/guard.h"
#include "dataplane/host/super_packet.h"
#include "dataplane/host/tap.h"
#include "dataplane/ports/kernel_interface.h"
#include "dataplane/worker/doorbell.h"
#include "dataplane/worker/worker.h"

namespace meshgate {

// The thread between the workers and the machine's kernel: what is for the host goes up the twin of
// the port it came by, or, out of the network, up the overlay's interface; what the kernel sends on
// those goes down to the workers. All system calls and the guard are here, so that a worker's share
// is one ring each way.
class HostSide {
public:
    // By worker. Up: frames, or IP packets out of the network (port kNoPort). Down: the same, for
    // the worker that sends them.
    struct Rings {
        rte_ring* up = nullptr;
        rte_ring* down = nullptr;
        Doorbell* worker = nullptr;
    };
    struct Parts {
        rte_mempool* pool = nullptr;
        std::vector<Rings> workers;
        std::vector<unsigned> tx_workers;  // by port: who sends its frames
    };

    // Null when no port has a twin: then there is no thread.
    static Result<std::unique_ptr<HostSide>> create(const DataplaneOptions& options);
    ~HostSide();

    HostView view() noexcept;
    void start(Parts parts);
    void stop() noexcept;

    // The twin follows its port. Control thread.
    void follow(PortId port, const MacAddress& mac, uint16_t mtu_bytes, LinkState link);
    TwinStatus status(PortId port) const;
    const WorkerCounters& counters() const noexcept { return counters_; }

private:
    // One interface of the kernel's.
    struct Way {
        explicit Way(Tap interface_tap) noexcept : tap{std::move(interface_tap)} {}

        Tap tap;
        PortId port = kNoPort;  // none: into the network
        Guard::From from = Guard::From::site;
        uint16_t vlan = 0;
        std::optional<KernelInterface> interface;
        // What it was told last.
        uint16_t mtu_bytes = 0;
        std::optional<LinkState> link;
        Counter to_host_packets, to_host_bytes, from_host_packets, from_host_bytes;
    };

    HostSide(Doorbell doorbell, uint64_t seed);
    Result<void> add(const std::string& name, PortId port, const PortOptions* options);
    void run() noexcept;
    void keep_off_worker_cores() noexcept;
    unsigned take_from_workers(Time now) noexcept;
    void hand_up(rte_mbuf* mbuf, Time now) noexcept;
    Way* way_of(PortId port) const noexcept;
    unsigned take_from_kernel(Way& way, uint32_t events, Time now) noexcept;
    bool has_room() const noexcept;
    void hand_down(Way& way, const Tap::Received& received, Time now) noexcept;
    Verdict check_down(const Way& way, std::span<const uint8_t> bytes, Time now) noexcept;
    void send_pieces(Way& way, const SuperPacket& packet, unsigned worker) noexcept;
    rte_mbuf* make_mbuf(const Way& way, const SuperPacket& packet, unsigned piece) noexcept;
    unsigned worker_for(const Way& way, std::span<const uint8_t> bytes) const noexcept;
    void drop(Drop reason, uint64_t nb_packets = 1) noexcept;
    void sleep() noexcept;

    Doorbell doorbell_;
    Guard guard_;
    UniqueFd epoll_;
    std::vector<std::unique_ptr<Way>> ways_;
    std::vector<unsigned> worker_cores_;
    Parts parts_;
    WorkerCounters counters_;
    std::vector<uint8_t> buffer_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace meshgate

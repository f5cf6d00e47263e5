// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "dataplane/api/counters.h"
#include "dataplane/api/keypair.h"
#include "dataplane/api/link.h"
#include "dataplane/api/note.h"
#include "dataplane/api/options.h"
#include "dataplane/api/packet.h"
#include "dataplane/api/snapshot.h"
#include "dataplane/api/status.h"

namespace meshgate {

// The gateway's packet side as control sees it. One per process (the EAL is a process-wide thing).
// Every member function: control thread only, unless it says otherwise.
class Dataplane {
public:
    // Starts the EAL, allocates all memory, opens and starts the ports, checks the AEAD engines.
    // Workers do not run yet. Errors name the port and the cause.
    static Result<std::unique_ptr<Dataplane>> create(const DataplaneOptions& options);
    virtual ~Dataplane() = default;

    // Workers begin to poll; the first snapshot must have been published.
    virtual void start() = 0;
    // Workers finish what is queued, then stop; ports are closed by the destructor.
    virtual void stop() = 0;

    // ---- down, by pointer ----
    // Swaps the snapshot; the old one is retired.
    virtual void publish(std::shared_ptr<const Snapshot> next) = 0;
    virtual const Snapshot& snapshot() const = 0;

    // A free peer slot with no session and no path; kNoPeer when all max_peers are in use.
    virtual PeerId add_peer() = 0;
    // Clears the slot; it and its counters are given out again only after a grace period. The
    // caller has removed the peer's keypairs and published a snapshot without it.
    virtual void remove_peer(PeerId peer) = 0;

    // The link the peer's datagrams leave by from now on; null: none is known (no_endpoint). The
    // same Link may be the path of many peers and stand in a link slot; it is freed once neither
    // control nor a worker can hold it.
    virtual void set_path(PeerId peer, std::shared_ptr<const Link> link) = 0;
    // Largest inner packet that gets through where the path goes by relays; 0: what the link takes.
    virtual void set_path_mtu(PeerId peer, uint16_t mtu_bytes) = 0;
    // Of the path as it is now; 0: there is none.
    virtual uint16_t path_mtu(PeerId peer) const = 0;
    // Authenticated packets from elsewhere are not noted (endpoint_moved) until the peer is
    // removed: control chooses its path by other means.
    virtual void set_path_is_fixed(PeerId peer) = 0;

    // The peer's packets are sealed with this keypair from now on. No effect when no keypair of the
    // peer has this index.
    virtual void set_sending(PeerId peer, uint32_t local_index) = 0;
    // No session: the peer's packets come up as punts (no_session).
    virtual void clear_sending(PeerId peer) = 0;
    virtual std::optional<SendingKeypair> sending(PeerId peer) const = 0;

    // Inner packets of this size get through any path that IPv6 could take.
    static constexpr uint16_t kAlwaysFits = 1200;
    // Sum over workers of bytes and packets, maximum of times, which are 0 for never.
    struct Activity {
        uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
        uint64_t last_data_rx_tsc, last_data_tx_tsc, last_any_rx_tsc, last_any_tx_tsc;
        // For which it matters how much the path takes: sent ones above kAlwaysFits, and TCP
        // connections that begin.
        uint64_t sized_packets;
    };
    virtual Activity activity(PeerId peer) const = 0;

    // Enters a keypair under its local_index; false when the index is taken, also by a relay entry.
    // Does not make it the sending one.
    [[nodiscard]] virtual bool install(const NewKeypair& keypair) = 0;
    virtual bool has_keypair(uint32_t local_index) const = 0;
    // Takes it out of the table; if it is the peer's sending one, the peer has none then. Wiped and
    // freed after a grace period.
    virtual void remove_keypair(uint32_t local_index) = 0;

    // A free, empty slot of the link table; kNoLink when all kMaxLinks are in use.
    virtual LinkId add_link() = 0;
    // Swaps what the slot holds; null: what would leave by it is dropped (no_endpoint).
    virtual void set_link(LinkId id, std::shared_ptr<const Link> link) = 0;
    // Empties the slot; it and its counters are given out again only after a grace period. The
    // caller has removed or moved the relay entries that lead to it.
    virtual void remove_link(LinkId id) = 0;
    // Transport data with this receiver index leaves by the link from now on, unopened. False when
    // the index is taken (by a keypair or a relay entry, or one removed of late: until its grace
    // period has passed), or max_relays are in use.
    [[nodiscard]] virtual bool install_relay(uint32_t receiver_index, LinkId link) = 0;
    // The same by another link; no packet finds nothing meanwhile. No effect without an entry.
    virtual void move_relay(uint32_t receiver_index, LinkId link) = 0;
    // No effect without an entry; a keypair of that index stays.
    virtual void remove_relay(uint32_t receiver_index) = 0;
    // Sums over workers: what relay entries sent by this link.
    struct LinkActivity {
        uint64_t relayed_packets, relayed_bytes;
    };
    virtual LinkActivity link_activity(LinkId id) const = 0;

    // Frees what was replaced or removed and has passed its grace period; returns how many still
    // wait. Call now and then.
    virtual size_t reclaim() = 0;

    // ---- up and down, by ring ----
    // Readable when punts or notes wait and arm_wakeup() was called since the last empty read.
    virtual int wakeup_fd() const = 0;
    // Declares that control is about to sleep. False when something already waits: poll again.
    virtual bool arm_wakeup() = 0;
    virtual Packet next_punt() = 0;  // empty when none
    virtual std::optional<Note> next_note() = 0;
    // A packet of `len` bytes, yet to be written, with full headroom; none, and counted as no_mbuf,
    // when the pool is empty.
    virtual Packet allocate(uint16_t len) = 0;
    // Hands it to a worker; false (and dropped, counted) when its ring is full. Packets with the
    // same `order` keep their order.
    virtual bool send(Packet packet, uint32_t order = 0) = 0;

    // ---- what is going on ----
    virtual const DataplaneOptions& options() const = 0;
    virtual PortStatus port_status(PortId port) const = 0;
    // Opens or closes it with the next tick_ports(). Only of devices that are interfaces of the
    // kernel may a port that was closed be opened.
    virtual void set_port_enabled(PortId port, bool enabled) = 0;
    // Looks at what the ports stand on: follows it, binds anew what went and came back. Some times
    // a second, and when the kernel's interfaces changed.
    virtual void tick_ports(Time now) = 0;
    virtual WorkerStatus worker_status(unsigned worker) const = 0;
    virtual const WorkerCounters& counters(unsigned worker) const = 0;
    // Counts packets that control drops, of those it was given or wanted to send.
    virtual void count_drop(Drop reason, uint64_t nb_packets = 1) = 0;
    virtual const WorkerCounters& control_counters() const = 0;
    // Of the host thread; null: no port has a twin, and there is none.
    virtual const WorkerCounters* host_counters() const = 0;
    // The kernel's interface into the network.
    virtual TwinStatus overlay_status() const = 0;
    virtual void set_overlay_mtu(uint16_t mtu_bytes) = 0;
    virtual std::string aead_engine() const = 0;         // "ipsec-mb/avx512"
    virtual std::string aead_reason() const = 0;         // why this one
    virtual std::string memory_description() const = 0;  // "512 MiB in hugepages"
    virtual unsigned mbufs_in_use() const = 0;
    // TSC clocks per second, and now.
    virtual uint64_t tsc_hz() const = 0;
    virtual uint64_t tsc_now() const = 0;
};

}  // namespace meshgate

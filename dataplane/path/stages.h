// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/packet/batch.h"
#include "dataplane/worker/worker.h"

namespace meshgate {

// One stage, one file of the same name; each file's head says what goes in, what comes out, what
// dies. A stage takes the whole batch: every mbuf stays in it, moves to another batch, is handed
// over, punted, or dropped with a reason. The order stands in pipeline.cc.

// classify_underlay.cc, classify_overlay.cc
void classify_underlay_stage(Worker& worker, const Snapshot& snapshot, PortId port, Batch& batch,
                             Batch& fragments) noexcept;
void classify_overlay_stage(Worker& worker, const Snapshot& snapshot, PortId port,
                            Batch& batch) noexcept;
// split_one_arm.cc
void split_one_arm(const Snapshot& snapshot, PortId port, Batch& batch, Batch& underlay) noexcept;
// reassemble.cc
void reassemble_stage(Worker& worker, Batch& fragments) noexcept;
// Which worker puts the fragments of that packet's source together.
unsigned fragment_owner(const Worker& worker, rte_mbuf* mbuf, uint16_t l3_offset) noexcept;
// Takes a share of the time that fragments may cost; false: there is none left.
bool take_fragment_share(Worker& worker) noexcept;
// One IPv4 fragment out of the tunnel, data at the IP header: the whole packet, or null.
rte_mbuf* reassemble_inner(Worker& worker, rte_mbuf* mbuf) noexcept;
// Gives up what has waited for too long.
void expire_fragments(Worker& worker, uint64_t now_tsc) noexcept;
// spread.cc
void spread_stage(Worker& worker, Batch& batch) noexcept;
// index.cc, relay.cc
void index_stage(Worker& worker, Batch& batch, Batch& relayed) noexcept;
bool relay_stage(Worker& worker, Batch& relayed) noexcept;
// open.cc, replay.cc, decap.cc, source_check.cc
void open_stage(Worker& worker, Batch& batch) noexcept;
void replay_stage(Worker& worker, Batch& batch) noexcept;
void decap_stage(Worker& worker, Batch& batch) noexcept;
void source_check_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept;
// route.cc
struct Routed {
    Batch to_peers;  // to be sealed
    Batch to_lan;    // to a neighbour on a LAN port
    Batch errors;    // to be answered with an ICMP error
};
void route_stage(Worker& worker, const Snapshot& snapshot, Batch& batch, Routed& routed) noexcept;
// path.cc, mss_clamp.cc, fragment.cc
void path_stage(Worker& worker, Batch& batch, Batch& errors) noexcept;
void mss_clamp_stage(Worker& worker, Batch& batch) noexcept;
// What a link narrower than IPv6 demands does with small IPv6 packets: probes have to tell that
// they did not fit.
enum class TooNarrow : uint8_t { cut_datagrams, refuse };
bool fragment_stage(Worker& worker, Batch& batch, Batch& errors, TooNarrow policy) noexcept;
// For what control sends by a link it chose, in place of path.
void link_stage(Worker& worker, Batch& batch) noexcept;
// seal.cc, encap.cc
enum class WithoutSession : uint8_t { wait, drop };
void seal_stage(Worker& worker, Batch& batch, WithoutSession policy) noexcept;
void encap_stage(Worker& worker, Batch& batch) noexcept;
// Of encapsulated packets, those that try a size: DF is set.
void forbid_fragments(Batch& batch) noexcept;
// cut_outer.cc
void cut_outer_stage(Worker& worker, Batch& batch) noexcept;
// l2.cc
void l2_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept;
// icmp_error.cc
void icmp_error_stage(Worker& worker, const Snapshot& snapshot, Batch& errors) noexcept;
// Ends packets that asked for an ICMP error where none may be sent.
void drop_errors(Worker& worker, Batch& errors) noexcept;
// host.cc
void from_host_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept;
// tx.cc
void tx_stage(Worker& worker, Batch& batch) noexcept;

}  // namespace meshgate

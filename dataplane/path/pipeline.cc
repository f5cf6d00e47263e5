// SPDX-License-Identifier: Apache-2.0
#include "dataplane/path/pipeline.h"

#include <rte_cycles.h>

#include "dataplane/path/stages.h"

// A packet's way, stage by stage. Read this first, then the head of each stage's file.
//
//   LAN -> WAN  rx > classify > (spread) > route > path > mss_clamp > fragment > seal > encap > tx
//   WAN -> LAN  rx > classify > index > open > replay > decap > source_check > route > mss_clamp
//                  > fragment > l2 > tx
//   fragments   rx > classify > reassemble > classify ...   outer datagrams that came in pieces
//   one arm     rx > split > classify ...               as of a wan port, or as of a LAN port
//   relay       rx > classify > index > relay > tx
//   hairpin     ... source_check > route > path > mss_clamp > fragment > seal > encap > tx
//   host        rx > classify (> route) > to the host thread, which stands before the kernel;
//               what the kernel sends into the network: from_host > route as if from a LAN
//   punt        any stage: what is for us, or must wait, goes to control's rings
//   ICMP error  route, path or fragment > icmp_error > route, as an own packet; once, never again

namespace meshgate {

namespace {

// Runs one stage and books its packets and clocks, from the end of the stage before to its own.
// Nothing to do costs nothing.
template <typename Function>
void timed(Worker& worker, Stage stage, Batch& batch, Function function) noexcept {
    if (batch.empty())
        return;
    worker.stage = stage;
    StageCounters& counters = worker.counters.stages[static_cast<size_t>(stage)];
    counters.batches.add(1);
    counters.packets.add(batch.size());
    function();
    const uint64_t end_tsc = rte_rdtsc();
    counters.cycles.add(end_tsc - worker.stage_tsc);
    worker.stage_tsc = end_tsc;
}

// In: packets with a peer. Out: sealed datagrams on the wire; `errors` to be answered.
void send_to_peers(Worker& worker, Batch& batch, Batch& errors) noexcept {
    timed(worker, Stage::path, batch, [&] { path_stage(worker, batch, errors); });
    timed(worker, Stage::mss_clamp, batch, [&] { mss_clamp_stage(worker, batch); });
    bool cut_outer = false;
    timed(worker, Stage::fragment, batch,
          [&] { cut_outer = fragment_stage(worker, batch, errors, TooNarrow::cut_datagrams); });
    timed(worker, Stage::seal, batch, [&] { seal_stage(worker, batch, WithoutSession::wait); });
    timed(worker, Stage::encap, batch, [&] { encap_stage(worker, batch); });
    if (cut_outer)
        timed(worker, Stage::cut_outer, batch, [&] { cut_outer_stage(worker, batch); });
    timed(worker, Stage::tx, batch, [&] { tx_stage(worker, batch); });
}

// In: packets for a LAN port. Out: frames on the wire; `errors` to be answered.
void send_to_lan(Worker& worker, const Snapshot& snapshot, Batch& batch, Batch& errors) noexcept {
    timed(worker, Stage::mss_clamp, batch, [&] { mss_clamp_stage(worker, batch); });
    timed(worker, Stage::fragment, batch,
          [&] { fragment_stage(worker, batch, errors, TooNarrow::refuse); });
    timed(worker, Stage::l2, batch, [&] { l2_stage(worker, snapshot, batch); });
    timed(worker, Stage::tx, batch, [&] { tx_stage(worker, batch); });
}

// ICMP errors are packets of our own and take the same way; an error about an error is dropped.
void answer_errors(Worker& worker, const Snapshot& snapshot, Batch& errors) noexcept {
    timed(worker, Stage::icmp_error, errors, [&] { icmp_error_stage(worker, snapshot, errors); });
    if (errors.empty())
        return;
    Routed routed;
    timed(worker, Stage::route, errors, [&] { route_stage(worker, snapshot, errors, routed); });
    send_to_peers(worker, routed.to_peers, routed.errors);
    send_to_lan(worker, snapshot, routed.to_lan, routed.errors);
    drop_errors(worker, routed.errors);
}

}  // namespace

void run_underlay(Worker& worker, const Snapshot& snapshot, PortId port, Batch& batch) noexcept {
    Batch fragments;
    timed(worker, Stage::classify, batch,
          [&] { classify_underlay_stage(worker, snapshot, port, batch, fragments); });
    run_decapsulation(worker, snapshot, batch);
    run_reassembly(worker, snapshot, fragments);
}

// What has become whole arrives once more, port by port; no fragments are left in it.
void run_reassembly(Worker& worker, const Snapshot& snapshot, Batch& fragments) noexcept {
    timed(worker, Stage::reassemble, fragments, [&] { reassemble_stage(worker, fragments); });
    for (uint16_t i = 0; i < fragments.size();) {
        const PortId port = meta_of(fragments[i]).arrival_port;
        Batch whole;
        for (; i < fragments.size() && meta_of(fragments[i]).arrival_port == port; ++i)
            whole.push(fragments[i]);
        Batch none;
        timed(worker, Stage::classify, whole,
              [&] { classify_underlay_stage(worker, snapshot, port, whole, none); });
        assert(none.empty());
        run_decapsulation(worker, snapshot, whole);
    }
    fragments.clear();
}

void run_decapsulation(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    Batch relayed;
    timed(worker, Stage::index, batch, [&] { index_stage(worker, batch, relayed); });
    bool cut_outer = false;
    timed(worker, Stage::relay, relayed, [&] { cut_outer = relay_stage(worker, relayed); });
    if (cut_outer)
        timed(worker, Stage::cut_outer, relayed, [&] { cut_outer_stage(worker, relayed); });
    timed(worker, Stage::tx, relayed, [&] { tx_stage(worker, relayed); });
    timed(worker, Stage::open, batch, [&] { open_stage(worker, batch); });
    timed(worker, Stage::replay, batch, [&] { replay_stage(worker, batch); });
    timed(worker, Stage::decap, batch, [&] { decap_stage(worker, batch); });
    timed(worker, Stage::source_check, batch, [&] { source_check_stage(worker, snapshot, batch); });
    run_forwarding(worker, snapshot, batch);
}

void run_overlay(Worker& worker, const Snapshot& snapshot, PortId port, Batch& batch) noexcept {
    timed(worker, Stage::classify, batch, [&] {
        classify_overlay_stage(worker, snapshot, port, batch);
        spread_stage(worker, batch);
    });
    run_forwarding(worker, snapshot, batch);
}

// What the split costs is booked to the classify stage behind it.
void run_one_arm(Worker& worker, const Snapshot& snapshot, PortId port, Batch& batch) noexcept {
    Batch underlay;
    split_one_arm(snapshot, port, batch, underlay);
    run_underlay(worker, snapshot, port, underlay);
    run_overlay(worker, snapshot, port, batch);
}

void run_forwarding(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    if (batch.empty())
        return;
    Routed routed;
    timed(worker, Stage::route, batch, [&] { route_stage(worker, snapshot, batch, routed); });
    send_to_peers(worker, routed.to_peers, routed.errors);
    send_to_lan(worker, snapshot, routed.to_lan, routed.errors);
    answer_errors(worker, snapshot, routed.errors);
}

void run_from_host(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    timed(worker, Stage::host, batch, [&] { from_host_stage(worker, snapshot, batch); });
    run_forwarding(worker, snapshot, batch);
}

void run_sealing(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    Batch errors;
    send_to_peers(worker, batch, errors);
    answer_errors(worker, snapshot, errors);
}

// Probes: they wait for nothing and nobody is told of those that do not leave.
void run_probes(Worker& worker, Batch& batch) noexcept {
    Batch errors;
    timed(worker, Stage::path, batch, [&] { link_stage(worker, batch); });
    timed(worker, Stage::fragment, batch,
          [&] { fragment_stage(worker, batch, errors, TooNarrow::refuse); });
    drop_errors(worker, errors);
    timed(worker, Stage::seal, batch, [&] { seal_stage(worker, batch, WithoutSession::drop); });
    timed(worker, Stage::encap, batch, [&] {
        encap_stage(worker, batch);
        forbid_fragments(batch);
    });
    timed(worker, Stage::tx, batch, [&] { tx_stage(worker, batch); });
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
// Where packets come from: one turn of a worker over its ports, its inbox and control's ring. Each
// burst goes into the pipeline.
#include <rte_cycles.h>

#include <array>
#include <span>

#include "dataplane/path/pipeline.h"
#include "dataplane/path/stages.h"
#include "dataplane/ports/port.h"

namespace meshgate {

namespace {

// Prefetches what classify reads and writes, all packets at once: what a driver hands over is in no
// cache of ours. Returns the bytes of the burst.
uint64_t prefetch(const Batch& batch) noexcept {
    uint64_t nb_bytes = 0;
    for (rte_mbuf* mbuf : batch) {
        rte_prefetch0(&meta_of(mbuf));
        const auto* data = rte_pktmbuf_mtod(mbuf, const uint8_t*);
        rte_prefetch0(data);
        rte_prefetch0(data + RTE_CACHE_LINE_SIZE);
        nb_bytes += mbuf->pkt_len;
    }
    return nb_bytes;
}

using RingBurst = std::array<void*, kBurst>;

// Takes up to a burst from one of the worker's rings and begins to measure what becomes of it.
std::span<void* const> drain(Worker& worker, RingBurst& burst, rte_ring* ring,
                             Counter& nb_taken) noexcept {
    const unsigned nb_packets = rte_ring_dequeue_burst(ring, burst.data(), kBurst, nullptr);
    if (nb_packets == 0)
        return {};
    worker.stage = Stage::tx;  // of frames that are sent as they are
    worker.stage_tsc = rte_rdtsc();
    nb_taken.add(nb_packets);
    return std::span{burst}.first(nb_packets);
}

}  // namespace

unsigned Worker::turn() noexcept {
    now_tsc = rte_rdtsc();
    const Snapshot& snapshot = shared.snapshot->read();  // one view for the whole turn
    const unsigned nb_packets = receive_ports(snapshot) + receive_inbox(snapshot) +
                                receive_injections(snapshot) + receive_from_host(snapshot);
    if (nb_packets > 0)
        flush_all();
    if (now_tsc >= stage_state.reassemble.datagrams.next_expiry_tsc()) [[unlikely]] {
        stage = Stage::reassemble;
        expire_fragments(*this, now_tsc);
    }
    return nb_packets;
}

unsigned Worker::receive_ports(const Snapshot& snapshot) noexcept {
    unsigned nb_packets = 0;
    for (const RxQueue& rx : parts.rx_queues) {
        Batch batch;
        stage_tsc = rte_rdtsc();
        batch.set_size(shared.ports[rx.port]->rx_burst(rx.queue, batch.data(), kBurst));
        if (batch.empty())
            continue;
        const uint64_t nb_bytes = prefetch(batch);
        StageCounters& rx_stage = counters.stages[static_cast<size_t>(Stage::rx)];
        rx_stage.batches.add(1);
        rx_stage.packets.add(batch.size());
        const uint64_t end_tsc = rte_rdtsc();
        rx_stage.cycles.add(end_tsc - stage_tsc);
        stage_tsc = end_tsc;
        counters.rx_packets.add(batch.size());
        counters.ports[rx.port].rx_packets.add(batch.size());
        counters.ports[rx.port].rx_bytes.add(nb_bytes);
        nb_packets += batch.size();
        switch (snapshot.ports[rx.port].role) {
            case PortRole::wan:
                run_underlay(*this, snapshot, rx.port, batch);
                break;
            case PortRole::lan:
                run_overlay(*this, snapshot, rx.port, batch);
                break;
            case PortRole::one_arm:
                run_one_arm(*this, snapshot, rx.port, batch);
                break;
        }
    }
    return nb_packets;
}

unsigned Worker::receive_inbox(const Snapshot& snapshot) noexcept {
    RingBurst burst;
    const auto packets = drain(*this, burst, parts.inbox, counters.handover_in_packets);
    if (packets.empty())
        return 0;
    Batch to_reassemble, to_open, to_route;
    for (void* packet : packets) {
        auto* mbuf = static_cast<rte_mbuf*>(packet);
        switch (meta_of(mbuf).resume) {
            case Resume::reassemble:
                to_reassemble.push(mbuf);
                break;
            case Resume::open:
                to_open.push(mbuf);
                break;
            case Resume::route:
                to_route.push(mbuf);
                break;
            case Resume::tx:
                transmit({&mbuf, 1}, meta_of(mbuf).departure_port);
                break;
        }
    }
    run_reassembly(*this, snapshot, to_reassemble);
    run_decapsulation(*this, snapshot, to_open);
    run_forwarding(*this, snapshot, to_route);
    return static_cast<unsigned>(packets.size());
}

namespace {

// Of a link, or of the size of packets.
bool is_probe(const PacketInfo& info) noexcept {
    return info.link != kNoLink || info.mtu_bytes != 0;
}

}  // namespace

unsigned Worker::receive_injections(const Snapshot& snapshot) noexcept {
    RingBurst burst;
    const auto packets = drain(*this, burst, parts.injections, counters.injected_packets);
    if (packets.empty())
        return 0;
    Batch to_route, to_seal, probes;
    for (void* packet : packets) {
        auto* mbuf = static_cast<rte_mbuf*>(packet);
        PacketMeta& meta = meta_of(mbuf);
        meta.from_peer = kNoPeer;
        meta.source_mac = {};
        switch (meta.info.inject) {
            case Inject::frame:
                transmit({&mbuf, 1}, meta.info.port);
                break;
            case Inject::route:
                to_route.push(mbuf);
                break;
            case Inject::seal:
                meta.to_peer = meta.info.peer;
                (is_probe(meta.info) ? probes : to_seal).push(mbuf);
                break;
        }
    }
    run_forwarding(*this, snapshot, to_route);
    run_sealing(*this, snapshot, to_seal);
    run_probes(*this, probes);
    return static_cast<unsigned>(packets.size());
}

unsigned Worker::receive_from_host(const Snapshot& snapshot) noexcept {
    if (parts.host_down == nullptr)
        return 0;
    std::array<void*, kBurst> objects;
    const unsigned nb_packets =
        rte_ring_dequeue_burst(parts.host_down, objects.data(), kBurst, nullptr);
    if (nb_packets == 0)
        return 0;
    stage = Stage::tx;  // of frames that are sent as they are
    stage_tsc = rte_rdtsc();
    Batch to_network;
    for (unsigned i = 0; i < nb_packets; ++i) {
        auto* mbuf = static_cast<rte_mbuf*>(objects[i]);
        const PortId port = meta_of(mbuf).info.port;
        if (port == kNoPort)
            to_network.push(mbuf);
        else
            transmit({&mbuf, 1}, port);
    }
    run_from_host(*this, snapshot, to_network);
    return nb_packets;
}

}  // namespace meshgate

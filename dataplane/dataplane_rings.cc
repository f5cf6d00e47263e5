// SPDX-License-Identifier: Apache-2.0
// What passes by ring: punts and notes up, packets of control down.
#include <rte_ring_elem.h>

#include <algorithm>

#include "dataplane/dataplane_impl.h"
#include "dataplane/packet/packet_meta.h"

namespace meshgate {

namespace {

// Of the packets that control takes, so many may be punts in a row while others wait.
constexpr unsigned kPuntsPerWaiting = 4;

}  // namespace

bool DataplaneImpl::arm_wakeup() {
    control_doorbell_->disarm();
    control_doorbell_->arm();
    const auto has_news = [](const WorkerRings& rings) {
        return !is_empty(rings.punts.get()) || !is_empty(rings.mesh.get()) ||
               !is_empty(rings.waiting.get()) || !is_empty(rings.notes.get());
    };
    if (std::none_of(rings_.begin(), rings_.end(), has_news))
        return true;
    control_doorbell_->disarm();
    return false;
}

const Ring& DataplaneImpl::ring_of(const WorkerRings& rings, PuntRing kind) noexcept {
    switch (kind) {
        case PuntRing::mesh:
            return rings.mesh;
        case PuntRing::waiting:
            return rings.waiting;
        case PuntRing::punts:
            break;
    }
    return rings.punts;
}

Packet DataplaneImpl::take(PuntRing kind) {
    for (size_t i = 0; i < rings_.size(); ++i) {
        next_ring_ = (next_ring_ + 1) % static_cast<unsigned>(rings_.size());
        void* mbuf = nullptr;
        if (rte_ring_dequeue(ring_of(rings_[next_ring_], kind).get(), &mbuf) == 0)
            return Packet{static_cast<rte_mbuf*>(mbuf)};
    }
    return Packet{};
}

// Handshakes and Babel by turns, so that a flood of the one does not delay the other.
Packet DataplaneImpl::take_urgent() {
    mesh_first_ = !mesh_first_;
    if (Packet packet = take(mesh_first_ ? PuntRing::mesh : PuntRing::punts))
        return packet;
    return take(mesh_first_ ? PuntRing::punts : PuntRing::mesh);
}

// Handshakes before packets that wait for them; but neither kind can keep the other out.
Packet DataplaneImpl::next_punt() {
    if (nb_punts_in_row_ < kPuntsPerWaiting) {
        ++nb_punts_in_row_;
        if (Packet packet = take_urgent())
            return packet;
    }
    nb_punts_in_row_ = 0;
    if (Packet packet = take(PuntRing::waiting))
        return packet;
    return take_urgent();
}

std::optional<Note> DataplaneImpl::next_note() {
    Note note;
    for (const WorkerRings& rings : rings_) {
        if (rte_ring_dequeue_elem(rings.notes.get(), &note, sizeof note) == 0)
            return note;
    }
    return std::nullopt;
}

Packet DataplaneImpl::allocate(uint16_t len) {
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(mempool_->get());
    if (mbuf == nullptr) {
        count_drop(Drop::no_mbuf, 1);
        return Packet{};
    }
    meta_of(mbuf) = PacketMeta{};
    Packet packet{mbuf};
    if (rte_pktmbuf_append(mbuf, len) == nullptr)
        return Packet{};
    return packet;
}

bool DataplaneImpl::send(Packet packet, uint32_t order) {
    MG_ASSERT(packet);
    const PacketInfo& info = packet.info();
    MG_ASSERT(info.link == kNoLink || info.link < nb_links_ever_);
    unsigned worker = order % options_.nb_workers;
    // A finished frame goes to the worker that can send it without handing it on.
    if (info.inject == Inject::frame)
        worker = owner_of(info.port, order % ports_.at(info.port)->nb_tx_queues());
    rte_mbuf* const mbuf = packet.release();
    if (rte_ring_enqueue(rings_[worker].injections.get(), mbuf) != 0) {
        count_drop(Drop::handover_full, 1);
        rte_pktmbuf_free(mbuf);
        return false;
    }
    workers_[worker]->worker.parts.doorbell.ring();
    return true;
}

}  // namespace meshgate

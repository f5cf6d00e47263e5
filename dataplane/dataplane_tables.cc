// SPDX-License-Identifier: Apache-2.0
// What goes down by pointer: snapshots, peers, keypairs, links, relay entries.
#include <algorithm>

#include "dataplane/dataplane_impl.h"

namespace meshgate {

// ---- down, by pointer ----

void DataplaneImpl::publish(std::shared_ptr<const Snapshot> next) {
    MG_ASSERT(next->ports.size() == ports_.size());
    retire(snapshot_->exchange(std::move(next)));
}

PeerId DataplaneImpl::add_peer() {
    if (!free_peers_.empty()) {
        const PeerId peer = free_peers_.back();
        free_peers_.pop_back();
        return peer;
    }
    return nb_peers_ever_ < options_.max_peers ? nb_peers_ever_++ : kNoPeer;
}

void DataplaneImpl::remove_peer(PeerId peer) {
    MG_ASSERT(peer < nb_peers_ever_);
    PeerSlot& slot = (*peers_)[peer];
    slot.sending.store(nullptr, std::memory_order_release);
    slot.path.store(nullptr, std::memory_order_release);
    retired_->add_action([this, peer] {
        (*peers_)[peer].roaming_noted_tsc.store(0, std::memory_order_relaxed);
        (*peers_)[peer].path_is_fixed.store(false, std::memory_order_relaxed);
        (*peers_)[peer].path_mtu_bytes.store(0, std::memory_order_relaxed);
        for (const ZeroedArray<PeerActivity>& of_worker : activity_) {
            PeerActivity& seen = of_worker[peer];
            for (Counter* counter : {&seen.rx_packets, &seen.rx_bytes, &seen.tx_packets,
                                     &seen.tx_bytes, &seen.last_data_rx_tsc, &seen.last_data_tx_tsc,
                                     &seen.last_any_rx_tsc, &seen.last_any_tx_tsc})
                counter->set(0);
        }
        free_peers_.push_back(peer);
    });
}

Dataplane::Activity DataplaneImpl::activity(PeerId peer) const {
    Activity sum{};
    const auto raise = [](uint64_t& value, const Counter& counter) {
        value = std::max(value, counter.get());
    };
    for (const ZeroedArray<PeerActivity>& of_worker : activity_) {
        const PeerActivity& seen = of_worker[peer];
        sum.rx_packets += seen.rx_packets.get();
        sum.rx_bytes += seen.rx_bytes.get();
        sum.tx_packets += seen.tx_packets.get();
        sum.tx_bytes += seen.tx_bytes.get();
        raise(sum.last_data_rx_tsc, seen.last_data_rx_tsc);
        raise(sum.last_data_tx_tsc, seen.last_data_tx_tsc);
        raise(sum.last_any_rx_tsc, seen.last_any_rx_tsc);
        raise(sum.last_any_tx_tsc, seen.last_any_tx_tsc);
    }
    return sum;
}

bool DataplaneImpl::install(std::unique_ptr<Keypair> keypair) {
    const uint32_t index = keypair->local_index;
    MG_ASSERT(worker_of(index) < options_.nb_workers);
    MG_ASSERT(keypair->peer < nb_peers_ever_);
    if (!index_->insert(index, IndexEntry{keypair.get()}))
        return false;
    keypairs_.insert_or_assign(index, std::move(keypair));
    return true;
}

Keypair* DataplaneImpl::keypair(uint32_t local_index) {
    return index_->find(local_index).keypair();
}

void DataplaneImpl::remove_keypair(uint32_t local_index) {
    Keypair* const removed = keypair(local_index);
    if (removed == nullptr)
        return;
    index_->erase(local_index);
    Keypair* sending = removed;
    (*peers_)[removed->peer].sending.compare_exchange_strong(sending, nullptr,
                                                             std::memory_order_acq_rel);
    // The slot of the table stays reserved as long as the keypair lives.
    retired_->add_action([this, local_index] {
        keypairs_.erase(local_index);
        index_->recycle(local_index);
    });
}

// ---- links and relays ----

LinkId DataplaneImpl::add_link() {
    if (!free_links_.empty()) {
        const LinkId id = free_links_.back();
        free_links_.pop_back();
        return id;
    }
    return nb_links_ever_ < kMaxLinks ? nb_links_ever_++ : kNoLink;
}

void DataplaneImpl::set_link(LinkId id, const Link* link) {
    MG_ASSERT(id < nb_links_ever_);
    (*links_)[id].store(link, std::memory_order_release);
}

void DataplaneImpl::remove_link(LinkId id) {
    set_link(id, nullptr);
    retired_->add_action([this, id] {
        for (const ZeroedArray<LinkCounters>& of_worker : link_counters_) {
            of_worker[id].relayed_packets.set(0);
            of_worker[id].relayed_bytes.set(0);
        }
        free_links_.push_back(id);
    });
}

bool DataplaneImpl::install_relay(uint32_t receiver_index, LinkId link) {
    MG_ASSERT(link < nb_links_ever_);
    if (nb_relays_ == options_.max_relays ||
        !index_->insert(receiver_index, IndexEntry::relay(link)))
        return false;
    ++nb_relays_;
    return true;
}

void DataplaneImpl::move_relay(uint32_t receiver_index, LinkId link) {
    MG_ASSERT(link < nb_links_ever_);
    if (index_->find(receiver_index).kind() == IndexEntry::Kind::relay)
        index_->replace(receiver_index, IndexEntry::relay(link));
}

void DataplaneImpl::remove_relay(uint32_t receiver_index) {
    if (index_->find(receiver_index).kind() != IndexEntry::Kind::relay)
        return;
    index_->erase(receiver_index);
    retired_->add_action([this, receiver_index] {
        index_->recycle(receiver_index);
        --nb_relays_;
    });
}

Dataplane::LinkActivity DataplaneImpl::link_activity(LinkId id) const {
    LinkActivity sum{};
    for (const ZeroedArray<LinkCounters>& of_worker : link_counters_) {
        sum.relayed_packets += of_worker[id].relayed_packets.get();
        sum.relayed_bytes += of_worker[id].relayed_bytes.get();
    }
    return sum;
}

}  // namespace meshgate

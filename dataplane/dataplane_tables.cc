// SPDX-License-Identifier: Apache-2.0
// What goes down by pointer: snapshots, peers, keypairs, links, relay entries.
#include <algorithm>
#include <utility>

#include "dataplane/dataplane_impl.h"

namespace meshgate {

// ---- down, by pointer ----

void DataplaneImpl::publish(std::shared_ptr<const Snapshot> next) {
    MG_ASSERT(next->ports.size() == ports_.size());
    retired_->add(snapshot_->exchange(std::move(next)));
}

PeerId DataplaneImpl::add_peer() {
    if (!free_peers_.empty()) {
        const PeerId peer = free_peers_.back();
        free_peers_.pop_back();
        return peer;
    }
    if (nb_peers_ever_ == options_.max_peers)
        return kNoPeer;
    paths_.emplace_back();
    return nb_peers_ever_++;
}

PeerSlot& DataplaneImpl::slot(PeerId peer) {
    MG_ASSERT(peer < nb_peers_ever_);
    return (*peers_)[peer];
}

void DataplaneImpl::remove_peer(PeerId peer) {
    clear_sending(peer);
    set_path(peer, nullptr);
    retired_->add_action([this, peer] {
        slot(peer).roaming_noted_tsc.store(0, std::memory_order_relaxed);
        slot(peer).path_is_fixed.store(false, std::memory_order_relaxed);
        slot(peer).path_mtu_bytes.store(0, std::memory_order_relaxed);
        for (const ZeroedArray<PeerActivity>& of_worker : activity_) {
            PeerActivity& seen = of_worker[peer];
            for (Counter* counter :
                 {&seen.rx_packets, &seen.rx_bytes, &seen.tx_packets, &seen.tx_bytes,
                  &seen.last_data_rx_tsc, &seen.last_data_tx_tsc, &seen.last_any_rx_tsc,
                  &seen.last_any_tx_tsc, &seen.sized_packets})
                counter->set(0);
        }
        free_peers_.push_back(peer);
    });
}

// ---- paths ----

// Pairs with the acquire in path.cc, as all stores of pointers here do: a worker that sees the
// pointer sees what it refers to.
void DataplaneImpl::set_path(PeerId peer, std::shared_ptr<const Link> link) {
    slot(peer).path.store(link.get(), std::memory_order_release);
    if (auto old = std::exchange(paths_[peer], std::move(link)))
        retired_->add(std::move(old));
}

void DataplaneImpl::set_path_mtu(PeerId peer, uint16_t mtu_bytes) {
    slot(peer).path_mtu_bytes.store(mtu_bytes, std::memory_order_relaxed);
}

uint16_t DataplaneImpl::path_mtu(PeerId peer) const {
    const Link* path = paths_.at(peer).get();
    return path == nullptr ? 0 : slot(peer).mtu_of(path->mtu_bytes);
}

void DataplaneImpl::set_path_is_fixed(PeerId peer) {
    slot(peer).path_is_fixed.store(true, std::memory_order_relaxed);
}

// ---- keypairs ----

void DataplaneImpl::set_sending(PeerId peer, uint32_t local_index) {
    Keypair* const found = keypair(local_index);
    if (found != nullptr && found->peer == peer)
        slot(peer).sending.store(found, std::memory_order_release);
}

void DataplaneImpl::clear_sending(PeerId peer) {
    slot(peer).sending.store(nullptr, std::memory_order_release);
}

// Control is the only writer of the slot, and keypairs are freed on its thread.
std::optional<SendingKeypair> DataplaneImpl::sending(PeerId peer) const {
    const Keypair* keypair = slot(peer).sending.load(std::memory_order_relaxed);
    if (keypair == nullptr)
        return std::nullopt;
    return SendingKeypair{.local_index = keypair->local_index,
                          .remote_index_le = keypair->remote_index_le,
                          .reject_after_tsc = keypair->reject_after_tsc,
                          .send_counter = keypair->send_counter.load(std::memory_order_relaxed)};
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
        sum.sized_packets += seen.sized_packets.get();
        raise(sum.last_data_rx_tsc, seen.last_data_rx_tsc);
        raise(sum.last_data_tx_tsc, seen.last_data_tx_tsc);
        raise(sum.last_any_rx_tsc, seen.last_any_rx_tsc);
        raise(sum.last_any_tx_tsc, seen.last_any_tx_tsc);
    }
    return sum;
}

bool DataplaneImpl::install(const NewKeypair& options) {
    const uint32_t index = options.local_index;
    MG_ASSERT(worker_of(index) < options_.nb_workers);
    MG_ASSERT(options.peer < nb_peers_ever_);
    auto keypair = std::make_unique<Keypair>();
    std::ranges::copy(options.send_key, keypair->send_key.begin());
    std::ranges::copy(options.receive_key, keypair->receive_key.begin());
    keypair->local_index = index;
    keypair->remote_index_le = options.remote_index_le;
    keypair->peer = options.peer;
    keypair->reject_after_tsc = options.reject_after_tsc;
    keypair->confirmed = options.initiator == Initiator::us;
    if (!index_->insert(index, IndexEntry{keypair.get()}))
        return false;
    keypairs_.insert_or_assign(index, std::move(keypair));
    return true;
}

Keypair* DataplaneImpl::keypair(uint32_t local_index) const {
    return index_->find(local_index).keypair();
}

void DataplaneImpl::remove_keypair(uint32_t local_index) {
    Keypair* const removed = keypair(local_index);
    if (removed == nullptr)
        return;
    index_->erase(local_index);
    if (slot(removed->peer).sending.load(std::memory_order_relaxed) == removed)
        clear_sending(removed->peer);
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
    if (nb_links_ever_ == kMaxLinks)
        return kNoLink;
    link_owners_.emplace_back();
    return nb_links_ever_++;
}

void DataplaneImpl::set_link(LinkId id, std::shared_ptr<const Link> link) {
    MG_ASSERT(id < nb_links_ever_);
    (*links_)[id].store(link.get(), std::memory_order_release);
    if (auto old = std::exchange(link_owners_[id], std::move(link)))
        retired_->add(std::move(old));
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

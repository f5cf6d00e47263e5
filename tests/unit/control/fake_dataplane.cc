// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/fake_dataplane.h"

#include <algorithm>

#include "base/assert.h"
#include "dataplane/packet/packet_meta.h"
#include "dataplane/ports/eal.h"

namespace meshgate::control {

namespace {

// The EAL lives as long as the process.
Mempool& pool() {
    static Mempool* const mempool = [] {
        auto eal = Eal::start({.memory = {.hugepages = false, .memory_mib = 128}, .nb_workers = 1});
        MG_ASSERT(eal);
        static Eal kept{*std::move(eal)};
        auto made = Mempool::create({.nb_mbufs = 16384});
        MG_ASSERT(made);
        return new Mempool{*std::move(made)};
    }();
    return *mempool;
}

}  // namespace

unsigned fake_mbufs_in_use() {
    return pool().nb_in_use();
}

FakeDataplane::FakeDataplane(DataplaneOptions options)
    : links(options.ports.size(), LinkState::up), options_{std::move(options)} {
    pool();
}

FakeDataplane::~FakeDataplane() = default;

void FakeDataplane::punt(Punt reason, std::span<const uint8_t> bytes, PacketInfo info) {
    Packet packet = allocate(static_cast<uint16_t>(bytes.size()));
    MG_ASSERT(packet);
    std::ranges::copy(bytes, packet.bytes().begin());
    info.punt = reason;
    packet.info() = info;
    punts_.push_back(std::move(packet));
}

void FakeDataplane::publish(std::shared_ptr<const Snapshot> next) {
    for (const ForwardingEntry& entry : next->entries)
        MG_ASSERT(entry.kind != ForwardKind::peer || is_in_use(entry.peer));
    snapshot_ = std::move(next);
}

PeerId FakeDataplane::add_peer() {
    PeerId peer = kNoPeer;
    if (!free_.empty()) {
        peer = free_.back();
        free_.pop_back();
    } else if (peers_.size() < options_.max_peers) {
        peer = static_cast<PeerId>(peers_.size());
        peers_.emplace_back();
    }
    return peer;
}

// Workers go by the published snapshot: it must have stopped naming the slot.
void FakeDataplane::remove_peer(PeerId peer) {
    MG_ASSERT(is_in_use(peer));
    for (const auto& [index, keypair] : keypairs)
        MG_ASSERT(keypair->peer != peer);
    if (snapshot_ != nullptr) {
        for (const ForwardingEntry& entry : snapshot_->entries)
            MG_ASSERT(entry.kind != ForwardKind::peer || entry.peer != peer);
    }
    peers_.at(peer) = {};
    leaving_.push_back(peer);
}

bool FakeDataplane::is_in_use(PeerId peer) const {
    return peer < peers_.size() && std::ranges::find(free_, peer) == free_.end() &&
           std::ranges::find(leaving_, peer) == leaving_.end();
}

size_t FakeDataplane::reclaim() {
    free_.insert(free_.end(), leaving_.begin(), leaving_.end());
    leaving_.clear();
    leaving_indices_.clear();
    return 0;
}

Dataplane::Activity FakeDataplane::activity(PeerId peer) const {
    const auto it = activities.find(peer);
    return it == activities.end() ? Activity{} : it->second;
}

uint16_t FakeDataplane::path_mtu(PeerId peer) const {
    const Peer& of = peers_.at(peer);
    if (of.path == nullptr)
        return 0;
    return of.path_mtu_bytes == 0 ? of.path->mtu_bytes
                                  : std::min(of.path->mtu_bytes, of.path_mtu_bytes);
}

void FakeDataplane::set_sending(PeerId peer, uint32_t local_index) {
    if (Keypair* found = keypair(local_index); found != nullptr && found->peer == peer)
        peers_.at(peer).sending = found;
}

std::optional<SendingKeypair> FakeDataplane::sending(PeerId peer) const {
    const Keypair* keypair = sending_keypair(peer);
    if (keypair == nullptr)
        return std::nullopt;
    return SendingKeypair{.local_index = keypair->local_index,
                          .remote_index_le = keypair->remote_index_le,
                          .reject_after_tsc = keypair->reject_after_tsc,
                          .send_counter = keypair->send_counter};
}

bool FakeDataplane::install(const NewKeypair& options) {
    const uint32_t index = options.local_index;
    if (refuse_install || keypairs.contains(index) || relays.contains(index) ||
        leaving_indices_.contains(index))
        return false;
    auto keypair = std::make_unique<Keypair>();
    std::ranges::copy(options.send_key, keypair->send_key.begin());
    std::ranges::copy(options.receive_key, keypair->receive_key.begin());
    keypair->local_index = index;
    keypair->remote_index_le = options.remote_index_le;
    keypair->peer = options.peer;
    keypair->reject_after_tsc = options.reject_after_tsc;
    keypair->confirmed = options.initiator == Initiator::us;
    keypairs.emplace(index, std::move(keypair));
    return true;
}

Keypair* FakeDataplane::keypair(uint32_t local_index) const {
    const auto it = keypairs.find(local_index);
    return it == keypairs.end() ? nullptr : it->second.get();
}

void FakeDataplane::remove_keypair(uint32_t local_index) {
    const auto it = keypairs.find(local_index);
    if (it == keypairs.end())
        return;
    Peer& peer = peers_.at(it->second->peer);
    if (peer.sending == it->second.get())
        peer.sending = nullptr;
    keypairs.erase(it);
    leaving_indices_.insert(local_index);
}

// Slots are never given out twice: a test that uses one after its end finds it empty.
LinkId FakeDataplane::add_link() {
    if (link_table.size() == kMaxLinks)
        return kNoLink;
    const LinkId id = next_link_++;
    link_table.emplace(id, nullptr);
    return id;
}

void FakeDataplane::set_link(LinkId id, std::shared_ptr<const Link> link) {
    link_table.at(id) = std::move(link);
}

void FakeDataplane::remove_link(LinkId id) {
    MG_ASSERT(link_table.erase(id) == 1);
}

bool FakeDataplane::install_relay(uint32_t receiver_index, LinkId link) {
    MG_ASSERT(link_table.contains(link));
    if (refuse_install || keypairs.contains(receiver_index) ||
        leaving_indices_.contains(receiver_index))
        return false;
    return relays.emplace(receiver_index, link).second;
}

void FakeDataplane::move_relay(uint32_t receiver_index, LinkId link) {
    MG_ASSERT(link_table.contains(link));
    if (const auto it = relays.find(receiver_index); it != relays.end())
        it->second = link;
}

void FakeDataplane::remove_relay(uint32_t receiver_index) {
    if (relays.erase(receiver_index) == 1)
        leaving_indices_.insert(receiver_index);
}

Dataplane::LinkActivity FakeDataplane::link_activity(LinkId id) const {
    const auto it = link_activities.find(id);
    return it == link_activities.end() ? LinkActivity{} : it->second;
}

Packet FakeDataplane::next_punt() {
    if (punts_.empty())
        return {};
    Packet packet = std::move(punts_.front());
    punts_.pop_front();
    return packet;
}

std::optional<Note> FakeDataplane::next_note() {
    if (notes.empty())
        return std::nullopt;
    const Note note = notes.front();
    notes.pop_front();
    return note;
}

std::vector<Packet> FakeDataplane::take_all_mbufs() {
    std::vector<Packet> all;
    while (rte_mbuf* const mbuf = rte_pktmbuf_alloc(pool().get()))
        all.emplace_back(mbuf);
    return all;
}

Packet FakeDataplane::allocate(uint16_t len) {
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(pool().get());
    if (mbuf == nullptr) {
        count_drop(Drop::no_mbuf, 1);
        return {};
    }
    meta_of(mbuf) = PacketMeta{};
    Packet packet{mbuf};
    MG_ASSERT(rte_pktmbuf_append(mbuf, len) != nullptr);
    return packet;
}

bool FakeDataplane::send(Packet packet, uint32_t) {
    const auto bytes = packet.bytes();
    sent.push_back({packet.info(), {bytes.begin(), bytes.end()}});
    return true;
}

PortStatus FakeDataplane::port_status(PortId port) const {
    return {.name = options_.ports[port].name,
            .device = "fake",
            .driver = "fake",
            .role = options_.ports[port].role,
            .mac = mac_of(port),
            .link = links[port],
            .link_changes = 0,
            .nb_rx_queues = 1,
            .nb_tx_queues = 1,
            .rss = false,
            .tx_checksum_offload = false,
            .vlan_strip_offload = false,
            .rx_missed = 0,
            .rx_errors = 0,
            .rx_nombuf = 0,
            .tx_errors = 0,
            .mtu_bytes = options_.ports[port].mtu_bytes};
}

unsigned FakeDataplane::mbufs_in_use() const {
    return fake_mbufs_in_use();
}

}  // namespace meshgate::control

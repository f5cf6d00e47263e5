// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/reassembly.h"

#include <rte_hash_crc.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"

namespace meshgate {

namespace {

// More never hold a mbuf each within kMaxBytes.
constexpr size_t kMaxDatagrams = 1024;
constexpr uint32_t kLargestDatagram = UINT16_MAX;  // reassembled, bytes (RFC 791)

// What a waiting piece keeps from others: all of its mbuf, however short it is.
size_t held_bytes(const rte_mbuf* mbuf) noexcept {
    return sizeof(rte_mbuf) + mbuf->priv_size + mbuf->buf_len;
}

}  // namespace

// rte_hash_crc wants its words aligned, which addresses in headers are not.
uint32_t hash_address(const uint8_t* address, size_t len, uint32_t start) noexcept {
    alignas(uint64_t) std::array<uint8_t, 16> aligned{};
    std::memcpy(aligned.data(), address, std::min(len, aligned.size()));
    return rte_hash_crc(aligned.data(), aligned.size(), start);
}

Reassembly::Reassembly(size_t max_bytes, uint64_t tsc_hz)
    : max_bytes_{max_bytes},
      lifetime_tsc_{kLifetimeSeconds * tsc_hz},
      seed_{random_number<uint32_t>()},
      entries_(kMaxDatagrams),
      nodes_(kMaxDatagrams) {
    buckets_.fill(kNone);
    for (size_t i = kMaxDatagrams; i > 0; --i)
        free_.push_back(static_cast<uint16_t>(i - 1));
}

const Reassembly::Pieces& Reassembly::add(Sink& sink, const FragmentKey& key,
                                          const Fragment& fragment, uint64_t now_tsc) noexcept {
    done_.nb = 0;
    const uint16_t index = find_or_make(sink, key, now_tsc);
    Entry& entry = entries_[index];
    if (const Verdict verdict = check(entry, fragment); !verdict.is_sound()) {
        sink.drop(fragment.mbuf, verdict.reason());
        // The network may deliver one twice; anything else spoils the datagram (RFC 5722).
        if (!is_repeated(entry, fragment)) {
            drop_pieces(sink, entry, verdict.reason());
            entry.spoiled = true;
        }
        return done_;
    }
    insert(entry, fragment);
    if (entry.total_len != 0 && entry.received_len == entry.total_len) {
        done_ = entry.pieces;
        for (unsigned i = 0; i < done_.nb; ++i)
            nb_bytes_ -= held_bytes(done_.piece[i].mbuf);
        entry.pieces.nb = 0;
        unlink(index);
        return done_;
    }
    while (nb_bytes_ > max_bytes_)
        give_up(sink, oldest_, Drop::fragment_limit);
    return done_;
}

void Reassembly::expire(Sink& sink, uint64_t now_tsc) noexcept {
    while (oldest_ != kNone && entries_[oldest_].expires_tsc <= now_tsc)
        give_up(sink, oldest_, Drop::fragment_timeout);
}

// The bucket is the source's alone: what it sends is then found, and counted, in one list.
Reassembly::Node Reassembly::node_of(const FragmentKey& key) const noexcept {
    const uint32_t source_hash = hash_address(key.source.bytes.data(), 16, seed_ ^ key.sender);
    const uint32_t rest = key.identification ^ (uint32_t{key.proto} << 24);
    return {.source_hash = source_hash,
            .key_hash = rte_hash_crc_4byte(
                rest, hash_address(key.destination.bytes.data(), 16, source_hash))};
}

uint16_t Reassembly::find_or_make(Sink& sink, const FragmentKey& key, uint64_t now_tsc) noexcept {
    const Node wanted = node_of(key);
    unsigned nb_of_source = 0;
    uint16_t oldest_of_source = kNone;
    for (uint16_t i = buckets_[wanted.source_hash % kNbBuckets]; i != kNone; i = nodes_[i].next) {
        if (nodes_[i].source_hash != wanted.source_hash)
            continue;
        if (nodes_[i].key_hash == wanted.key_hash && entries_[i].key == key)
            return i;
        ++nb_of_source;
        oldest_of_source = i;
    }
    if (nb_of_source >= kMaxPerSource)
        give_up(sink, oldest_of_source, Drop::fragment_limit);
    if (free_.empty())
        give_up(sink, oldest_, Drop::fragment_limit);
    return make(wanted, key, now_tsc);
}

uint16_t Reassembly::make(const Node& node, const FragmentKey& key, uint64_t now_tsc) noexcept {
    const uint16_t index = free_.back();
    free_.pop_back();
    uint16_t& first = buckets_[node.source_hash % kNbBuckets];
    nodes_[index] = node;
    nodes_[index].next = first;
    first = index;
    Entry& entry = entries_[index];
    entry.key = key;
    entry.pieces.nb = 0;
    entry.total_len = entry.received_len = 0;
    entry.spoiled = false;
    entry.expires_tsc = now_tsc + lifetime_tsc_;
    entry.older = newest_;
    entry.newer = kNone;
    (newest_ == kNone ? oldest_ : entries_[newest_].newer) = index;
    newest_ = index;
    note_expiry();
    return index;
}

// Whether the fragment fits beside those that are here.
Verdict Reassembly::check(const Entry& entry, const Fragment& fragment) const noexcept {
    if (entry.spoiled)
        return Drop::fragment_overlap;
    const uint32_t end = fragment.offset + fragment.len;
    if (fragment.len == 0 || end > kLargestDatagram || (fragment.more && fragment.len % 8 != 0))
        return Drop::fragment_bad;
    const bool ends_differ = entry.total_len != 0 && !fragment.more && end != entry.total_len;
    if (ends_differ || (entry.total_len != 0 && end > entry.total_len))
        return Drop::fragment_overlap;
    for (unsigned i = 0; i < entry.pieces.nb; ++i) {
        const Fragment& one = entry.pieces.piece[i];
        if (fragment.offset < one.offset + one.len && one.offset < end)
            return Drop::fragment_overlap;
        if (!fragment.more && one.offset >= end)
            return Drop::fragment_overlap;
    }
    return entry.pieces.nb == kMaxPieces ? Drop::fragment_limit : kSound;
}

bool Reassembly::is_repeated(const Entry& entry, const Fragment& fragment) noexcept {
    const Fragment* const begin = entry.pieces.piece.data();
    return std::any_of(begin, begin + entry.pieces.nb, [&](const Fragment& one) {
        return one.offset == fragment.offset && one.len == fragment.len;
    });
}

// Keeps them in order.
void Reassembly::insert(Entry& entry, const Fragment& fragment) noexcept {
    auto* const begin = entry.pieces.piece.data();
    auto* at = begin + entry.pieces.nb;
    for (; at != begin && at[-1].offset > fragment.offset; --at)
        *at = at[-1];
    *at = fragment;
    ++entry.pieces.nb;
    entry.received_len += fragment.len;
    if (!fragment.more)
        entry.total_len = fragment.offset + fragment.len;
    nb_bytes_ += held_bytes(fragment.mbuf);
}

void Reassembly::drop_pieces(Sink& sink, Entry& entry, Drop reason) noexcept {
    for (unsigned i = 0; i < entry.pieces.nb; ++i) {
        nb_bytes_ -= held_bytes(entry.pieces.piece[i].mbuf);
        sink.drop(entry.pieces.piece[i].mbuf, reason);
    }
    entry.pieces.nb = 0;
}

void Reassembly::give_up(Sink& sink, uint16_t index, Drop reason) noexcept {
    drop_pieces(sink, entries_[index], reason);
    unlink(index);
}

void Reassembly::unlink(uint16_t index) noexcept {
    const Entry& entry = entries_[index];
    uint16_t* link = &buckets_[nodes_[index].source_hash % kNbBuckets];
    while (*link != index)
        link = &nodes_[*link].next;
    *link = nodes_[index].next;
    (entry.older == kNone ? oldest_ : entries_[entry.older].newer) = entry.newer;
    (entry.newer == kNone ? newest_ : entries_[entry.newer].older) = entry.older;
    free_.push_back(index);
    note_expiry();
}

void Reassembly::note_expiry() noexcept {
    next_expiry_tsc_ = oldest_ == kNone ? UINT64_MAX : entries_[oldest_].expires_tsc;
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <array>
#include <cstdint>
#include <vector>

#include "base/address.h"
#include "dataplane/api/drop.h"
#include "dataplane/packet/verdict.h"

namespace meshgate {

// What the fragments of one datagram have in common (RFC 791, section 3.2; RFC 8200, section 4.5).
struct FragmentKey {
    IpAddress source, destination;
    uint32_t identification = 0;
    uint8_t proto = 0;
    // The peer or port it came from, so that nobody can spoil what another one sends.
    uint32_t sender = 0;

    bool operator==(const FragmentKey&) const = default;
};

struct Fragment {
    rte_mbuf* mbuf = nullptr;
    uint32_t offset = 0;          // of its payload in the datagram
    uint16_t len = 0;             // of its payload
    uint16_t payload_offset = 0;  // from the mbuf's data on
    bool more = false;            // others follow
};

// Of an address in a header, IPv4 or IPv6.
uint32_t hash_address(const uint8_t* address, size_t len, uint32_t start) noexcept;

// Datagrams that arrive in pieces, of one worker. Bounded: memory in all, datagrams of a source,
// pieces of a datagram, time. Where room is short the oldest goes, so that a flood of pieces that
// never become whole shortens the time that others may take, and no more.
class Reassembly {
public:
    static constexpr size_t kMaxBytes = size_t{4} << 20;  // of mbufs, over all workers
    static constexpr unsigned kMaxPerSource = 64;         // datagrams that wait for pieces
    static constexpr unsigned kMaxPieces = 16;            // of one datagram
    // RFC 8200, section 4.5 has 60 at the most. At high rates identifications come round within
    // seconds (RFC 4963), and what waits holds buffers.
    static constexpr uint64_t kLifetimeSeconds = 5;

    // Receives what is given up, and why.
    class Sink {
    public:
        virtual void drop(rte_mbuf* mbuf, Drop reason) noexcept = 0;

    protected:
        ~Sink() = default;
    };

    Reassembly(size_t max_bytes, uint64_t tsc_hz);

    // Takes the fragment. The pieces of the datagram that it completes, in order, or none; valid
    // until the next call, and the caller's from now on.
    struct Pieces {
        std::array<Fragment, kMaxPieces> piece;
        unsigned nb = 0;
    };
    const Pieces& add(Sink& sink, const FragmentKey& key, const Fragment& fragment,
                      uint64_t now_tsc) noexcept;

    // When the oldest datagram's time is over; UINT64_MAX: there is none.
    uint64_t next_expiry_tsc() const noexcept { return next_expiry_tsc_; }
    void expire(Sink& sink, uint64_t now_tsc) noexcept;

private:
    static constexpr uint16_t kNone = UINT16_MAX;
    static constexpr unsigned kNbBuckets = 1024;

    // One datagram.
    struct Entry {
        FragmentKey key;
        Pieces pieces;
        uint64_t expires_tsc = 0;
        uint32_t total_len = 0;     // 0: the last piece is not here
        uint32_t received_len = 0;  // of all pieces
        bool spoiled = false;       // pieces overlapped: what still comes is dropped (RFC 5722)
        uint16_t older = kNone, newer = kNone;
    };
    // Its place in the list of a bucket, newest first; apart from the rest, so that a full list is
    // walked in few cache lines.
    struct Node {
        uint32_t source_hash = 0;
        uint32_t key_hash = 0;
        uint16_t next = kNone;
    };

    uint16_t find_or_make(Sink& sink, const FragmentKey& key, uint64_t now_tsc) noexcept;
    uint16_t make(const Node& node, const FragmentKey& key, uint64_t now_tsc) noexcept;
    Verdict check(const Entry& entry, const Fragment& fragment) const noexcept;
    static bool is_repeated(const Entry& entry, const Fragment& fragment) noexcept;
    void insert(Entry& entry, const Fragment& fragment) noexcept;
    void give_up(Sink& sink, uint16_t index, Drop reason) noexcept;
    void drop_pieces(Sink& sink, Entry& entry, Drop reason) noexcept;
    void unlink(uint16_t index) noexcept;
    Node node_of(const FragmentKey& key) const noexcept;
    void note_expiry() noexcept;

    const size_t max_bytes_;
    const uint64_t lifetime_tsc_;
    const uint32_t seed_;
    size_t nb_bytes_ = 0;
    uint64_t next_expiry_tsc_ = UINT64_MAX;
    std::vector<Entry> entries_;
    std::vector<Node> nodes_;  // by entry
    std::vector<uint16_t> free_;
    std::array<uint16_t, kNbBuckets> buckets_;
    uint16_t oldest_ = kNone, newest_ = kNone;
    Pieces done_;
};

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <span>

#include "dataplane/api/counters.h"
#include "dataplane/packet/packet_meta.h"

namespace meshgate {

// Packets taken from a queue at once.
constexpr uint16_t kBurst = 64;

// A burst that owns its mbufs: each leaves by push() into another batch, by a drop or to a ring.
// Room for every packet of a burst cut into eight fragments.
class Batch {
public:
    static constexpr uint16_t kCapacity = 8 * kBurst;

    Batch() noexcept = default;
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
    ~Batch() { assert(size_ == 0); }

    uint16_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    bool full() const noexcept { return size_ == kCapacity; }
    rte_mbuf* operator[](uint16_t i) const noexcept { return mbufs_[i]; }
    rte_mbuf* const* begin() const noexcept { return mbufs_.data(); }
    rte_mbuf* const* end() const noexcept { return mbufs_.data() + size_; }

    void push(rte_mbuf* mbuf) noexcept {
        assert(!full());
        mbufs_[size_++] = mbuf;
    }

    // Room for a driver to write up to kBurst mbufs into; then set_size().
    rte_mbuf** data() noexcept { return mbufs_.data(); }
    void set_size(uint16_t size) noexcept { size_ = size; }

    // Gives up ownership of all of it: the caller has handed every mbuf on.
    void clear() noexcept { size_ = 0; }

    // Becomes what `other` was; other becomes empty. This batch's mbufs were handed on before.
    void take(Batch& other) noexcept {
        size_ = other.size_;
        std::copy_n(other.mbufs_.data(), other.size_, mbufs_.data());
        other.size_ = 0;
    }

    // `verdict(mbuf)` says where each packet goes: true stays, in order; false means that the
    // callee has taken the mbuf (dropped, punted, moved to another batch).
    template <typename Verdict>
    void filter(Verdict verdict) noexcept {
        // Pointers, and the end known beforehand: every stage goes through here.
        rte_mbuf** kept = mbufs_.data();
        rte_mbuf* const* const last = mbufs_.data() + size_;
        for (rte_mbuf* const* next = mbufs_.data(); next != last; ++next) {
            rte_mbuf* mbuf = *next;
            if (verdict(mbuf))
                *kept++ = mbuf;
        }
        size_ = static_cast<uint16_t>(kept - mbufs_.data());
    }

private:
    uint16_t size_ = 0;
    std::array<rte_mbuf*, kCapacity> mbufs_;
};

}  // namespace meshgate

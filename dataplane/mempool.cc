// SPDX-License-Identifier: Apache-2.0
#include "dataplane/mempool.h"

#include <rte_errno.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <utility>

#include "dataplane/packet_meta.h"

namespace meshgate {

namespace {

// Padding to 16 bytes and the tag behind an inner packet, rounded up.
constexpr unsigned kTailBytes = 64;
// af_packet hands over up to a whole ring frame, and asks for the room.
constexpr unsigned kMinFrameBytes = 2048;
constexpr unsigned kCacheSize = 256;

unsigned data_room_bytes(uint16_t max_frame_bytes) noexcept {
    const unsigned frame = std::max<unsigned>(max_frame_bytes, kMinFrameBytes);
    return RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + frame + kTailBytes, 64U);
}

}  // namespace

Result<Mempool> Mempool::create(const Options& options) {
    const unsigned room_bytes = data_room_bytes(options.max_frame_bytes);
    if (room_bytes > UINT16_MAX)
        return fail("frames of " + std::to_string(options.max_frame_bytes) +
                    " bytes do not fit an mbuf");
    // The cache of a core must not be able to hold the pool.
    const unsigned cache_size = std::min(kCacheSize, options.nb_mbufs / 8);
    rte_mempool* pool =
        rte_pktmbuf_pool_create(options.name, options.nb_mbufs, cache_size, sizeof(PacketMeta),
                                static_cast<uint16_t>(room_bytes), options.numa_node);
    if (pool == nullptr)
        return fail(rte_errno, "cannot allocate " + std::to_string(options.nb_mbufs) + " mbufs (" +
                                   std::to_string(memory_bytes(options) >> 20) +
                                   " MiB): raise dataplane.memory");
    return Mempool{pool};
}

uint64_t Mempool::memory_bytes(const Options& options) noexcept {
    const size_t element = sizeof(rte_mbuf) + sizeof(PacketMeta) +
                           data_room_bytes(options.max_frame_bytes) + sizeof(rte_mempool_objhdr);
    // 64: the header is aligned, too; the ring of free mbufs adds a pointer each.
    return options.nb_mbufs * (element + 64 + sizeof(void*));
}

Mempool::Mempool(Mempool&& other) noexcept : pool_{std::exchange(other.pool_, nullptr)} {}

Mempool::~Mempool() {
    rte_mempool_free(pool_);
}

uint16_t Mempool::frame_room_bytes() const noexcept {
    return static_cast<uint16_t>(rte_pktmbuf_data_room_size(pool_) - RTE_PKTMBUF_HEADROOM -
                                 kTailBytes);
}

}  // namespace meshgate

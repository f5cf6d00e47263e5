// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/mempool.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "dataplane/packet/packet_meta.h"

namespace meshgate {

namespace {

// Padding to 16 bytes and the tag behind an inner packet, rounded up.
constexpr unsigned kTailBytes = 64;
// af_packet hands over up to a whole ring frame, and asks for the room.
constexpr unsigned kMinFrameBytes = 2048;
constexpr unsigned kCacheSize = 256;

uint32_t page_bytes() noexcept {
    return static_cast<uint32_t>(sysconf(_SC_PAGESIZE));
}

// Besides the room for data, and what the pool puts in front of each.
constexpr unsigned kElementBytes = sizeof(rte_mbuf) + sizeof(PacketMeta);
constexpr unsigned kHeaderBytes = RTE_ALIGN_CEIL(sizeof(rte_mempool_objhdr), RTE_MEMPOOL_ALIGN);

unsigned data_room_bytes(const Mempool::Options& options) noexcept {
    const unsigned frame = std::max<unsigned>(options.max_frame_bytes, kMinFrameBytes);
    const unsigned room = RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + frame + kTailBytes, 64U);
    const unsigned beside = kHeaderBytes + kElementBytes;
    return options.for_af_xdp && beside + room < page_bytes() ? page_bytes() - beside : room;
}

// As rte_pktmbuf_pool_create() does, which cannot be told the flags.
bool fill(rte_mempool* pool, unsigned room_bytes) {
    rte_pktmbuf_pool_private own{};
    own.mbuf_data_room_size = static_cast<uint16_t>(room_bytes);
    own.mbuf_priv_size = sizeof(PacketMeta);
    rte_errno = -rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr);
    if (rte_errno != 0)
        return false;
    rte_pktmbuf_pool_init(pool, &own);
    const int nb_populated = rte_mempool_populate_default(pool);
    rte_errno = nb_populated < 0 ? -nb_populated : 0;
    if (nb_populated >= 0)
        rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
    return nb_populated >= 0;
}

// DPDK tells the kernel that the frames of an AF_XDP socket lie in so many bytes, from where the
// pool's memory begins, as there are mbufs times their size. But mbufs do not cross pages: where
// that leaves gaps, the last ones lie behind that range, and the kernel takes every one of them out
// of the fill ring and gives none back: in time, when all mbufs have had their turn, the port
// receives nothing any more. Mbufs of a page each leave no gaps but the first; this keeps back the
// last one for it. False: more lie outside.
bool keep_to_umem(rte_mempool* pool) {
    const uint32_t element = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, nullptr);
    const auto begin = reinterpret_cast<uintptr_t>(STAILQ_FIRST(&pool->mem_list)->addr);
    const uintptr_t end = begin + uintptr_t{element} * pool->populated_size;
    std::vector<void*> mbufs(pool->populated_size);
    if (rte_mempool_get_bulk(pool, mbufs.data(), pool->populated_size) != 0)
        return false;
    const auto covered = std::partition(mbufs.begin(), mbufs.end(), [=](const void* mbuf) {
        const auto address = reinterpret_cast<uintptr_t>(mbuf);
        return address >= begin && address + pool->elt_size <= end;
    });
    rte_mempool_put_bulk(pool, mbufs.data(), static_cast<unsigned>(covered - mbufs.begin()));
    return mbufs.end() - covered <= 1;
}

// Mbufs of a page each cannot be spread over memory channels: that takes odd sizes.
// In pages of 4 KiB DPDK gives each mbuf one of its own also for others, so that no device finds a
// part of it elsewhere: then the same line of all mbufs falls into the same set of the first cache,
// and a burst does not fit. Without huge pages no device does DMA: they lie one behind the other.
unsigned flags_for(const Mempool::Options& options) noexcept {
    if (options.for_af_xdp)
        return RTE_MEMPOOL_F_NO_SPREAD;
    return rte_eal_has_hugepages() == 0 ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
}

}  // namespace

Result<Mempool> Mempool::create(const Options& options) {
    const unsigned room_bytes = data_room_bytes(options);
    if (room_bytes > UINT16_MAX)
        return fail("frames of " + std::to_string(options.max_frame_bytes) +
                    " bytes do not fit an mbuf");
    // The cache of a core must not be able to hold the pool.
    const unsigned cache_size = std::min(kCacheSize, options.nb_mbufs / 8);
    rte_mempool* pool = rte_mempool_create_empty(
        options.name, options.nb_mbufs, kElementBytes + room_bytes, cache_size,
        sizeof(rte_pktmbuf_pool_private), options.numa_node, flags_for(options));
    if (pool == nullptr || !fill(pool, room_bytes)) {
        const int error = rte_errno;
        rte_mempool_free(pool);
        return fail(error, "cannot allocate " + std::to_string(options.nb_mbufs) + " mbufs (" +
                               std::to_string(memory_bytes(options) >> 20) +
                               " MiB): raise dataplane.memory");
    }
    Mempool made{pool, options.for_af_xdp};
    if (options.for_af_xdp && made.excess_over_page() == 0 && !keep_to_umem(pool))
        return fail("the mbufs do not lie one behind the other, as af_xdp needs them");
    return made;
}

uint64_t Mempool::memory_bytes(const Options& options) noexcept {
    const size_t element = kHeaderBytes + kElementBytes + data_room_bytes(options);
    // 64: what spreading over memory channels may add; the ring of free mbufs adds a pointer each.
    return options.nb_mbufs * (element + 64 + sizeof(void*));
}

Mempool::Mempool(Mempool&& other) noexcept
    : pool_{std::exchange(other.pool_, nullptr)}, for_af_xdp_{other.for_af_xdp_} {}

Mempool::~Mempool() {
    rte_mempool_free(pool_);
}

uint16_t Mempool::frame_room_bytes() const noexcept {
    return static_cast<uint16_t>(rte_pktmbuf_data_room_size(pool_) - RTE_PKTMBUF_HEADROOM -
                                 kTailBytes);
}

uint32_t Mempool::excess_over_page() const noexcept {
    const uint32_t element = rte_mempool_calc_obj_size(pool_->elt_size, pool_->flags, nullptr);
    return element > page_bytes() ? element - page_bytes() : 0;
}

}  // namespace meshgate

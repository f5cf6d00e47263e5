// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mempool.h>

#include <cstdint>

#include "base/result.h"

namespace meshgate {

// The mbufs of all ports. Their private area is a PacketMeta.
class Mempool {
public:
    struct Options {
        const char* name = "mbufs";  // unique in the process
        unsigned nb_mbufs = 32768;
        uint16_t max_frame_bytes = 1522;  // a frame of this size fits one mbuf, tag and padding too
        int numa_node = SOCKET_ID_ANY;
        // Frames of AF_XDP sockets may lie in its mbufs: each of those fills a page.
        bool for_af_xdp = false;
    };
    static Result<Mempool> create(const Options& options);
    // What create() will take, about.
    static uint64_t memory_bytes(const Options& options) noexcept;

    Mempool(Mempool&& other) noexcept;
    Mempool& operator=(Mempool&&) = delete;
    ~Mempool();

    rte_mempool* get() const noexcept { return pool_; }
    unsigned nb_in_use() const noexcept { return rte_mempool_in_use_count(pool_); }
    // Room for a frame, without the headroom.
    uint16_t frame_room_bytes() const noexcept;
    // How much larger than a page an mbuf is with all that belongs to it; 0: it fits one.
    uint32_t excess_over_page() const noexcept;
    bool for_af_xdp() const noexcept { return for_af_xdp_; }

private:
    Mempool(rte_mempool* pool, bool for_af_xdp) noexcept : pool_{pool}, for_af_xdp_{for_af_xdp} {}

    rte_mempool* pool_;
    bool for_af_xdp_;
};

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/mempool.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "dataplane/api/packet.h"
#include "dataplane/packet/packet_meta.h"

namespace meshgate {
namespace {

TEST(Mempool, HoldsAFrameWithHeadroomAndTailInOneMbuf) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024, .max_frame_bytes = 9018});
    ASSERT_TRUE(pool) << pool.error().message;
    EXPECT_GE(pool->frame_room_bytes(), 9018);
    rte_mbuf* const mbuf = rte_pktmbuf_alloc(pool->get());
    ASSERT_NE(mbuf, nullptr);
    EXPECT_EQ(pool->nb_in_use(), 1U);
    // Outer Ethernet with tag, IPv6, UDP, transport header; padding and tag behind.
    EXPECT_NE(rte_pktmbuf_append(mbuf, 9018 + 15 + 16), nullptr);
    EXPECT_NE(rte_pktmbuf_prepend(mbuf, 18 + 40 + 8 + 16), nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(&meta_of(mbuf)) % 64, 0U);
    rte_pktmbuf_free(mbuf);
    EXPECT_EQ(pool->nb_in_use(), 0U);
}

// net_af_xdp lets the kernel use as many bytes as there are mbufs times their size, and no more.
TEST(Mempool, LeavesNoGapsBetweenMbufsForAfXdp) {
    const Result<Mempool> pool =
        Mempool::create({.name = "for_af_xdp", .nb_mbufs = 2048, .for_af_xdp = true});
    ASSERT_TRUE(pool) << pool.error().message;
    const rte_mempool& raw = *pool->get();
    const uintptr_t element = rte_mempool_calc_obj_size(raw.elt_size, raw.flags, nullptr);
    EXPECT_EQ(element, 4096U);
    EXPECT_EQ(pool->excess_over_page(), 0U);
    const auto begin = reinterpret_cast<uintptr_t>(STAILQ_FIRST(&raw.mem_list)->addr);
    unsigned nb_mbufs = 0;
    for (rte_mbuf* mbuf = rte_pktmbuf_alloc(pool->get()); mbuf != nullptr;
         mbuf = rte_pktmbuf_alloc(pool->get())) {
        ++nb_mbufs;
        const auto address = reinterpret_cast<uintptr_t>(mbuf);
        ASSERT_GE(address, begin);
        ASSERT_LE(address + raw.elt_size, begin + element * raw.populated_size);
    }
    EXPECT_GE(nb_mbufs, 2047U);
}

TEST(Mempool, SaysWhatItWantedWhenMemoryIsShort) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1'000'000});
    ASSERT_FALSE(pool);
    EXPECT_NE(pool.error().message.find("cannot allocate 1000000 mbufs ("), std::string::npos)
        << pool.error().message;
}

TEST(Packet, GrowsIntoTheHeadroomAndNoFurther) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 64});
    ASSERT_TRUE(pool);
    Packet packet{rte_pktmbuf_alloc(pool->get())};
    EXPECT_TRUE(packet.bytes().empty());
    ASSERT_NE(packet.prepend(RTE_PKTMBUF_HEADROOM), nullptr);
    EXPECT_EQ(packet.bytes().size(), size_t{RTE_PKTMBUF_HEADROOM});
    EXPECT_EQ(packet.prepend(1), nullptr);
    packet.info().peer = 5;
    const Packet moved = std::move(packet);
    EXPECT_EQ(moved.info().peer, 5U);
    EXPECT_FALSE(packet);  // NOLINT: emptiness after a move is promised
    EXPECT_EQ(pool->nb_in_use(), 1U);
}

}  // namespace
}  // namespace meshgate

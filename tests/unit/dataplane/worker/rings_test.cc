// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/rings.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include "dataplane/api/note.h"
#include "dataplane/ports/mempool.h"

namespace meshgate {
namespace {

TEST(WorkerRings, TakeWhatTheyPromiseAndNoMore) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 4096});
    ASSERT_TRUE(pool);
    {
        Result<WorkerRings> rings = WorkerRings::create(31, WorkerRings::Host::none);
        ASSERT_TRUE(rings) << rings.error().message;
        unsigned nb_taken = 0;
        rte_mbuf* mbuf = rte_pktmbuf_alloc(pool->get());
        for (; rte_ring_enqueue(rings->punts.get(), mbuf) == 0; ++nb_taken)
            mbuf = rte_pktmbuf_alloc(pool->get());
        rte_pktmbuf_free(mbuf);
        EXPECT_EQ(nb_taken, 1024U);
        EXPECT_EQ(pool->nb_in_use(), 1024U);
        EXPECT_TRUE(is_empty(rings->waiting.get())) << "a ring of its own";
        EXPECT_FALSE(is_empty(rings->punts.get()));
    }
    EXPECT_EQ(pool->nb_in_use(), 0U) << "what nobody took is freed";
}

TEST(WorkerRings, CarryNotesByValue) {
    const Result<WorkerRings> rings = WorkerRings::create(31, WorkerRings::Host::none);
    ASSERT_TRUE(rings);
    Note sent;
    sent.kind = Note::Kind::endpoint_moved;
    sent.peer = 77;
    sent.remote = *parse_endpoint("192.0.2.1:99");
    ASSERT_EQ(rte_ring_enqueue_elem(rings->notes.get(), &sent, sizeof sent), 0);
    Note received;
    ASSERT_EQ(rte_ring_dequeue_elem(rings->notes.get(), &received, sizeof received), 0);
    EXPECT_EQ(received.kind, Note::Kind::endpoint_moved);
    EXPECT_EQ(received.peer, 77U);
    EXPECT_EQ(to_string(received.remote), "192.0.2.1:99");
}

}  // namespace
}  // namespace meshgate

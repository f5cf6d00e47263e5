// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/rings.h"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_ring_elem.h>

#include <iterator>
#include <span>

#include "dataplane/api/note.h"

namespace meshgate {

namespace {

// Enough for a burst from every direction while the other side is scheduled away for some
// milliseconds; in sum less than the mbufs there are.
constexpr unsigned kNbPunts = 1024;
constexpr unsigned kNbMesh = 1024;
constexpr unsigned kNbWaiting = 2048;
constexpr unsigned kNbNotes = 1024;
constexpr unsigned kNbInjections = 2048;
constexpr unsigned kNbInbox = 4096;
constexpr unsigned kNbHostUp = 1024;
constexpr unsigned kNbHostDown = 1024;

// RTS: a worker that is scheduled away in the middle of putting something in does not hold up the
// other workers, as happens where workers float.
constexpr unsigned kOneToOne = RING_F_SP_ENQ | RING_F_SC_DEQ;
constexpr unsigned kManyToOne = RING_F_MP_RTS_ENQ | RING_F_SC_DEQ;

static_assert(sizeof(Note) % 4 == 0, "rte_ring copies words of 4 bytes");

void free_mbufs(rte_ring* ring) noexcept {
    void* mbuf = nullptr;
    while (ring != nullptr && rte_ring_dequeue(ring, &mbuf) == 0)
        rte_pktmbuf_free(static_cast<rte_mbuf*>(mbuf));
}

}  // namespace

Result<WorkerRings> WorkerRings::create(unsigned worker, Host host) {
    struct Row {
        Ring& ring;
        const char* name;
        unsigned element_len;
        unsigned size;
        unsigned flags;
    };
    constexpr unsigned kPointer = sizeof(void*);
    WorkerRings rings;
    const Row rows[] = {
        {rings.punts, "punts", kPointer, kNbPunts, kOneToOne},
        {rings.mesh, "mesh", kPointer, kNbMesh, kOneToOne},
        {rings.waiting, "waiting", kPointer, kNbWaiting, kOneToOne},
        {rings.notes, "notes", sizeof(Note), kNbNotes, kOneToOne},
        {rings.injections, "injections", kPointer, kNbInjections, kOneToOne},
        {rings.inbox, "inbox", kPointer, kNbInbox, kManyToOne},
        {rings.host_up, "host-up", kPointer, kNbHostUp, kOneToOne},
        {rings.host_down, "host-down", kPointer, kNbHostDown, kOneToOne},
    };
    constexpr size_t kNbHostRows = 2;  // the last
    const size_t nb_rows = std::size(rows) - (host == Host::some ? 0 : kNbHostRows);
    for (const Row& row : std::span{rows}.first(nb_rows)) {
        const std::string name = row.name + std::to_string(worker);
        // RING_F_EXACT_SZ: as many as we say, not one less.
        row.ring.reset(rte_ring_create_elem(name.c_str(), row.element_len, row.size, SOCKET_ID_ANY,
                                            row.flags | RING_F_EXACT_SZ));
        if (row.ring == nullptr)
            return fail(rte_errno, "ring " + name);
    }
    return rings;
}

WorkerRings::~WorkerRings() {
    for (const Ring* ring : {&punts, &mesh, &waiting, &injections, &inbox, &host_up, &host_down})
        free_mbufs(ring->get());
}

}  // namespace meshgate

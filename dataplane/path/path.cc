// SPDX-License-Identifier: Apache-2.0

// In:    packets with a peer.
// Out:   the same with the link their datagrams leave by, and its MTU. One load per peer: when a
//        link fails, control changes this word and nothing else.
// Errors: no_endpoint (W42).
//
// link_stage does the same for probes of control: Babel has to go by the very link that it measures,
// and what tries a size is not measured by what is known to fit.
// Drops: no_endpoint.

#include <algorithm>

#include "dataplane/path/stages.h"
#include "dataplane/wire/wire.h"

namespace meshgate {

namespace {

// Prefetches what seal reads of the session.
void fetch_session(const Keypair* keypair) noexcept {
    if (keypair == nullptr)
        return;
    rte_prefetch0(&keypair->send_key);
    rte_prefetch0(&keypair->reject_after_tsc);
}

}  // namespace

void path_stage(Worker& worker, Batch& batch, Batch& errors) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        meta.slot = &worker.shared.peers[meta.to_peer];
        meta.link = meta.slot->path.load(std::memory_order_acquire);
        fetch_session(meta.slot->sending.load(std::memory_order_relaxed));
        // Prefetches the line that the outer headers will begin in.
        rte_prefetch0(header_at<uint8_t>(mbuf) - RTE_CACHE_LINE_SIZE);
        if (meta.link != nullptr) {
            meta.mtu_bytes = meta.slot->mtu_of(meta.link->mtu_bytes);
            return true;
        }
        meta.error = IcmpError::no_endpoint;
        errors.push(mbuf);
        return false;
    });
}

void link_stage(Worker& worker, Batch& batch) noexcept {
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        PacketMeta& meta = meta_of(mbuf);
        meta.slot = &worker.shared.peers[meta.to_peer];
        const LinkId link = meta.info.link;
        meta.link = (link == kNoLink ? meta.slot->path : worker.shared.links[link])
                        .load(std::memory_order_acquire);
        if (meta.link == nullptr) {
            worker.drop(mbuf, Drop::no_endpoint);
            return false;
        }
        const uint16_t most = meta.info.mtu_bytes;
        meta.mtu_bytes = most == 0 ? meta.link->mtu_bytes : std::min(most, meta.link->mtu_bytes);
        return true;
    });
}

}  // namespace meshgate

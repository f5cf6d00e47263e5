// SPDX-License-Identifier: Apache-2.0

// In:    inner IP packets and the peer that sent each.
// Out:   those whose source belongs to that peer: the longest-prefix match of the source, in the
//        table that routes to it, must lead to the peer (W40).
// Punts: Babel, which comes from a link-local address and thus before all routes.
// Drops: source_not_allowed, mesh_flood; an address that no peer may have by its own reason.

#include "dataplane/path/punt_mesh.h"
#include "dataplane/path/route_lookup.h"
#include "dataplane/path/scope.h"
#include "dataplane/path/stages.h"

namespace meshgate {

namespace {

Verdict check_scope(rte_mbuf* mbuf) noexcept {
    return check_source_scope(ip_version(mbuf) == 4
                                  ? IpAddress::v4(header_at<rte_ipv4_hdr>(mbuf)->src_addr)
                                  : IpAddress::v6(header_at<rte_ipv6_hdr>(mbuf)->src_addr));
}

bool is_from_link_local(rte_mbuf* mbuf) noexcept {
    return ip_version(mbuf) == 6 && is_link_local_v6(header_at<rte_ipv6_hdr>(mbuf)->src_addr);
}

}  // namespace

void source_check_stage(Worker& worker, const Snapshot& snapshot, Batch& batch) noexcept {
    ForwardIndices forwards;
    const LookedUp looked_up = look_up(forwards, *snapshot.fib, batch, AddressField::source);
    uint16_t next = 0;
    const auto is_allowed = [&](rte_mbuf* mbuf) noexcept {
        const ForwardingEntry& entry = snapshot.entries[forwards[next++]];
        const bool theirs =
            entry.kind == ForwardKind::peer && entry.peer == meta_of(mbuf).from_peer;
        if (theirs && !looked_up.maybe_special)
            return true;
        const Verdict verdict = check_scope(mbuf);
        if (theirs && verdict.is_sound())
            return true;
        worker.drop(mbuf, verdict.is_sound() ? Drop::source_not_allowed : verdict.reason());
        return false;
    };
    if (looked_up.nb_v6 == 0) {
        batch.filter(is_allowed);
        return;
    }
    batch.filter([&](rte_mbuf* mbuf) noexcept {
        if (!is_from_link_local(mbuf) || !takes_babel(worker, mbuf))
            return is_allowed(mbuf);
        ++next;
        return false;
    });
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

#include "dataplane/api/path.h"

namespace meshgate {

// Puts the prepared headers of `link` in front of a WireGuard message and fills in what depends on
// it. With `udp_checksum_offload` the port finishes an IPv6 UDP checksum. False without headroom.
[[nodiscard]] bool prepend_outer(rte_mbuf* mbuf, const Link& link, uint8_t tos,
                                 bool udp_checksum_offload) noexcept;

}  // namespace meshgate

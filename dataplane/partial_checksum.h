// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_mbuf.h>

namespace meshgate {

// Virtual ports deliver TCP and UDP whose checksum field holds the pseudo-header's sum only,
// because the sender's "NIC" was to finish it. Nobody else will: this does, where the field says
// so. Data at the IP header.
void finish_partial_checksum(rte_mbuf* mbuf) noexcept;

}  // namespace meshgate

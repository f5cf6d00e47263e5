// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/packet/batch.h"
#include "dataplane/tables/fib.h"

namespace meshgate {

enum class AddressField : uint8_t { source, destination };

using ForwardIndices = std::array<uint32_t, Batch::kCapacity>;

struct LookedUp {
    uint16_t nb_v6 = 0;
    bool maybe_special = false;  // an address may be one that scope.h knows
};

// Looks up one address of every packet, data at the IP header; IPv4 and IPv6 each as one bulk.
LookedUp look_up(ForwardIndices& forwards, const Fib& fib, const Batch& batch,
                 AddressField field) noexcept;

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/tables/keypair.h"

#include <sodium.h>

namespace meshgate {

uint64_t Keypair::next_serial() noexcept {
    static std::atomic<uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;  // unique is all it must be
}

Keypair::~Keypair() {
    sodium_memzero(send_key.data(), send_key.size());
    sodium_memzero(receive_key.data(), receive_key.size());
}

}  // namespace meshgate

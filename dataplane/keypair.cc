// SPDX-License-Identifier: Apache-2.0
#include "dataplane/api/keypair.h"

#include <sodium.h>

namespace meshgate {

Keypair::~Keypair() {
    sodium_memzero(send_key.data(), send_key.size());
    sodium_memzero(receive_key.data(), receive_key.size());
}

}  // namespace meshgate

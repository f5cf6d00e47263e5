// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dataplane/crypto/aead.h"

namespace meshgate::bench {

// OpenSSL's ChaCha20-Poly1305 by EVP, to compare with: one packet after another in one context, the
// key set only where it differs from that of the packet before.
Result<std::unique_ptr<AeadEngine>> create_openssl_engine();

}  // namespace meshgate::bench

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "dataplane/api/dataplane.h"

namespace meshgate {

constexpr size_t kAeadTagLen = 16;

// One packet's work, done in place with ChaCha20-Poly1305: nonce 4 zero bytes and the counter in
// little-endian, no associated data (W03). `len` is never changed by an engine.
// seal: `data` holds `len` bytes of plaintext and room for kAeadTagLen more, filled with the tag.
// open: `data` holds `len` bytes of ciphertext and tag. Where the tag verifies, the first
// `len` - kAeadTagLen bytes become the plaintext; otherwise `data` means nothing.
struct AeadJob {
    const uint8_t* key = nullptr;  // 32 bytes
    uint64_t counter = 0;
    uint8_t* data = nullptr;
    uint32_t len = 0;
    bool ok = false;  // written by seal (always true) and open (the tag verified)
};

// One per worker; used by one thread at a time. A batch may hold any number of jobs, of any
// lengths, with any mix of keys; no two jobs share data.
class AeadEngine {
public:
    virtual ~AeadEngine() = default;
    virtual void seal(std::span<AeadJob> jobs) noexcept = 0;
    virtual void open(std::span<AeadJob> jobs) noexcept = 0;
    virtual const char* name() const noexcept = 0;  // "ipsec-mb/avx512"

    AeadEngine(const AeadEngine&) = delete;
    AeadEngine& operator=(const AeadEngine&) = delete;

protected:
    AeadEngine() = default;
};

using AeadFactory = Result<std::unique_ptr<AeadEngine>> (*)();

// What was decided at start and why, both for `meshgate status`.
struct AeadSelection {
    std::string name;
    std::string reason;
    AeadFactory factory = nullptr;

    // A fresh engine for one worker.
    Result<std::unique_ptr<AeadEngine>> create() const { return factory(); }
};

// Runs every eligible engine through its self-test, and of those that pass takes the fastest; or
// the one that `choice` forces. An error where the forced one, or all, fail.
Result<AeadSelection> select_aead(AeadChoice choice);

// The engines that were built in. A further engine is one file and one row in aead.cc.
struct AeadEngineRow {
    AeadChoice choice;    // what forces it
    const char* family;   // "ipsec-mb"
    AeadFactory factory;  // fails where the processor lacks what the engine needs
};
std::span<const AeadEngineRow> aead_engines() noexcept;

// Known answers, round trips, and refusal of tampered tags and bodies, over batch sizes and
// lengths. The error says which case failed.
Result<void> self_test(AeadEngine& engine);

Result<std::unique_ptr<AeadEngine>> create_ipsec_mb_engine();
Result<std::unique_ptr<AeadEngine>> create_sodium_engine();

}  // namespace meshgate

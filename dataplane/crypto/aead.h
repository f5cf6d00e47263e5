// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "dataplane/api/options.h"

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

// Batches that an engine serves worse than another. By mean length of a batch's jobs, tag excluded:
// class c holds up to kAeadSizes[c] bytes, the last all longer ones too.
constexpr std::array<uint32_t, 5> kAeadSizes{96, 192, 384, 768, 1536};
using AeadMinJobs = std::array<uint8_t, kAeadSizes.size()>;

// What was decided at start and why, both for `meshgate status`.
struct AeadSelection {
    std::string name;
    std::string reason;
    AeadFactory factory = nullptr;
    // Where set: takes batches of a class with fewer jobs than min_jobs says.
    AeadFactory small_batches = nullptr;
    AeadMinJobs min_jobs{};

    // A fresh engine for one worker.
    Result<std::unique_ptr<AeadEngine>> create() const;
};

// Runs every eligible engine through its self-test, and of those that pass takes the fastest, with
// another one for small batches where it measures that to be faster; or the one that `choice`
// forces, alone. An error where the forced one, or all, fail.
Result<AeadSelection> select_aead(AeadChoice choice);

// The engines that were built in. A further engine is one file and one row in aead.cc.
struct AeadEngineRow {
    AeadChoice choice;    // what forces it
    const char* name;     // "ipsec-mb"; of two with one choice the first that works is taken
    AeadFactory factory;  // fails where the processor lacks what the engine needs
};
std::span<const AeadEngineRow> aead_engines() noexcept;

// Known answers, round trips, and refusal of tampered tags and bodies, over batch sizes and
// lengths. The error says which case failed.
Result<void> self_test(AeadEngine& engine);

Result<std::unique_ptr<AeadEngine>> create_cross_packet_avx512_engine();
Result<std::unique_ptr<AeadEngine>> create_cross_packet_avx2_engine();
Result<std::unique_ptr<AeadEngine>> create_ipsec_mb_engine();
Result<std::unique_ptr<AeadEngine>> create_sodium_engine();

// Sends each batch to `main` or, as `min_jobs` says, to `small_batches`. Named like `main`.
std::unique_ptr<AeadEngine> split_batches(std::unique_ptr<AeadEngine> main,
                                          std::unique_ptr<AeadEngine> small_batches,
                                          const AeadMinJobs& min_jobs);

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
// Intel's multi-buffer library, called directly. Of its interfaces the unchecked burst is the
// fastest for packets of many sessions: on an Emerald Rapids core 319 cycles for 64 bytes, where
// the checked burst takes 348, single jobs 334, and init/update/finalize 614 (docs/performance.md).
// The checks it leaves out are of arguments that this file alone fills.
#include <intel-ipsec-mb.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "dataplane/crypto/aead.h"

namespace meshgate {

namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kNonceLen = 12;
constexpr size_t kMaxChunk = 64;  // jobs in one call of the library
static_assert(kMaxChunk <= IMB_MAX_BURST_SIZE);

// What the library asks for but no AeadJob has room for, one per job in flight.
struct Scratch {
    alignas(16) std::array<uint8_t, 16> nonce;
    alignas(16) std::array<uint8_t, kAeadTagLen> tag;
};

struct FreeManager {
    void operator()(IMB_MGR* manager) const noexcept { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, FreeManager>;

const char* name_of(IMB_ARCH arch) noexcept {
    switch (arch) {
        case IMB_ARCH_AVX512:
            return "ipsec-mb/avx512";
        case IMB_ARCH_AVX2:
            return "ipsec-mb/avx2";
        case IMB_ARCH_AVX:
            return "ipsec-mb/avx";
        default:
            return "ipsec-mb/sse";
    }
}

void fill_nonce(Scratch& scratch, uint64_t counter) noexcept {
    std::memset(scratch.nonce.data(), 0, 4);
    std::memcpy(scratch.nonce.data() + 4, &counter, sizeof(counter));  // x86 is little-endian
}

// All fields that the library reads for this algorithm, each time: a job is whatever its last use
// left in it.
void fill_job(IMB_JOB& imb, const AeadJob& job, const Scratch& scratch,
              uint32_t text_len) noexcept {
    imb.enc_keys = job.key;
    imb.dec_keys = job.key;
    imb.key_len_in_bytes = kKeyBytes;
    imb.src = job.data;
    imb.dst = job.data;
    imb.cipher_start_src_offset_in_bytes = 0;
    imb.msg_len_to_cipher_in_bytes = text_len;
    imb.hash_start_src_offset_in_bytes = 0;
    imb.msg_len_to_hash_in_bytes = text_len;
    imb.iv = scratch.nonce.data();
    imb.iv_len_in_bytes = kNonceLen;
    imb.auth_tag_output_len_in_bytes = kAeadTagLen;
    imb.u.CHACHA20_POLY1305.aad = nullptr;
    imb.u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
    imb.status = IMB_STATUS_BEING_PROCESSED;
    imb.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    imb.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
}

class IpsecMbEngine final : public AeadEngine {
public:
    IpsecMbEngine(Manager manager, const char* name) noexcept
        : manager_{std::move(manager)}, name_{name} {}

    void seal(std::span<AeadJob> jobs) noexcept override {
        for (; !jobs.empty(); jobs = jobs.subspan(std::min(jobs.size(), kMaxChunk)))
            seal_chunk(jobs.first(std::min(jobs.size(), kMaxChunk)));
    }

    void open(std::span<AeadJob> jobs) noexcept override {
        for (; !jobs.empty(); jobs = jobs.subspan(std::min(jobs.size(), kMaxChunk)))
            open_chunk(jobs.first(std::min(jobs.size(), kMaxChunk)));
    }

    const char* name() const noexcept override { return name_; }

private:
    using Burst = std::array<IMB_JOB*, kMaxChunk>;

    void take(Burst& burst, size_t n) noexcept {
        // Nothing is ever left in the queue, so there is always room.
        MG_ASSERT(IMB_GET_NEXT_BURST(manager_.get(), static_cast<uint32_t>(n), burst.data()) == n);
    }

    // ChaCha20-Poly1305 jobs complete as they are submitted. A packet that did not would leave
    // as plaintext, so this is asserted and not hoped for.
    void run(Burst& burst, size_t n) noexcept {
        MG_ASSERT(
            IMB_SUBMIT_BURST_NOCHECK(manager_.get(), static_cast<uint32_t>(n), burst.data()) == n);
        for (size_t i = 0; i < n; ++i)
            MG_ASSERT(burst[i]->status == IMB_STATUS_COMPLETED);
    }

    void seal_chunk(std::span<AeadJob> jobs) noexcept {
        Burst burst;
        take(burst, jobs.size());
        for (size_t i = 0; i < jobs.size(); ++i) {
            fill_nonce(scratch_[i], jobs[i].counter);
            fill_job(*burst[i], jobs[i], scratch_[i], jobs[i].len);
            burst[i]->auth_tag_output = jobs[i].data + jobs[i].len;
            burst[i]->cipher_direction = IMB_DIR_ENCRYPT;
            burst[i]->chain_order = IMB_ORDER_CIPHER_HASH;
            jobs[i].ok = true;
        }
        run(burst, jobs.size());
    }

    void open_chunk(std::span<AeadJob> jobs) noexcept {
        Burst burst;
        size_t n = 0;
        for (AeadJob& job : jobs) {
            job.ok = false;
            n += job.len >= kAeadTagLen ? 1 : 0;
        }
        if (n == 0)
            return;
        take(burst, n);
        size_t next = 0;
        for (const AeadJob& job : jobs) {
            if (job.len < kAeadTagLen)
                continue;
            fill_nonce(scratch_[next], job.counter);
            fill_job(*burst[next], job, scratch_[next],
                     job.len - static_cast<uint32_t>(kAeadTagLen));
            burst[next]->auth_tag_output = scratch_[next].tag.data();
            burst[next]->cipher_direction = IMB_DIR_DECRYPT;
            burst[next]->chain_order = IMB_ORDER_HASH_CIPHER;
            ++next;
        }
        run(burst, n);
        verify(jobs, n);
    }

    void verify(std::span<AeadJob> jobs, size_t n) noexcept {
        size_t next = 0;
        for (AeadJob& job : jobs) {
            if (job.len < kAeadTagLen)
                continue;
            const uint8_t* received = job.data + job.len - kAeadTagLen;
            job.ok = crypto_verify_16(scratch_[next].tag.data(), received) == 0;
            ++next;
        }
        // The right tag of a forged packet is what its sender would like to know.
        sodium_memzero(scratch_.data(), n * sizeof(Scratch));
    }

    Manager manager_;
    const char* name_;
    std::array<Scratch, kMaxChunk> scratch_{};
};

}  // namespace

Result<std::unique_ptr<AeadEngine>> create_ipsec_mb_engine() {
    Manager manager{alloc_mb_mgr(0)};
    if (manager == nullptr)
        return fail("ipsec-mb: no memory");
    IMB_ARCH arch = IMB_ARCH_NONE;
    init_mb_mgr_auto(manager.get(), &arch);
    // Covers the library's own self-test, too.
    if (const int error = imb_get_errno(manager.get()); error != 0)
        return fail(std::string{"ipsec-mb: "} + imb_get_strerror(error));
    // Without it the library would leave keystream and one-time keys on the stack.
    if ((manager->features & IMB_FEATURE_SAFE_DATA) == 0)
        return fail("ipsec-mb: built without SAFE_DATA");
    return std::make_unique<IpsecMbEngine>(std::move(manager), name_of(arch));
}

}  // namespace meshgate

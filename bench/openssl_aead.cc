// SPDX-License-Identifier: Apache-2.0
#include "bench/openssl_aead.h"

#include <openssl/evp.h>

#include <array>
#include <cstring>

namespace meshgate::bench {

namespace {

struct FreeContext {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

std::array<uint8_t, 12> nonce_of(const AeadJob& job) noexcept {
    std::array<uint8_t, 12> nonce{};
    std::memcpy(nonce.data() + 4, &job.counter, sizeof(job.counter));
    return nonce;
}

class OpensslEngine final : public AeadEngine {
public:
    OpensslEngine(Context sealing, Context opening) noexcept
        : sealing_{std::move(sealing)}, opening_{std::move(opening)} {}

    void seal(std::span<AeadJob> jobs) noexcept override {
        EVP_CIPHER_CTX* context = sealing_.get();
        const uint8_t* key = nullptr;
        int len = 0;
        for (AeadJob& job : jobs) {
            job.ok =
                EVP_EncryptInit_ex(context, nullptr, nullptr, job.key == key ? nullptr : job.key,
                                   nonce_of(job).data()) == 1 &&
                EVP_EncryptUpdate(context, job.data, &len, job.data, static_cast<int>(job.len)) ==
                    1 &&
                EVP_EncryptFinal_ex(context, job.data + len, &len) == 1 &&
                EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kAeadTagLen,
                                    job.data + job.len) == 1;
            key = job.key;
        }
    }

    void open(std::span<AeadJob> jobs) noexcept override {
        EVP_CIPHER_CTX* context = opening_.get();
        const uint8_t* key = nullptr;
        for (AeadJob& job : jobs) {
            job.ok = job.len >= kAeadTagLen && open_one(context, job, job.key == key);
            key = job.key;
        }
    }

    const char* name() const noexcept override { return "openssl"; }

private:
    static bool open_one(EVP_CIPHER_CTX* context, const AeadJob& job, bool same_key) noexcept {
        const uint32_t text_len = job.len - static_cast<uint32_t>(kAeadTagLen);
        int len = 0;
        return EVP_DecryptInit_ex(context, nullptr, nullptr, same_key ? nullptr : job.key,
                                  nonce_of(job).data()) == 1 &&
               EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kAeadTagLen,
                                   job.data + text_len) == 1 &&
               EVP_DecryptUpdate(context, job.data, &len, job.data, static_cast<int>(text_len)) ==
                   1 &&
               EVP_DecryptFinal_ex(context, job.data + len, &len) == 1;
    }

    Context sealing_;
    Context opening_;
};

}  // namespace

Result<std::unique_ptr<AeadEngine>> create_openssl_engine() {
    Context sealing{EVP_CIPHER_CTX_new()};
    Context opening{EVP_CIPHER_CTX_new()};
    const EVP_CIPHER* cipher = EVP_chacha20_poly1305();
    if (sealing == nullptr || opening == nullptr ||
        EVP_EncryptInit_ex(sealing.get(), cipher, nullptr, nullptr, nullptr) != 1 ||
        EVP_DecryptInit_ex(opening.get(), cipher, nullptr, nullptr, nullptr) != 1)
        return fail("openssl: no ChaCha20-Poly1305");
    return std::make_unique<OpensslEngine>(std::move(sealing), std::move(opening));
}

}  // namespace meshgate::bench

// SPDX-License-Identifier: Apache-2.0
// ChaCha20-Poly1305 with the lanes of vector registers spread over the packets of a burst: a lane
// holds one block of ChaCha20, whichever packet it belongs to, or one packet of Poly1305. What
// makes small packets slow elsewhere, vectors that one packet cannot fill, does not happen.
//
// Jobs go through in groups that stay in the L1 cache. Key blocks come first, so that opening knows
// its one-time keys before anything is decrypted; then data blocks, in the same passes where there
// is room, and four at a time where a text has them.
#include <emmintrin.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/crypto/aead.h"
#include "dataplane/crypto/lanes.h"

namespace meshgate {

namespace {

constexpr size_t kMaxGroup = 64;  // packets that are sealed or opened together
// A group ends at a multiple of kGroupStep jobs once it holds half an L1 cache.
constexpr size_t kGroupStep = 16;
constexpr size_t kGroupBytes = 16384;
static_assert(kGroupStep % kMaxChachaLanes == 0 && kGroupStep % kMaxPolyLanes == 0);

// More than any kernel's frame; a test looks for what it might miss.
constexpr size_t kKernelStackBytes = 4096;

[[gnu::noinline]] void wipe_stack() noexcept {
    std::array<uint8_t, kKernelStackBytes> below;
    sodium_memzero(below.data(), below.size());
}

enum class Direction { seal, open };

class CrossPacketEngine final : public AeadEngine {
public:
    explicit CrossPacketEngine(const LaneKernels& kernels) noexcept : kernels_{kernels} {}

    void seal(std::span<AeadJob> jobs) noexcept override { in_groups<Direction::seal>(jobs); }
    void open(std::span<AeadJob> jobs) noexcept override { in_groups<Direction::open>(jobs); }
    const char* name() const noexcept override { return kernels_.name; }

private:
    // A job without its tag.
    struct Text {
        AeadJob* job;
        uint8_t* data;
        uint32_t len;
    };
    // The next block that is no part of a quad.
    struct Cursor {
        size_t text;
        uint32_t block;
    };
    struct Stashed {
        uint8_t* data;
        const uint8_t* keystream;
        uint32_t len;
    };
    struct Tag {
        uint64_t low, high;
    };
    static_assert(sizeof(Tag) == kAeadTagLen);

    template <Direction kDirection>
    void in_groups(std::span<AeadJob> jobs) noexcept {
        size_t largest = 0;
        while (!jobs.empty()) {
            const size_t n = group_size(jobs);
            take_texts<kDirection>(jobs.first(n));
            if (nb_texts_ > 0)
                run_group<kDirection>();
            largest = std::max(largest, nb_texts_);
            jobs = jobs.subspan(n);
        }
        wipe(largest);
    }

    static size_t group_size(std::span<const AeadJob> jobs) noexcept {
        size_t nb_bytes = 0;
        const size_t end = std::min(jobs.size(), kMaxGroup);
        for (size_t i = 0; i < end; ++i) {
            if (i % kGroupStep == 0 && nb_bytes >= kGroupBytes)
                return i;
            nb_bytes += jobs[i].len;
        }
        return end;
    }

    // A job too short for a tag is refused here and goes no further.
    template <Direction kDirection>
    void take_texts(std::span<AeadJob> jobs) noexcept {
        nb_texts_ = 0;
        for (AeadJob& job : jobs) {
            if constexpr (kDirection == Direction::seal) {
                texts_[nb_texts_++] = {&job, job.data, job.len};
            } else {
                job.ok = false;
                if (job.len >= kAeadTagLen)
                    texts_[nb_texts_++] = {&job, job.data,
                                           job.len - static_cast<uint32_t>(kAeadTagLen)};
            }
        }
    }

    template <Direction kDirection>
    void run_group() noexcept {
        Cursor next{0, first_block(texts_[0])};
        const unsigned nb_stashed = run_key_blocks(next);
        if constexpr (kDirection == Direction::open)
            compute_tags<kDirection>();
        for (unsigned i = 0; i < nb_stashed; ++i)
            xor_stashed(stash_[i]);
        run_data_blocks(next);
        if constexpr (kDirection == Direction::seal)
            compute_tags<kDirection>();
    }

    // ---- ChaCha20 ----

    static uint32_t nb_quads(const Text& text) noexcept { return text.len / (4 * kChachaBlockLen); }
    // Of those that are no part of a quad.
    static uint32_t first_block(const Text& text) noexcept { return 4 * nb_quads(text); }

    static uint32_t nb_blocks(const Text& text) noexcept {
        return (text.len + kChachaBlockLen - 1) / kChachaBlockLen;
    }

    // Words 12 to 15. Block 0 of the keystream is the one-time key, 1 the first of the data.
    static __m128i state_of(const Text& text, uint32_t counter) noexcept {
        return _mm_set_epi64x(static_cast<long long>(text.job->counter), counter);
    }

    // In one store: narrower ones could not be forwarded to the kernel's load.
    template <typename LaneOrQuad>
    static void set_state(LaneOrQuad& to, __m128i state) noexcept {
        _mm_store_si128(reinterpret_cast<__m128i*>(&to.counter), state);
    }

    void set_block(unsigned lane, const Text& text, uint32_t block) noexcept {
        ChachaLane& to = pass_.lanes[lane];
        to.key = text.job->key;
        set_state(to, state_of(text, 1 + block));
        to.data = text.data + block * kChachaBlockLen;
        to.len = std::min(text.len - block * kChachaBlockLen, kChachaBlockLen);
    }

    void run(ChachaPass::Kind kind) noexcept {
        pass_.kind = kind;
        kernels_.chacha(pass_);
    }

    // Lanes from `nb_lanes` on are not used. Masked bytes of a page that is not there would cost
    // microseconds, so they point to some text.
    void run_lanes(ChachaPass::Kind kind, unsigned nb_lanes) noexcept {
        for (unsigned i = nb_lanes; i < kernels_.chacha_lanes; ++i) {
            pass_.lanes[i].key = texts_[0].job->key;
            pass_.lanes[i].data = texts_[0].data;
            pass_.lanes[i].len = 0;
        }
        run(kind);
    }

    // From lane `first` on; returns the lane after the last that has a block now.
    unsigned add_blocks(unsigned first, Cursor& next) noexcept {
        unsigned lane = first;
        while (next.text < nb_texts_) {
            const Text& text = texts_[next.text];
            for (; next.block < nb_blocks(text); ++next.block) {
                if (lane == kernels_.chacha_lanes)
                    return lane;
                set_block(lane++, text, next.block);
            }
            if (++next.text < nb_texts_)
                next.block = first_block(texts_[next.text]);
        }
        return lane;
    }

    // All one-time keys. Lanes that the last pass has left make the keystream of data blocks, which
    // waits: when opening, the tags are still to be computed over what it will overwrite.
    unsigned run_key_blocks(Cursor& next) noexcept {
        unsigned lane = 0;
        pass_.keystream_to = one_time_keys_.data();
        for (size_t i = 0; i < nb_texts_; ++i) {
            pass_.lanes[lane].key = texts_[i].job->key;
            set_state(pass_.lanes[lane++], state_of(texts_[i], 0));
            if (lane == kernels_.chacha_lanes) {
                run(ChachaPass::keystream);
                pass_.keystream_to += lane;
                lane = 0;
            }
        }
        if (lane == 0)
            return 0;
        const unsigned end = add_blocks(lane, next);
        for (unsigned i = lane; i < end; ++i) {
            const ChachaLane& block = pass_.lanes[i];
            stash_[i - lane] = {block.data, pass_.keystream_to[i],
                                static_cast<uint32_t>(block.len)};
        }
        run_lanes(ChachaPass::keystream, end);
        return end - lane;
    }

    static void xor_stashed(const Stashed& block) noexcept {
        std::array<uint64_t, kChachaBlockLen / 8> text, keystream;
        std::memcpy(text.data(), block.data, block.len);
        std::memcpy(keystream.data(), block.keystream, kChachaBlockLen);
        for (size_t i = 0; i < text.size(); ++i)
            text[i] ^= keystream[i];
        std::memcpy(block.data, text.data(), block.len);
    }

    void run_data_blocks(Cursor next) noexcept {
        unsigned lane = add_blocks(0, next);
        for (; lane == kernels_.chacha_lanes; lane = add_blocks(0, next))
            run(ChachaPass::blocks);
        const unsigned quads_per_pass = kernels_.chacha_lanes / 4;
        uint32_t nb_left = 0;
        for (size_t i = 0; i < nb_texts_; ++i)
            nb_left += nb_quads(texts_[i]);
        nb_left -= nb_left % quads_per_pass;
        unsigned quad = 0;
        for (size_t i = 0; i < nb_texts_; ++i) {
            const Text& text = texts_[i];
            const uint32_t nb_here = std::min(nb_quads(text), nb_left);
            nb_left -= nb_here;
            uint8_t* data = text.data;
            __m128i state = state_of(text, 1);
            for (uint32_t n = 0; n < nb_here; ++n) {
                ChachaQuad& to = pass_.quad[quad];
                to.key = text.job->key;
                to.data = data;
                set_state(to, state);
                data += 4 * kChachaBlockLen;
                state = _mm_add_epi32(state, _mm_set_epi32(0, 0, 0, 4));
                if (++quad == quads_per_pass) {
                    run(ChachaPass::quads);
                    quad = 0;
                }
            }
            // The last quads, that fill no pass, go block by block into the lanes that are left.
            for (uint32_t block = 4 * nb_here; block < first_block(text); ++block) {
                if (lane == kernels_.chacha_lanes) {
                    run(ChachaPass::blocks);
                    lane = 0;
                }
                set_block(lane++, text, block);
            }
        }
        if (lane > 0)
            run_lanes(ChachaPass::blocks, lane);
    }

    // ---- Poly1305 ----

    // Messages of like length share a group: the whole takes as long as its longest. `order` gets
    // the texts from the longest to the shortest, in steps of kLenStep bytes.
    using Order = std::array<uint8_t, kMaxGroup>;
    void sort_by_len(Order& order) const noexcept {
        constexpr uint32_t kLenStep = 64;
        constexpr uint32_t kNbSteps = 32;  // longer ones, beyond 2 kB, are all alike
        std::array<uint8_t, kNbSteps + 1> begin{};
        const auto step_of = [](uint32_t len) {
            return kNbSteps - 1 - std::min((len + kLenStep - 1) / kLenStep, kNbSteps - 1);
        };
        bool mixed = false;
        for (size_t i = 0; i < nb_texts_; ++i) {
            order[i] = static_cast<uint8_t>(i);
            mixed |= texts_[i].len != texts_[0].len;
        }
        if (!mixed)
            return;
        for (size_t i = 0; i < nb_texts_; ++i)
            ++begin[step_of(texts_[i].len) + 1];
        for (size_t step = 1; step < begin.size(); ++step)
            begin[step] = static_cast<uint8_t>(begin[step] + begin[step - 1]);
        for (size_t i = 0; i < nb_texts_; ++i)
            order[begin[step_of(texts_[i].len)]++] = static_cast<uint8_t>(i);
    }

    // To where they belong, or compared with what is there.
    template <Direction kDirection>
    void compute_tags() noexcept {
        Order order;
        sort_by_len(order);
        for (size_t begin = 0; begin < nb_texts_; begin += kernels_.poly_lanes) {
            const size_t n = std::min<size_t>(kernels_.poly_lanes, nb_texts_ - begin);
            for (size_t i = 0; i < kernels_.poly_lanes; ++i) {
                const size_t text = order[begin + std::min(i, n - 1)];
                poly_.lanes[i] = {texts_[text].data, one_time_keys_[text], texts_[text].len};
            }
            poly_.nb_lanes = static_cast<unsigned>(n);
            kernels_.poly(poly_);
            for (size_t i = 0; i < n; ++i)
                settle<kDirection>(texts_[order[begin + i]], {poly_.tag_low[i], poly_.tag_high[i]});
        }
    }

    template <Direction kDirection>
    static void settle(const Text& text, const Tag& tag) noexcept {
        if constexpr (kDirection == Direction::seal) {
            std::memcpy(text.data + text.len, &tag, sizeof tag);
            text.job->ok = true;
        } else {
            Tag received;
            std::memcpy(&received, text.data + text.len, sizeof received);
            // No branch before all bits are in: only the outcome is public.
            text.job->ok = ((tag.low ^ received.low) | (tag.high ^ received.high)) == 0;
        }
    }

    // ---- secrets ----

    // Of registers, stack and what belongs to this engine; `nb_texts` one-time keys were used.
    void wipe(size_t nb_texts) noexcept {
        kernels_.wipe_registers();
        wipe_stack();
        const size_t nb_rows = std::min(nb_texts + kMaxChachaLanes, one_time_keys_.size());
        sodium_memzero(one_time_keys_.data(), nb_rows * sizeof one_time_keys_[0]);
        sodium_memzero(pass_.initial_state, sizeof pass_.initial_state);
        // The right tag of a forged packet is what its sender would like to know.
        sodium_memzero(poly_.tag_low, sizeof poly_.tag_low);
        sodium_memzero(poly_.tag_high, sizeof poly_.tag_high);
    }

    const LaneKernels& kernels_;
    size_t nb_texts_ = 0;
    std::array<Text, kMaxGroup> texts_;
    // Rows of a whole pass are written, and their first 32 bytes used.
    using Row = uint8_t[kChachaBlockLen];
    alignas(64) std::array<Row, kMaxGroup + kMaxChachaLanes> one_time_keys_;
    ChachaPass pass_{};
    PolyGroup poly_{};
    std::array<Stashed, kMaxChachaLanes> stash_;
};

constexpr LaneKernels kAvx512{"cross-packet/avx512", 16,          16,
                              chacha_avx512,         poly_avx512, wipe_avx512_registers};
constexpr LaneKernels kAvx2{"cross-packet/avx2", 8, 4, chacha_avx2, poly_avx2, wipe_avx2_registers};

bool has_avx512() noexcept {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("bmi2");
}

}  // namespace

Result<std::unique_ptr<AeadEngine>> create_cross_packet_avx512_engine() {
    __builtin_cpu_init();
    if (!has_avx512())
        return fail("cross-packet/avx512: the processor lacks AVX-512 IFMA or VBMI2");
    return std::make_unique<CrossPacketEngine>(kAvx512);
}

Result<std::unique_ptr<AeadEngine>> create_cross_packet_avx2_engine() {
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2"))
        return fail("cross-packet/avx2: the processor lacks AVX2");
    return std::make_unique<CrossPacketEngine>(kAvx2);
}

}  // namespace meshgate

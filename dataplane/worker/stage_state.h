// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/crypto/aead.h"
#include "dataplane/packet/batch.h"
#include "dataplane/tables/ids.h"
#include "dataplane/worker/handshake_gate.h"
#include "dataplane/worker/reassembly.h"
#include "dataplane/worker/tsc_rate.h"

namespace meshgate {

// What stages keep from one burst to the next, or need room for: a struct for each, which no other
// stage looks at.

// classify_underlay.cc
struct ClassifyState {
    HandshakeGate handshakes;
};

// seal.cc and open.cc, which never run at the same time: one burst's work. Not on the stack, where
// it would be filled anew for each.
struct AeadState {
    std::array<AeadJob, Batch::kCapacity> jobs;
};

// reassemble.cc
struct ReassembleState {
    // Of a busy worker's time, fragments take what so many a second need, 2 % at 1900 clocks each:
    // others must not suffer from a flood of them. A turn that finds nothing to do fills the bucket.
    static constexpr uint64_t kPerSecond = 20'000;
    static constexpr uint64_t kBurst = 1024;  // fragments that may come at once

    Reassembly datagrams;
    TscRate rate;
    uint64_t paid_until_tsc = 0;
};

// cut_outer.cc
struct CutOuterState {
    uint32_t next_identification = 0;
};

// icmp_error.cc
struct IcmpErrorState {
    static constexpr uint64_t kPerSecond = 1000;  // ICMP errors that a worker sends
    static constexpr uint64_t kBurst = 100;       // of them at once

    TscRate rate;
    uint64_t paid_until_tsc = 0;
};

// punt_mesh.cc. What peers have used of their share stands in PeerActivity.
struct PuntMeshState {
    // Babel and mesh control messages of one sender. A member hands on the largest network file
    // within two seconds.
    static constexpr uint64_t kPerSecond = 2000;
    static constexpr uint64_t kBurst = 256;  // of them at once

    TscRate rate;
    std::array<uint64_t, kMaxPorts> paid_until_tsc{};  // by port: Babel in clear
};

struct StageState {
    struct Options {
        uint64_t tsc_hz;
        uint64_t seed;  // that nobody outside may know
        size_t reassembly_bytes;
        uint32_t first_identification;
    };
    explicit StageState(const Options& options)
        : classify{{options.tsc_hz, options.seed}},
          reassemble{.datagrams = {options.reassembly_bytes, options.tsc_hz},
                     .rate = rate_of<ReassembleState>(options)},
          cut_outer{.next_identification = options.first_identification},
          icmp_error{.rate = rate_of<IcmpErrorState>(options)},
          punt_mesh{.rate = rate_of<PuntMeshState>(options)} {}

    ClassifyState classify;
    ReassembleState reassemble;
    AeadState aead;
    CutOuterState cut_outer;
    IcmpErrorState icmp_error;
    PuntMeshState punt_mesh;

private:
    template <typename State>
    static TscRate rate_of(const Options& options) noexcept {
        return TscRate{
            {.tsc_hz = options.tsc_hz, .per_second = State::kPerSecond, .burst = State::kBurst}};
    }
};

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
// The AEAD engines alone: lengths of plaintext and batch sizes, every packet under its own key.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>
#include <vector>

#include "dataplane/crypto/aead.h"

namespace meshgate {
namespace {

constexpr size_t kPacketRoom = 2048;

struct Packets {
    Packets(size_t nb_packets, uint32_t len) : keys(nb_packets), data(nb_packets) {
        for (size_t i = 0; i < nb_packets; ++i) {
            keys[i].fill(static_cast<uint8_t>(i + 1));
            data[i].fill(static_cast<uint8_t>(i));
            jobs.push_back(
                {.key = keys[i].data(), .counter = i, .data = data[i].data(), .len = len});
        }
    }

    std::vector<std::array<uint8_t, 32>> keys;
    std::vector<std::array<uint8_t, kPacketRoom>> data;
    std::vector<AeadJob> jobs;
};

void report(benchmark::State& state, size_t batch, uint32_t len) {
    const auto nb_packets = state.iterations() * static_cast<int64_t>(batch);
    state.SetItemsProcessed(nb_packets);
    state.SetBytesProcessed(nb_packets * len);
}

void seal(benchmark::State& state, AeadEngine& engine, uint32_t len, size_t batch) {
    Packets packets{batch, len};
    for (auto _ : state) {
        engine.seal(packets.jobs);
        benchmark::DoNotOptimize(packets.jobs.data());
    }
    report(state, batch, len);
}

// Restores the sealed packets each time, since opening is in place; the copies are measured too.
void open(benchmark::State& state, AeadEngine& engine, uint32_t len, size_t batch) {
    Packets packets{batch, len};
    engine.seal(packets.jobs);
    for (AeadJob& job : packets.jobs)
        job.len += static_cast<uint32_t>(kAeadTagLen);
    const auto sealed = packets.data;
    for (auto _ : state) {
        for (size_t i = 0; i < batch; ++i)
            std::memcpy(packets.data[i].data(), sealed[i].data(), len + kAeadTagLen);
        engine.open(packets.jobs);
        benchmark::DoNotOptimize(packets.jobs.data());
    }
    for (const AeadJob& job : packets.jobs) {
        if (!job.ok)
            return state.SkipWithError("a good packet was refused");
    }
    report(state, batch, len);
}

void register_all(AeadEngine& engine) {
    for (const uint32_t len : {64U, 256U, 1420U}) {
        for (const size_t batch : {1U, 32U, 64U}) {
            const std::string suffix = std::string{"/"} + engine.name() + "/" +
                                       std::to_string(len) + "/" + std::to_string(batch);
            benchmark::RegisterBenchmark(
                ("seal" + suffix).c_str(),
                [&engine, len, batch](auto& state) { seal(state, engine, len, batch); });
            benchmark::RegisterBenchmark(
                ("open" + suffix).c_str(),
                [&engine, len, batch](auto& state) { open(state, engine, len, batch); });
        }
    }
}

}  // namespace
}  // namespace meshgate

int main(int argc, char** argv) {
    std::vector<std::unique_ptr<meshgate::AeadEngine>> engines;
    for (const meshgate::AeadEngineRow& row : meshgate::aead_engines()) {
        auto engine = row.factory();
        if (!engine)
            continue;
        meshgate::register_all(**engine);
        engines.push_back(std::move(*engine));
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

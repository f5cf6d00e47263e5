// SPDX-License-Identifier: Apache-2.0
// The AEAD engines alone: what a gateway takes by itself, then each engine by name, and OpenSSL.
#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "bench/figures.h"
#include "bench/openssl_aead.h"
#include "dataplane/crypto/aead.h"

namespace meshgate::bench {
namespace {

constexpr std::array<size_t, 4> kBatches{1, 8, 32, 64};
constexpr std::array<uint32_t, 12> kImix{64, 64, 64, 64, 64, 64, 64, 570, 570, 570, 570, 1420};
constexpr uint32_t kMaxLen = 1420;
// Packets between two readings of the clock, at least.
constexpr size_t kMinPackets = 64;

struct Size {
    std::string name;
    std::vector<uint32_t> lens;  // of plaintext; repeated over the packets
};

enum class Sessions : uint8_t { different, same };

// The packets of one iteration, in whole batches and with each length of the size as often as it
// shall be. The data begins where an inner packet does behind an Ethernet header.
class Packets {
public:
    Packets(const Size& size, size_t batch, Sessions sessions) : batch_{batch} {
        const size_t unit = std::lcm(batch, size.lens.size());
        buffers_.resize((std::max(kMinPackets, unit) + unit - 1) / unit * unit);
        std::vector<uint32_t> lens;
        for (size_t i = 0; i < buffers_.size(); ++i)
            lens.push_back(size.lens[i % size.lens.size()]);
        std::shuffle(lens.begin(), lens.end(), std::mt19937_64{1});
        for (size_t i = 0; i < buffers_.size(); ++i) {
            Buffer& buffer = buffers_[i];
            buffer.key.fill(static_cast<uint8_t>(i + 1));
            jobs_.push_back({.key = buffers_[sessions == Sessions::same ? 0 : i].key.data(),
                             .counter = i,
                             .data = buffer.data.data() + kEthernetLen,
                             .len = lens[i]});
        }
    }

    size_t size() const { return jobs_.size(); }

    void seal(AeadEngine& engine) {
        for (size_t i = 0; i < jobs_.size(); i += batch_)
            engine.seal(std::span{jobs_}.subspan(i, batch_));
    }

    // What is sealed now, restore() brings back, and open() opens.
    void keep() {
        for (AeadJob& job : jobs_)
            job.len += static_cast<uint32_t>(kAeadTagLen);
        kept_ = buffers_;
    }
    void restore() {
        for (size_t i = 0; i < jobs_.size(); ++i)
            std::memcpy(jobs_[i].data, kept_[i].data.data() + kEthernetLen, jobs_[i].len);
    }
    void open(AeadEngine& engine) {
        for (size_t i = 0; i < jobs_.size(); i += batch_)
            engine.open(std::span{jobs_}.subspan(i, batch_));
    }

    bool all_ok() const {
        return std::all_of(jobs_.begin(), jobs_.end(), [](const AeadJob& job) { return job.ok; });
    }

private:
    static constexpr size_t kEthernetLen = 14;
    struct alignas(64) Buffer {
        std::array<uint8_t, 32> key;
        alignas(64) std::array<uint8_t, kEthernetLen + kMaxLen + kAeadTagLen> data{};
    };

    size_t batch_;
    std::vector<Buffer> buffers_;
    std::vector<Buffer> kept_;
    std::vector<AeadJob> jobs_;
};

void finish(benchmark::State& state, const Packets& packets) {
    if (!packets.all_ok())
        return state.SkipWithError("a good packet was refused");
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(packets.size()));
}

void seal(benchmark::State& state, AeadEngine& engine, Packets packets) {
    for (auto _ : state)
        timed(state, [&] { packets.seal(engine); });
    finish(state, packets);
}

// Opening is in place: the sealed packets are put back outside of the time that counts.
void open(benchmark::State& state, AeadEngine& engine, Packets packets) {
    packets.seal(engine);
    packets.keep();
    for (auto _ : state) {
        packets.restore();
        timed(state, [&] { packets.open(engine); });
    }
    finish(state, packets);
}

struct Engine {
    std::string suffix;  // of the figures' names; none: what a gateway takes
    Lazy<AeadEngine> engine;
};

std::unique_ptr<AeadEngine> or_null(Result<std::unique_ptr<AeadEngine>> engine) {
    return engine ? std::move(*engine) : nullptr;
}

std::unique_ptr<AeadEngine> create_automatic_engine() {
    const auto selection = select_aead(AeadChoice::automatic);
    return selection ? or_null(selection->create()) : nullptr;
}

std::vector<Engine> engines() {
    std::vector<Engine> engines{{"", Lazy<AeadEngine>{create_automatic_engine}}};
    for (const AeadEngineRow& row : aead_engines()) {
        if (row.factory())
            engines.push_back({std::string{"/"} + row.name,
                               Lazy<AeadEngine>{[row] { return or_null(row.factory()); }}});
    }
    engines.push_back(
        {"/openssl", Lazy<AeadEngine>{[] { return or_null(create_openssl_engine()); }}});
    return engines;
}

std::vector<Size> sizes() {
    std::vector<Size> sizes;
    for (const uint32_t len : {64U, 128U, 256U, 512U, 1024U, 1420U})
        sizes.push_back({std::to_string(len) + "B", {len}});
    sizes.push_back({"IMIX", {kImix.begin(), kImix.end()}});
    for (const Also& one : also()) {
        const bool known = std::any_of(sizes.begin(), sizes.end(),
                                       [&](const Size& size) { return size.name == one.size; });
        if (!known)
            sizes.push_back({one.size, {one.len}});
    }
    return sizes;
}

enum class Direction : uint8_t { seal, open };

std::function<void(benchmark::State&)> body_of(Direction direction, Lazy<AeadEngine> lazy,
                                               const Size& size, size_t batch, Sessions sessions) {
    return [=](benchmark::State& state) {
        AeadEngine* engine = lazy.get();
        if (engine == nullptr)
            return state.SkipWithError("no such engine");
        (direction == Direction::seal ? seal : open)(state, *engine,
                                                     Packets{size, batch, sessions});
    };
}

// Everything that is compared with one another: one size, one batch, both directions.
Group make_group(std::span<const Engine> engines, const Size& size, size_t batch,
                 Sessions sessions) {
    const std::string key = size.name + "/batch" + std::to_string(batch) +
                            (sessions == Sessions::same ? "/same-session" : "");
    const std::string reference = "/ipsec-mb";
    const Quantity clocks = clocks_per("packet");
    Group group;
    for (const Direction direction : {Direction::seal, Direction::open}) {
        const std::string name = (direction == Direction::seal ? "aead/seal/" : "aead/open/") + key;
        for (const Engine& engine : engines) {
            const bool is_reference = engine.suffix == reference;
            Run run{
                .figures = {{name + engine.suffix, clocks, is_reference ? "" : name + reference}},
                .body = body_of(direction, engine.engine, size, batch, sessions),
                .clock = Clock::manual};
            if (direction == Direction::open && engine.suffix.empty())
                run.figures.push_back({name + "/beside-seal", clocks, "aead/seal/" + key});
            group.push_back(std::move(run));
        }
    }
    return group;
}

std::vector<Group> groups() {
    const auto all_engines = engines();
    std::vector<Group> groups;
    for (const Size& size : sizes()) {
        for (const size_t batch : kBatches) {
            groups.push_back(make_group(all_engines, size, batch, Sessions::different));
            groups.push_back(make_group(all_engines, size, batch, Sessions::same));
        }
    }
    return groups;
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, meshgate::bench::groups());
}

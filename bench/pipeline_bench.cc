// SPDX-License-Identifier: Apache-2.0
// Whole packets' ways on ports in memory: Worker::turn() from receive burst to transmit burst, with
// real sessions, routes and neighbours. Beside each figure, in the same run and over the same
// packets: our AEAD engine alone.
#include <rte_cycles.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "base/assert.h"
#include "bench/box.h"
#include "bench/eal.h"
#include "bench/figures.h"

namespace meshgate::bench {
namespace {

// Rounds of one repetition: some milliseconds.
constexpr int kNbRounds = 60;

struct Size {
    std::string name;
    Sizes sizes;
};
const std::array<Size, 5>& all_sizes() {
    static const std::array<Size, 5> all{
        {{"64B", {64}}, {"256B", {256}}, {"512B", {512}}, {"1420B", {1420}}, {"IMIX", imix()}}};
    return all;
}

struct Case {
    Direction direction = Direction::lan_to_wan;
    Size size;
    BoxOptions options;

    std::string name() const {
        std::string text = std::string{"pipeline/"} + to_string(direction) + "/" + size.name;
        if (options.inner == Family::ipv6)
            text += "/ipv6";
        if (options.outer == Family::ipv6)
            text += "/over-ipv6";
        if (options.nb_peers != kUsual)
            text +=
                "/" + std::to_string(options.nb_peers) + (options.nb_peers == 1 ? "peer" : "peers");
        if (options.nb_prefixes == kMillion)
            text += "/1Mprefixes";
        return text + (options.nb_workers == 1 ? "/1worker" : "/2workers");
    }
    static constexpr PeerId kUsual = 10;  // peers and prefixes of a figure that does not say
    static constexpr size_t kMillion = 1'000'000;
};

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

double per_packet(uint64_t cycles) {
    return static_cast<double>(cycles) / static_cast<double>(Packets::kNbPackets);
}

// One worker's rounds. What it needs lives as long as the group, like the box of all its runs.
class Bench {
public:
    explicit Bench(const Case& of) : case_{of} {}

    void measure(benchmark::State& state) {
        if (!make())
            return state.SkipWithError("no EAL");
        std::vector<double> whole, alone, inside, reference;
        const auto before = stages();
        for (auto _ : state) {
            packets_->prepare();
            const uint64_t engine_before = box_->aead(0).cycles;
            const uint64_t cycles = packets_->run();
            whole.push_back(per_packet(cycles));
            inside.push_back(per_packet(box_->aead(0).cycles - engine_before));
            packets_->prepare();
            alone.push_back(per_packet(packets_->run_aead(*engine_)));
            state.SetIterationTime(static_cast<double>(cycles) / tsc_hz());
        }
        state.counters["whole"] = median(whole);
        state.counters["aead"] = median(alone);
        state.counters["rest"] = median(whole) - median(inside);
        const auto after = stages();
        for (size_t i = 0; i < after.size(); ++i) {
            if (after[i] != before[i])
                state.counters[to_string(static_cast<Stage>(i))] =
                    per_packet(after[i] - before[i]) / static_cast<double>(state.iterations());
        }
    }

    // An empty pipeline: what the ports themselves take, and the two clocks around a round.
    void measure_ports(benchmark::State& state) {
        if (!make())
            return state.SkipWithError("no EAL");
        std::vector<double> values;
        for (auto _ : state) {
            packets_->prepare();
            const uint64_t cycles = packets_->run_ports();
            values.push_back(per_packet(cycles));
            state.SetIterationTime(static_cast<double>(cycles) / tsc_hz());
        }
        state.counters["whole"] = median(values);
    }

private:
    using Stages = std::array<uint64_t, static_cast<size_t>(Stage::nb_stages)>;

    bool make() {
        if (!eal())
            return false;
        if (box_ == nullptr) {
            box_ = std::make_unique<Box>(case_.options);
            packets_ = std::make_unique<Packets>(*box_, 0, case_.direction, case_.size.sizes);
            engine_ = box_->make_engine();
        }
        return true;
    }

    Stages stages() {
        Stages cycles;
        for (size_t i = 0; i < cycles.size(); ++i)
            cycles[i] = box_->worker(0).counters.stages[i].cycles.get();
        return cycles;
    }

    const Case case_;
    std::unique_ptr<Box> box_;
    std::unique_ptr<Packets> packets_;
    std::unique_ptr<AeadEngine> engine_;
};

// Two workers, each on a core of its own, beginning each round together. Clocks per packet of both:
// until the slower is through.
class BenchOfTwo {
public:
    explicit BenchOfTwo(const Case& of) : case_{of} {}

    void measure(benchmark::State& state) {
        if (!eal())
            return state.SkipWithError("no EAL");
        if (allowed_cores().size() < 2)
            return state.SkipWithError("needs two cores");
        if (box_ == nullptr) {
            box_ = std::make_unique<Box>(case_.options);
            for (unsigned worker = 0; worker < 2; ++worker)
                packets_[worker] =
                    std::make_unique<Packets>(*box_, worker, case_.direction, case_.size.sizes);
        }
        nb_rounds_ = 0;
        nb_ready_ = 0;
        nb_done_ = 0;
        stop_ = false;
        std::thread other{[this] { run_other(); }};
        std::vector<double> values;
        for (auto _ : state) {
            const uint64_t cycles = run_both();
            values.push_back(per_packet(cycles) / 2);
            state.SetIterationTime(static_cast<double>(cycles) / tsc_hz());
        }
        stop_ = true;
        ++nb_rounds_;
        other.join();
        state.counters["whole"] = median(values);
    }

private:
    // Counts only grow: who comes late to a meeting still sees that it was held.
    static void wait(const std::atomic<unsigned>& count, unsigned reached) {
        while (count < reached)
            rte_pause();
    }

    uint64_t run_both() {
        const unsigned round = ++nb_rounds_;
        packets_[0]->prepare();
        ++nb_ready_;
        wait(nb_ready_, 2 * round);
        const uint64_t own = packets_[0]->run();
        wait(nb_done_, round);
        return std::max(own, other_cycles_);
    }

    void run_other() {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(allowed_cores().front(), &set);
        MG_ASSERT(sched_setaffinity(0, sizeof set, &set) == 0);
        for (unsigned round = 1;; ++round) {
            wait(nb_rounds_, round);
            if (stop_)
                return;
            packets_[1]->prepare();
            ++nb_ready_;
            wait(nb_ready_, 2 * round);
            other_cycles_ = packets_[1]->run();
            nb_done_ = round;
        }
    }

    const Case case_;
    std::unique_ptr<Box> box_;
    std::array<std::unique_ptr<Packets>, 2> packets_;
    std::atomic<unsigned> nb_rounds_{0}, nb_ready_{0}, nb_done_{0};
    std::atomic<bool> stop_{false};
    uint64_t other_cycles_ = 0;
};

// What a packet waits for besides itself, when packets come at random at a part of the greatest
// rate, which is measured just before: the turn that is under way, and its own burst. Percentiles
// of each round, then the median of the rounds: a round in which the kernel ran something else on
// our core says nothing of the pipeline.
class Latency {
public:
    void measure(benchmark::State& state, double load) {
        if (!eal())
            return state.SkipWithError("no EAL");
        if (box_ == nullptr) {
            box_ = std::make_unique<Box>(BoxOptions{.nb_peers = 10, .nb_prefixes = 10});
            packets_ = std::make_unique<Packets>(*box_, 0, kDirection, imix(), kNbPackets);
        }
        const double gap_tsc = saturated() / load;
        std::array<std::vector<double>, kParts.size()> of_rounds;
        for (auto _ : state) {
            packets_->prepare();
            schedule(gap_tsc);
            state.SetIterationTime(static_cast<double>(packets_->run()) / tsc_hz());
            std::vector<uint64_t> latencies = collect();
            std::sort(latencies.begin(), latencies.end());
            for (size_t i = 0; i < kParts.size(); ++i) {
                const double nth = kParts[i].second * static_cast<double>(latencies.size());
                of_rounds[i].push_back(static_cast<double>(latencies[static_cast<size_t>(nth)]));
            }
        }
        for (size_t i = 0; i < kParts.size(); ++i)
            state.counters[kParts[i].first] = median(of_rounds[i]) / tsc_hz() * 1e6;
    }

    static constexpr std::array<std::pair<const char*, double>, 3> kParts{
        {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}}};

private:
    static constexpr size_t kNbPackets = 2048;
    static constexpr Direction kDirection = Direction::lan_to_wan;

    // Clocks per packet when there is always another one.
    double saturated() {
        std::vector<double> values;
        for (int round = 0; round < 9; ++round) {
            packets_->prepare();
            values.push_back(static_cast<double>(packets_->run()) / kNbPackets);
        }
        return median(values);
    }

    void schedule(double gap_tsc) {
        constexpr double kLeadTsc = 20'000;
        std::exponential_distribution<double> gap{1 / gap_tsc};
        double at_tsc = static_cast<double>(rte_rdtsc()) + kLeadTsc;
        MemoryQueue& in = box_->queue(kDirection, 0);
        in.arrivals_tsc.resize(kNbPackets);
        for (uint64_t& arrival_tsc : in.arrivals_tsc) {
            arrival_tsc = static_cast<uint64_t>(at_tsc);
            at_tsc += gap(random_);
        }
        const uint64_t late = rte_rdtsc() + static_cast<uint64_t>(kLeadTsc) - in.arrivals_tsc[0];
        for (uint64_t& arrival_tsc : in.arrivals_tsc)
            arrival_tsc += late;
        box_->departures(kDirection, 0).departures_tsc.resize(kNbPackets);
    }

    std::vector<uint64_t> collect() {
        MemoryQueue& in = box_->queue(kDirection, 0);
        MemoryQueue& out = box_->departures(kDirection, 0);
        std::vector<uint64_t> latencies;
        for (size_t i = 0; i < kNbPackets; ++i)
            latencies.push_back(out.departures_tsc[i] - in.arrivals_tsc[i]);
        in.arrivals_tsc.clear();
        out.departures_tsc.clear();
        return latencies;
    }

    std::unique_ptr<Box> box_;
    std::unique_ptr<Packets> packets_;
    std::mt19937_64 random_{1};
};

const Quantity& clocks(const std::string& counter) {
    static std::map<std::string, Quantity> all;
    return all.try_emplace(counter, counted(counter, "clocks/packet", Better::less)).first->second;
}

// Figures of one case: the whole beside the AEAD alone, and the rest stage by stage.
Run run_of(const Case& of) {
    const std::string name = of.name();
    Run run{.figures = {{name, clocks("whole"), name + "/aead"},
                        {name + "/aead", clocks("aead"), ""},
                        {name + "/rest", clocks("rest"), name}},
            .clock = Clock::manual,
            .iterations = kNbRounds};
    std::vector<Stage> stages{Stage::rx, Stage::classify};
    if (of.direction != Direction::lan_to_wan)
        stages.insert(stages.end(), {Stage::index, Stage::open, Stage::replay, Stage::decap,
                                     Stage::source_check});
    stages.push_back(Stage::route);
    if (of.direction != Direction::wan_to_lan)
        stages.push_back(Stage::path);
    stages.insert(stages.end(), {Stage::mss_clamp, Stage::fragment});
    if (of.direction == Direction::wan_to_lan)
        stages.push_back(Stage::l2);
    else
        stages.insert(stages.end(), {Stage::seal, Stage::encap});
    stages.push_back(Stage::tx);
    for (const Stage stage : stages)
        run.figures.push_back({name + "/" + to_string(stage), clocks(to_string(stage)), name});
    const auto bench = std::make_shared<Bench>(of);
    run.body = [bench](benchmark::State& state) { bench->measure(state); };
    return run;
}

// One size, one direction beside the other.
Group directions(const Size& size, Family inner, PeerId nb_peers = Case::kUsual) {
    Group group;
    const Case sealing{Direction::lan_to_wan,
                       size,
                       {.nb_peers = nb_peers, .nb_prefixes = nb_peers, .inner = inner}};
    Case opening = sealing;
    opening.direction = Direction::wan_to_lan;
    Case hairpin = sealing;
    hairpin.direction = Direction::hairpin;
    for (const Case& one : {sealing, opening, hairpin})
        group.push_back(run_of(one));
    group[1].figures.push_back(
        {opening.name() + "/beside-sealing", clocks("whole"), sealing.name()});
    return group;
}

// Over IPv6 a datagram needs a UDP checksum, which a port in memory does not make.
Group over_ipv6(const Size& size) {
    const Case usual{
        Direction::lan_to_wan, size, {.nb_peers = Case::kUsual, .nb_prefixes = Case::kUsual}};
    Case over = usual;
    over.options.outer = Family::ipv6;
    Run reference = run_of(usual);
    reference.figures = {{over.name() + "/over-ipv4", clocks("whole"), ""}};
    Run run = run_of(over);
    run.figures = {{over.name(), clocks("whole"), over.name() + "/over-ipv4"},
                   {over.name() + "/encap", clocks("encap"), over.name()}};
    return {reference, run};
}

// One size and direction from one peer to very many, beside the usual ten.
Group peers(const Size& size, Direction direction) {
    struct Row {
        PeerId nb_peers;
        size_t nb_prefixes;
    };
    Group group;
    std::string usual;
    for (const Row row : {Row{10, 10}, Row{1, 1}, Row{100, 100}, Row{10'000, 10'000},
                          Row{10'000, Case::kMillion}}) {
        const Case one{direction, size, {.nb_peers = row.nb_peers, .nb_prefixes = row.nb_prefixes}};
        Run run = run_of(one);
        if (usual.empty()) {
            usual = one.name() + "/10peers";
            run.figures = {{usual, clocks("whole"), ""}};
        } else {
            run.figures.push_back({one.name() + "/beside-10peers", clocks("whole"), usual});
        }
        group.push_back(std::move(run));
    }
    return group;
}

Group workers(const Size& size, Direction direction, PeerId nb_peers) {
    const Case two{
        direction, size, {.nb_workers = 2, .nb_peers = nb_peers, .nb_prefixes = nb_peers}};
    Case one = two;
    one.options.nb_workers = 1;
    const std::string alone = two.name() + "/one-alone";
    const auto bench_one = std::make_shared<Bench>(one);
    const auto bench_two = std::make_shared<BenchOfTwo>(two);
    return {{.figures = {{alone, clocks("whole"), ""}},
             .body = [=](benchmark::State& state) { bench_one->measure(state); },
             .clock = Clock::manual,
             .iterations = kNbRounds},
            {.figures = {{two.name(), clocks("whole"), alone}},
             .body = [=](benchmark::State& state) { bench_two->measure(state); },
             .clock = Clock::manual,
             .iterations = kNbRounds}};
}

Group latency() {
    constexpr std::array<int, 3> kLoads{10, 50, 90};
    Group group;
    const auto bench = std::make_shared<Latency>();
    for (const int load : kLoads) {
        Run run{.figures = {},
                .body = [=](benchmark::State& state) { bench->measure(state, load / 100.0); }};
        run.clock = Clock::manual;
        run.iterations = kNbRounds;
        for (const auto& [part, unused] : Latency::kParts) {
            const std::string name = "latency/lan_to_wan/" + std::to_string(load) + "pct/" + part;
            const std::string least = std::string{"latency/lan_to_wan/10pct/"} + part;
            run.figures.push_back(
                {name, counted(part, "us", Better::less), name == least ? "" : least});
        }
        group.push_back(std::move(run));
    }
    return group;
}

Group ports() {
    const Case any{Direction::lan_to_wan, all_sizes()[0], {.nb_peers = 1, .nb_prefixes = 1}};
    const auto bench = std::make_shared<Bench>(any);
    return {{.figures = {{"pipeline/ports", clocks("whole"), ""}},
             .body = [=](benchmark::State& state) { bench->measure_ports(state); },
             .clock = Clock::manual,
             .iterations = kNbRounds}};
}

std::vector<Group> groups() {
    std::vector<Group> all{ports()};
    for (const Size& size : all_sizes())
        all.push_back(directions(size, Family::ipv4));
    for (const size_t i : {0U, 4U})
        all.push_back(directions(all_sizes()[i], Family::ipv6));
    for (const size_t i : {0U, 3U})
        all.push_back(over_ipv6(all_sizes()[i]));
    for (const size_t i : {0U, 4U}) {
        for (const Direction direction : {Direction::lan_to_wan, Direction::wan_to_lan}) {
            all.push_back(peers(all_sizes()[i], direction));
            for (const PeerId nb_peers : {10U, 100U})
                all.push_back(workers(all_sizes()[i], direction, nb_peers));
        }
    }
    all.push_back(latency());
    std::set<std::string> names;
    for (const Group& group : all)
        for (const Run& run : group)
            names.insert(run.figures.front().name);
    for (const Also& one : also()) {
        Group group = directions({one.size, {static_cast<uint16_t>(one.len)}}, Family::ipv4,
                                 one.nb_peers == 0 ? Case::kUsual : one.nb_peers);
        if (names.insert(group.front().figures.front().name).second)
            all.push_back(std::move(group));
    }
    return all;
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, meshgate::bench::groups());
}

// SPDX-License-Identifier: Apache-2.0
// What a bench program says of itself. It declares its figures in groups; the runs of a group are
// repeated in turn, in random order, so that whatever else the machine does meets a figure and its
// reference alike. bench/run.py chooses among the figures and works out medians and ratios.
#pragma once

#include <benchmark/benchmark.h>
#include <x86intrin.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace meshgate::bench {

enum class Better : uint8_t { less, more };

// How a figure's value comes out of a run.
struct Quantity {
    std::string unit;  // "clocks/packet"
    Better better;  // decides the direction of the ratio: above 1, the figure beats its reference
    double scale = 0;     // per second: of the time of one item, or of the items
    std::string counter;  // the value is this one of State::counters, not a time
};
// Time of one item, as State::SetItemsProcessed counts them. Clocks are those of the TSC.
Quantity clocks_per(const std::string& item);
Quantity ns_per(const std::string& item);
Quantity us_per(const std::string& item);
Quantity ms_per(const std::string& item);
// Items in a second.
Quantity per_second(const std::string& items);
// What the body has put into State::counters[counter].
Quantity counted(const std::string& counter, const std::string& unit, Better better);

struct Figure {
    std::string name;  // "aead/seal/64B/batch64"; no other figure of any program has it
    Quantity quantity;
    std::string reference;  // a figure of the same group; empty: there is none
};

enum class Clock : uint8_t {
    thread,  // the thread's processor time
    wall,    // for runs of several threads
    manual,  // State::SetIterationTime, for bodies that time a part of themselves
};

// A size and a number of peers that `./run bench --also` asks for beside the usual ones.
struct Also {
    std::string size;       // "300B"
    uint32_t len = 0;       // bytes of that
    uint32_t nb_peers = 0;  // 0: the usual number
};
// As run.py has checked them and put them into the environment, "300/50,777/0".
std::vector<Also> also();

// One measured loop; a Google Benchmark as is. It is called for each repetition. What it needs it
// makes when first called (Lazy) and not before: what was not asked for costs nothing. It calls
// State::SetItemsProcessed unless all its figures are counted, and State::SkipWithError where it
// cannot measure.
struct Run {
    std::vector<Figure> figures;
    std::function<void(benchmark::State&)> body;
    Clock clock = Clock::thread;
    int64_t iterations = 0;       // 0: as many as fill the time
    int64_t max_repetitions = 0;  // fewer than the command asks, where one takes long; 0: any
};
using Group = std::vector<Run>;

// The main function of a bench program:
//   bench_X --list                                       says which figures there are
//   bench_X [--repetitions N] [--seconds S] [FIGURE...]  measures these, or all; references are
//                                                        not added by themselves
// Prints JSON, one object a line, for bench/run.py. Pins itself to a core where it may. Frees each
// group when it is done.
int run_bench(int argc, char** argv, std::vector<Group> groups);

// The cores that the process was allowed at start, for runs of several threads.
std::span<const unsigned> allowed_cores();
// Clocks of the TSC in a second, measured at start.
double tsc_hz();

// What the runs of a group share, made when the first of them asks. Copies are one and the same.
template <typename T>
class Lazy {
public:
    explicit Lazy(std::function<std::unique_ptr<T>()> make)
        : shared_{std::make_shared<Shared>(Shared{std::move(make), nullptr})} {}

    // Null where it cannot be made.
    T* get() const {
        if (shared_->value == nullptr)
            shared_->value = shared_->make();
        return shared_->value.get();
    }

private:
    struct Shared {
        std::function<std::unique_ptr<T>()> make;
        std::unique_ptr<T> value;
    };
    std::shared_ptr<Shared> shared_;
};

// For Clock::manual: what `action` takes is the time of this iteration.
template <typename Action>
void timed(benchmark::State& state, Action action) {
    const uint64_t begin_tsc = __rdtsc();
    action();
    state.SetIterationTime(static_cast<double>(__rdtsc() - begin_tsc) / tsc_hz());
}

}  // namespace meshgate::bench

// SPDX-License-Identifier: Apache-2.0
#include "bench/figures.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "base/assert.h"

namespace meshgate::bench {

namespace {

using nlohmann::json;

std::vector<unsigned> cores_of_process() {
    cpu_set_t set;
    std::vector<unsigned> cores;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return cores;
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &set))
            cores.push_back(core);
    }
    return cores;
}

// The last core: interrupts mostly go to the first. Returns -1 where pinning is not allowed.
int pin() {
    const auto cores = allowed_cores();
    if (cores.empty())
        return -1;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cores.back(), &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0 ? static_cast<int>(cores.back()) : -1;
}

double measure_tsc_hz() {
    using SteadyClock = std::chrono::steady_clock;
    const auto begin = SteadyClock::now();
    const uint64_t begin_tsc = __rdtsc();
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    const std::chrono::duration<double> elapsed = SteadyClock::now() - begin;
    return static_cast<double>(__rdtsc() - begin_tsc) / elapsed.count();
}

struct Options {
    bool list = false;
    int64_t repetitions = 15;
    double seconds = 0.003;
    std::set<std::string> names;  // empty: all
};

// Exits where an argument is wrong.
Options parse(int argc, char** argv) {
    Options options;
    const std::vector<std::string> words(argv + 1, argv + argc);
    for (size_t i = 0; i < words.size(); ++i) {
        const bool has_value = words[i] == "--repetitions" || words[i] == "--seconds";
        if (words[i] == "--list") {
            options.list = true;
        } else if (has_value && i + 1 < words.size()) {
            if (words[i] == "--seconds")
                options.seconds = std::strtod(words[i + 1].c_str(), nullptr);
            else
                options.repetitions = std::strtoll(words[i + 1].c_str(), nullptr, 10);
            ++i;
        } else if (!words[i].starts_with("-")) {
            options.names.insert(words[i]);
        } else {
            std::cerr << argv[0] << ": what is " << words[i] << "?\n";
            std::exit(2);
        }
    }
    if (options.repetitions <= 0 || options.seconds <= 0) {
        std::cerr << argv[0] << ": repetitions and seconds are greater than 0\n";
        std::exit(2);
    }
    return options;
}

// A figure's name is its own, and its reference is measured beside it. Returns all names.
std::set<std::string> check(const std::vector<Group>& groups) {
    std::set<std::string> names;
    for (const Group& group : groups) {
        std::set<std::string> in_group;
        for (const Run& run : group) {
            for (const Figure& figure : run.figures) {
                MG_ASSERT(names.insert(figure.name).second);
                in_group.insert(figure.name);
            }
        }
        for (const Run& run : group) {
            for (const Figure& figure : run.figures)
                MG_ASSERT(figure.reference.empty() || in_group.contains(figure.reference));
        }
    }
    return names;
}

void list(const std::vector<Group>& groups) {
    for (const Group& group : groups) {
        for (const Run& run : group) {
            for (const Figure& figure : run.figures) {
                const bool more = figure.quantity.better == Better::more;
                std::cout << json{{"name", figure.name},
                                  {"unit", figure.quantity.unit},
                                  {"reference", figure.reference},
                                  {"better", more ? "more" : "less"}}
                          << '\n';
            }
        }
    }
}

double value_of(const Quantity& quantity, const benchmark::UserCounters& counters) {
    const auto found =
        counters.find(quantity.counter.empty() ? "items_per_second" : quantity.counter);
    MG_ASSERT(found != counters.end());
    const double value = found->second.value;
    if (!quantity.counter.empty())
        return value;
    return quantity.better == Better::more ? value * quantity.scale : quantity.scale / value;
}

// Takes the repetitions of the runs of one group; their names are their positions in it.
class Samples final : public benchmark::BenchmarkReporter {
public:
    Samples(const Group& group, const std::set<std::string>& names)
        : group_{group}, names_{names} {}

    bool ReportContext(const Context&) override { return true; }

    void ReportRuns(const std::vector<Run>& reports) override {
        for (const Run& report : reports) {
            const bench::Run& run = group_[std::stoul(report.run_name.function_name)];
            for (const Figure& figure : run.figures) {
                if (!names_.empty() && !names_.contains(figure.name))
                    continue;
                if (report.error_occurred)
                    errors_[figure.name] = report.error_message;
                else if (report.run_type == Run::RT_Iteration)
                    values_[figure.name].push_back(value_of(figure.quantity, report.counters));
            }
        }
    }

    // False when a run could not measure.
    bool print() const {
        for (const auto& [name, values] : values_)
            std::cout << json{{"name", name}, {"samples", values}} << '\n';
        for (const auto& [name, error] : errors_)
            std::cout << json{{"name", name}, {"error", error}} << '\n';
        std::cout << std::flush;
        return errors_.empty();
    }

private:
    const Group& group_;
    const std::set<std::string>& names_;
    std::map<std::string, std::vector<double>> values_;
    std::map<std::string, std::string> errors_;
};

bool is_wanted(const Run& run, const std::set<std::string>& names) {
    return names.empty() ||
           std::any_of(run.figures.begin(), run.figures.end(),
                       [&](const Figure& figure) { return names.contains(figure.name); });
}

bool measure(const Group& group, const std::set<std::string>& names, int64_t nb_repetitions) {
    bool some = false;
    for (size_t i = 0; i < group.size(); ++i) {
        if (!is_wanted(group[i], names))
            continue;
        some = true;
        auto* registered = benchmark::RegisterBenchmark(std::to_string(i).c_str(), group[i].body);
        if (group[i].clock == Clock::wall)
            registered->UseRealTime();
        if (group[i].clock == Clock::manual)
            registered->UseManualTime();
        if (group[i].iterations != 0)
            registered->Iterations(group[i].iterations);
        if (group[i].max_repetitions != 0)
            registered->Repetitions(
                static_cast<int>(std::min(group[i].max_repetitions, nb_repetitions)));
    }
    if (!some)
        return true;
    Samples samples{group, names};
    benchmark::RunSpecifiedBenchmarks(&samples, ".");
    benchmark::ClearRegisteredBenchmarks();
    return samples.print();
}

}  // namespace

std::span<const unsigned> allowed_cores() {
    static const std::vector<unsigned> cores = cores_of_process();
    return cores;
}

double tsc_hz() {
    static const double hz = measure_tsc_hz();
    return hz;
}

Quantity clocks_per(const std::string& item) {
    return {"clocks/" + item, Better::less, tsc_hz(), ""};
}
Quantity ns_per(const std::string& item) {
    return {"ns/" + item, Better::less, 1e9, ""};
}
Quantity us_per(const std::string& item) {
    return {"us/" + item, Better::less, 1e6, ""};
}
Quantity ms_per(const std::string& item) {
    return {"ms/" + item, Better::less, 1e3, ""};
}
Quantity per_second(const std::string& items) {
    return {items + "/s", Better::more, 1, ""};
}
Quantity counted(const std::string& counter, const std::string& unit, Better better) {
    return {unit, better, 0, counter};
}

int run_bench(int argc, char** argv, std::vector<Group> groups) {
    const Options options = parse(argc, argv);
    const std::set<std::string> names = check(groups);
    for (const std::string& name : options.names) {
        if (!names.contains(name)) {
            std::cerr << argv[0] << ": no figure " << name << '\n';
            return 2;
        }
    }
    if (options.list) {
        list(groups);
        return 0;
    }
    const int core = pin();
    std::cout << json{{"core", core}, {"tsc_hz", tsc_hz()}} << std::endl;
    std::vector<std::string> words{argv[0], "--benchmark_enable_random_interleaving=true",
                                   "--benchmark_repetitions=" + std::to_string(options.repetitions),
                                   "--benchmark_min_time=" + std::to_string(options.seconds)};
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    int nb_pointers = static_cast<int>(pointers.size());
    benchmark::Initialize(&nb_pointers, pointers.data());
    bool measured_all = true;
    for (Group& group : groups) {
        measured_all &= measure(group, options.names, options.repetitions);
        group.clear();
    }
    return measured_all ? 0 : 1;
}

std::vector<Also> also() {
    std::vector<Also> all;
    const char* text = std::getenv("MESHGATE_BENCH_ALSO");
    std::istringstream list{text == nullptr ? "" : text};
    for (std::string one; std::getline(list, one, ',');) {
        Also next;
        if (std::sscanf(one.c_str(), "%u/%u", &next.len, &next.nb_peers) != 2)
            continue;
        next.size = std::to_string(next.len) + "B";
        all.push_back(next);
    }
    return all;
}

}  // namespace meshgate::bench

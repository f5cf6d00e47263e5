// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <utility>

namespace meshgate {

namespace {

// DPDK writes its log from several threads; we keep the newest errors for our own messages.
class EalLog {
public:
    static EalLog& instance() {
        static EalLog* log = new EalLog;  // never destroyed: DPDK's threads may log until the end
        return *log;
    }
    FILE* stream() noexcept { return stream_; }

    std::string take() {
        const std::lock_guard lock{mutex_};
        while (!text_.empty() && (text_.back() == '\n' || text_.back() == ' '))
            text_.pop_back();
        for (size_t i = text_.find('\n'); i != std::string::npos; i = text_.find('\n', i))
            text_.replace(i, 1, "; ");
        return std::exchange(text_, {});
    }

private:
    static constexpr size_t kMaxBytes =
        1024;  // of the EAL's own log, kept for the report of an error

    EalLog() {
        const cookie_io_functions_t functions{
            .read = nullptr, .write = &EalLog::write, .seek = nullptr, .close = nullptr};
        stream_ = fopencookie(this, "w", functions);
        if (stream_ != nullptr)
            std::setvbuf(stream_, nullptr, _IOLBF, 512);
    }

    static ssize_t write(void* self, const char* bytes, size_t len) {
        EalLog& log = *static_cast<EalLog*>(self);
        const std::lock_guard lock{log.mutex_};
        log.text_.append(bytes, len);
        if (log.text_.size() > kMaxBytes)
            log.text_.erase(0, log.text_.size() - kMaxBytes);
        return static_cast<ssize_t>(len);
    }

    std::mutex mutex_;
    std::string text_;
    FILE* stream_ = nullptr;
};

std::vector<unsigned> allowed_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cores;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return cores;
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &set))
            cores.push_back(core);
    }
    return cores;
}

std::string join(const std::vector<unsigned>& numbers) {
    std::string text;
    for (const unsigned number : numbers)
        text += (text.empty() ? "" : ",") + std::to_string(number);
    return text;
}

// Lcore 0 and the workers without a core of their own may run anywhere.
Result<std::string> lcores_argument(const Eal::Options& options,
                                    const std::vector<unsigned>& allowed) {
    const std::string anywhere = "@(" + join(allowed) + ")";
    std::string text = "0" + anywhere;
    for (unsigned worker = 0; worker < options.nb_workers; ++worker) {
        text += "," + std::to_string(Eal::lcore_of(worker));
        if (options.cores.empty()) {
            text += anywhere;
            continue;
        }
        const unsigned core = options.cores.at(worker);
        if (std::find(allowed.begin(), allowed.end(), core) == allowed.end())
            return fail("core " + std::to_string(core) +
                        " is not one that this process may use: " + join(allowed));
        text += "@" + std::to_string(core);
    }
    return text;
}

// Rings and packet sockets lock their memory; the default of 8 MiB is less than one port takes.
void raise_memory_lock_limit() noexcept {
    rlimit limit{};
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_MEMLOCK, &limit);
}

// DPDK leaves its empty run-time directory behind.
void remove_runtime_dir() {
    std::error_code ignored;
    std::filesystem::remove(rte_eal_get_runtime_dir(), ignored);
}

}  // namespace

unsigned free_hugepages_mib() {
    namespace fs = std::filesystem;
    uint64_t free_kib = 0;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator{"/sys/kernel/mm/hugepages", error}) {
        // "hugepages-2048kB"
        const std::string name = entry.path().filename();
        const size_t digits = name.find_first_of("0123456789");
        if (digits == std::string::npos)
            continue;
        uint64_t nb_free = 0;
        std::ifstream{entry.path() / "free_hugepages"} >> nb_free;
        free_kib += nb_free * std::strtoull(name.c_str() + digits, nullptr, 10);
    }
    return static_cast<unsigned>(free_kib / 1024);
}

Result<MemoryPlan> plan_memory(MemoryMode mode, unsigned memory_mib, unsigned free_hugepages_mib) {
    const bool enough = free_hugepages_mib >= memory_mib;
    if (mode == MemoryMode::hugepages && !enough)
        return fail("dataplane.hugepages is `require`, but " + std::to_string(memory_mib) +
                    " MiB are needed and " + std::to_string(free_hugepages_mib) +
                    " MiB are free: write a larger number to /proc/sys/vm/nr_hugepages");
    return MemoryPlan{.hugepages = mode != MemoryMode::no_huge && enough, .memory_mib = memory_mib};
}

Result<std::vector<std::string>> eal_arguments(const Eal::Options& options,
                                               const std::vector<unsigned>& allowed) {
    const Result<std::string> lcores = lcores_argument(options, allowed);
    if (!lcores)
        return propagate(lcores);
    std::vector<std::string> arguments{"meshgated", "--lcores", *lcores, "--main-lcore", "0"};
    const auto add = [&arguments](std::initializer_list<std::string> more) {
        arguments.insert(arguments.end(), more);
    };
    // Nothing in the file system and no way for another process in: two gateways on one machine
    // do not know of each other. DPDK refuses --in-memory together with --no-huge.
    if (options.memory.hugepages)
        add({"--in-memory"});
    else
        add({"--no-huge", "--no-shconf"});
    add({"--file-prefix", "meshgate-" + std::to_string(getpid()), "--no-telemetry"});
    add({"-m", std::to_string(options.memory.memory_mib)});
    if (options.pci_addresses.empty())
        add({"--no-pci"});
    for (const std::string& address : options.pci_addresses)
        add({"-a", address});
    return arguments;
}

bool Eal::running_ = false;

Result<Eal> Eal::start(const Options& options) {
    if (running_) {
        if (rte_lcore_is_enabled(lcore_of(options.nb_workers - 1)) == 0)
            return fail("DPDK runs already in this process, with fewer workers");
        return Eal{Ownership::borrowed};
    }
    Result<std::vector<std::string>> arguments = eal_arguments(options, allowed_cores());
    if (!arguments)
        return propagate(arguments);
    raise_memory_lock_limit();
    rte_log_set_global_level(RTE_LOG_ERR);
    if (FILE* stream = EalLog::instance().stream(); stream != nullptr)
        rte_openlog_stream(stream);
    // DPDK keeps pointers into the argument list and may reorder it.
    static std::vector<std::string>* const kept = new std::vector<std::string>;
    *kept = *std::move(arguments);
    std::vector<char*> argv;
    for (std::string& argument : *kept)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    if (rte_eal_init(static_cast<int>(kept->size()), argv.data()) < 0) {
        const int error = rte_errno;
        return fail(error, "cannot start DPDK (" + take_eal_errors() + ")");
    }
    remove_runtime_dir();
    // Why a card was left out is for the port that wants it; without cards there is nothing to tell.
    if (options.pci_addresses.empty())
        take_eal_errors();
    running_ = true;
    return Eal{Ownership::owned};
}

Eal::Eal(Eal&& other) noexcept : ownership_{std::exchange(other.ownership_, Ownership::borrowed)} {}

// DPDK cannot be started a second time, hence running_ stays.
Eal::~Eal() {
    if (ownership_ == Ownership::owned)
        rte_eal_cleanup();
}

std::string take_eal_errors() {
    return EalLog::instance().take();
}

}  // namespace meshgate

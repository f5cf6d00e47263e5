// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/api/options.h"

namespace meshgate {

// Where DPDK's memory comes from.
struct MemoryPlan {
    bool hugepages = false;
    unsigned memory_mib = 0;
};
// Hugepages when asked for, or when enough of them are free; else ordinary pages.
Result<MemoryPlan> plan_memory(MemoryMode mode, unsigned memory_mib, unsigned free_hugepages_mib);
// Over all page sizes.
unsigned free_hugepages_mib();

// The EAL, of which a process has one, once: a second start borrows the first. Lcore 0 is control,
// worker `n` runs on lcore `n + 1`.
class Eal {
public:
    struct Options {
        MemoryPlan memory;
        unsigned nb_workers = 1;
        std::vector<unsigned> cores;             // one per worker; empty: workers float
        std::vector<std::string> pci_addresses;  // DPDK leaves all others alone
    };
    static Result<Eal> start(const Options& options);

    Eal(Eal&& other) noexcept;
    Eal& operator=(Eal&&) = delete;
    ~Eal();

    static unsigned lcore_of(unsigned worker) noexcept { return worker + 1; }

private:
    enum class Ownership : uint8_t { owned, borrowed };
    explicit Eal(Ownership ownership) noexcept : ownership_{ownership} {}

    static bool running_;

    Ownership ownership_;
};

// The command line that DPDK gets; the user never writes one. `allowed_cores`: those that the
// process may run on.
Result<std::vector<std::string>> eal_arguments(const Eal::Options& options,
                                               const std::vector<unsigned>& allowed_cores);

// What DPDK logged as errors since the last call, oldest first, joined to one line: the cause that
// its error codes do not tell. Empty when it logged nothing.
std::string take_eal_errors();

}  // namespace meshgate

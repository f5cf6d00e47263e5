// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "dataplane/api/dataplane.h"

namespace meshgate {

// Where DPDK's memory comes from.
struct MemoryPlan {
    bool hugepages = false;
    unsigned memory_mib = 0;
};
// Hugepages when enough are free, or when asked for; else ordinary pages.
Result<MemoryPlan> plan_memory(MemoryMode mode, unsigned memory_mib, unsigned free_hugepages_mib);
// Over all sizes and NUMA nodes.
unsigned free_hugepages_mib();

// The EAL, of which a process has one, once. Worker `n` runs on lcore `n + 1`; lcore 0 is control.
class Eal {
public:
    struct Options {
        MemoryPlan memory;
        unsigned nb_workers = 1;
        std::vector<unsigned> cores;             // empty: workers float
        std::vector<std::string> pci_addresses;  // all others are left alone
    };
    static Result<Eal> start(const Options& options);
    // The command line that DPDK gets; the user never writes one.
    static std::vector<std::string> arguments(const Options& options);

    Eal(Eal&& other) noexcept;
    Eal& operator=(Eal&&) = delete;
    ~Eal();

    static unsigned lcore_of(unsigned worker) noexcept { return worker + 1; }

private:
    Eal() noexcept = default;

    bool owned_ = true;
};

// What DPDK wrote to its log since the last call, one line: the cause behind an error code.
std::string take_last_eal_message();

}  // namespace meshgate

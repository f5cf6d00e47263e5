// SPDX-License-Identifier: Apache-2.0
#include "bench/eal.h"

#include <rte_eal.h>

#include <string>
#include <vector>

namespace meshgate::bench {

namespace {

bool start_eal() {
    std::vector<std::string> words{
        "bench",          "--no-huge",         "-m",
        "2048",           "--no-pci",          "--no-shconf",
        "--no-telemetry", "--log-level=error", "--force-max-simd-bitwidth=512"};
    std::vector<char*> pointers;
    for (std::string& word : words)
        pointers.push_back(word.data());
    return rte_eal_init(static_cast<int>(pointers.size()), pointers.data()) >= 0;
}

}  // namespace

bool eal() {
    static const bool started = start_eal();
    return started;
}

}  // namespace meshgate::bench

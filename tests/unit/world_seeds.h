// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>

namespace meshgate::test {

// First and last seed of a random world's run: the usual ones unless the environment says
// otherwise by MESHGATE_WORLD_SEED and MESHGATE_WORLD_SEEDS, which says how many.
struct WorldSeeds {
    uint64_t first;
    uint64_t last;

    WorldSeeds(uint64_t usual_first, uint64_t usual_count)
        : first{from_environment("MESHGATE_WORLD_SEED", usual_first)},
          last{first + from_environment("MESHGATE_WORLD_SEEDS", usual_count) - 1} {}

private:
    static uint64_t from_environment(const char* name, uint64_t otherwise) {
        const char* value = std::getenv(name);
        return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
    }
};

}  // namespace meshgate::test

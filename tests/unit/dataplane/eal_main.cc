// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "dataplane/ports/eal.h"

// Of the test programs that need the EAL, which one process can start once.
int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const meshgate::Result<meshgate::Eal> eal =
        meshgate::Eal::start({.memory = {.hugepages = false, .memory_mib = 256},
                              .nb_workers = 2,
                              .cores = {},
                              .pci_addresses = {}});
    if (!eal) {
        std::fprintf(stderr, "%s\n", eal.error().message.c_str());
        return EXIT_FAILURE;
    }
    return RUN_ALL_TESTS();
}

// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/eal.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace meshgate {
namespace {

TEST(MemoryPlan, TakesHugepagesOnlyWhenEnoughAreFree) {
    EXPECT_TRUE(plan_memory(MemoryMode::automatic, 256, 256)->hugepages);
    EXPECT_FALSE(plan_memory(MemoryMode::automatic, 256, 254)->hugepages);
    EXPECT_FALSE(plan_memory(MemoryMode::no_huge, 256, 1024)->hugepages);
    EXPECT_TRUE(plan_memory(MemoryMode::hugepages, 256, 1024)->hugepages);
    const Result<MemoryPlan> refused = plan_memory(MemoryMode::hugepages, 256, 100);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("256 MiB are needed and 100 MiB are free"),
              std::string::npos)
        << refused.error().message;
}

bool has(const std::vector<std::string>& arguments, const std::string& argument) {
    return std::find(arguments.begin(), arguments.end(), argument) != arguments.end();
}

TEST(EalArguments, NeverAskForHugepagesAndForNone) {
    Eal::Options options;
    options.memory = {.hugepages = true, .memory_mib = 64};
    const auto with = eal_arguments(options, {0, 1});
    EXPECT_TRUE(has(*with, "--in-memory") && !has(*with, "--no-huge"));
    options.memory.hugepages = false;
    const auto without = eal_arguments(options, {0, 1});
    EXPECT_TRUE(!has(*without, "--in-memory") && has(*without, "--no-huge"));
    EXPECT_TRUE(has(*without, "64"));
}

TEST(EalArguments, LetWorkersFloatOrPinThem) {
    Eal::Options options;
    options.nb_workers = 2;
    EXPECT_TRUE(has(*eal_arguments(options, {1, 4}), "0@(1,4),1@(1,4),2@(1,4)"));
    options.cores = {4, 1};
    EXPECT_TRUE(has(*eal_arguments(options, {1, 4}), "0@(1,4),1@4,2@1"));
    options.cores = {4, 2};
    const auto refused = eal_arguments(options, {1, 4});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "core 2 is not one that this process may use: 1,4");
}

TEST(EalArguments, TouchOnlyThePciDevicesOfOurPorts) {
    Eal::Options options;
    EXPECT_TRUE(has(*eal_arguments(options, {0}), "--no-pci"));
    options.pci_addresses = {"0000:03:00.0"};
    const auto arguments = eal_arguments(options, {0});
    EXPECT_FALSE(has(*arguments, "--no-pci"));
    EXPECT_TRUE(has(*arguments, "-a") && has(*arguments, "0000:03:00.0"));
}

TEST(Eal, IsBorrowedByASecondStartAndRefusesMoreWorkers) {
    EXPECT_TRUE(Eal::start({.memory = {}, .nb_workers = 2, .cores = {}, .pci_addresses = {}}));
    EXPECT_FALSE(Eal::start({.memory = {}, .nb_workers = 30, .cores = {}, .pci_addresses = {}}));
}

}  // namespace
}  // namespace meshgate

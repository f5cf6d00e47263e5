// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/capabilities.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace meshgate::control {
namespace {

constexpr Capabilities bit(unsigned capability) {
    return Capabilities{1} << capability;
}

Capabilities needed_by(std::initializer_list<config::DeviceKind> kinds) {
    std::vector<config::Port> ports;
    for (const config::DeviceKind kind : kinds)
        ports.push_back({.name = "p", .device = {kind, "x"}});
    return needed_capabilities(ports);
}

TEST(Capabilities, CardsAndMemifNeedNoneOfTheNetwork) {
    EXPECT_EQ(needed_by({config::DeviceKind::pci, config::DeviceKind::memif}), bit(CAP_IPC_LOCK));
}

TEST(Capabilities, InterfacesOfTheKernelNeedTheirOwn) {
    EXPECT_EQ(needed_by({config::DeviceKind::tap}), bit(CAP_IPC_LOCK) | bit(CAP_NET_ADMIN));
    EXPECT_EQ(needed_by({config::DeviceKind::pci, config::DeviceKind::af_packet}),
              bit(CAP_IPC_LOCK) | bit(CAP_NET_ADMIN) | bit(CAP_NET_RAW));
    EXPECT_EQ(needed_by({config::DeviceKind::af_xdp}),
              bit(CAP_IPC_LOCK) | bit(CAP_NET_ADMIN) | bit(CAP_NET_RAW) | bit(CAP_BPF));
}

TEST(Capabilities, ATwinNeedsThoseOfAKernelInterface) {
    const config::Port port{
        .name = "p", .device = {config::DeviceKind::pci, "0000:03:00.0"}, .host = true};
    EXPECT_EQ(needed_capabilities({port}), bit(CAP_IPC_LOCK) | bit(CAP_NET_ADMIN));
}

// Of the calling thread, from the kernel.
Capabilities permitted() {
    std::ifstream status{"/proc/thread-self/status"};
    std::string word;
    while (status >> word && word != "CapPrm:") {
    }
    status >> word;
    return std::stoull(word, nullptr, 16);
}

TEST(Capabilities, WhatIsGivenUpIsGone) {
    const pid_t child = fork();
    if (child == 0) {
        const Capabilities before = permitted();
        const bool kept = keep_capabilities(bit(CAP_NET_RAW) | bit(CAP_BPF)).has_value();
        const Capabilities after = permitted();
        _exit(kept && after == (before & (bit(CAP_NET_RAW) | bit(CAP_BPF))) ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace meshgate::control

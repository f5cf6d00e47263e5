// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/vm_generation.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <vector>

namespace meshgate::control {
namespace {

using Support = VmGeneration::Support;

// As the kernel sends it, zero bytes included.
constexpr std::string_view kFork{
    "change@/devices/platform/VMGENCTR:00\0ACTION=change\0"
    "DEVPATH=/devices/platform/VMGENCTR:00\0SUBSYSTEM=platform\0NEW_VMGENID=1\0"
    "DRIVER=vmgenid\0MODALIAS=acpi:VMGENCTR:VM_GEN_COUNTER:\0SEQNUM=4711\0",
    188};

constexpr uint32_t kKernel = 0;  // its netlink port

std::span<const uint8_t> bytes(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST(VmGeneration, KnowsTheEventOfAFork) {
    EXPECT_TRUE(is_vm_fork(bytes(kFork), kKernel));
}

TEST(VmGeneration, TakesNothingElseForAFork) {
    using namespace std::string_view_literals;
    for (const std::string_view text :
         {""sv, "\0"sv, "change@/devices/x"sv, "NEW_VMGENID=1"sv, "NEW_VMGENID=1\0"sv,
          "libudev\0\xfe\xed\xca\xfe NEW_VMGENID=1\0"sv, "change@/x\0NEW_VMGENID=10\0"sv,
          "change@/x\0SYNTH_ARG_NEW_VMGENID=1\0"sv, "change@/NEW_VMGENID=1\0ACTION=change\0"sv,
          "change@/x\0ACTION=change\0NEW_VMGENID=\0"sv})
        EXPECT_FALSE(is_vm_fork(bytes(text), kKernel)) << text;
    for (size_t len = 0; len < kFork.size(); ++len) {
        const bool whole = kFork.substr(0, len).find("NEW_VMGENID=1") != std::string_view::npos;
        EXPECT_EQ(is_vm_fork(bytes(kFork.substr(0, len)), kKernel), whole) << len;
    }
}

// A sysfs with or without the driver and its device.
class VmGenerationSupport : public testing::Test {
protected:
    VmGenerationSupport() {
        char name[] = "/tmp/vm_generation_XXXXXX";
        root_ = mkdtemp(name);
    }
    ~VmGenerationSupport() override { std::filesystem::remove_all(root_); }

    void add_driver(const std::string& bus) {
        driver_ = root_ + "/bus/" + bus + "/drivers/vmgenid";
        std::filesystem::create_directories(driver_);
        std::filesystem::create_symlink("/nowhere", driver_ + "/module");
    }
    void add_device() { std::filesystem::create_symlink("/nowhere", driver_ + "/VMGENCTR:00"); }
    Support support(const char* release) { return VmGeneration{root_, release}.support(); }

    std::string root_, driver_;
};

TEST_F(VmGenerationSupport, SaysWhyAForkWouldNotBeSeen) {
    EXPECT_EQ(support("6.12.1"), Support::no_device);
    add_driver("platform");
    EXPECT_EQ(support("6.12.1"), Support::no_device) << "a driver without a device";
    add_device();
    for (const char* release : {"6.1.0-28-amd64", "5.19", "6.7.12", "6", "", "x.y"})
        EXPECT_EQ(support(release), Support::kernel_silent) << release;
    for (const char* release : {"6.8.0", "6.12.1", "7.0"})
        EXPECT_EQ(support(release), Support::told) << release;
}

TEST_F(VmGenerationSupport, FindsTheDeviceOnTheAcpiBusToo) {
    add_driver("acpi");
    add_device();
    EXPECT_EQ(support("6.8.0"), Support::told);
}

TEST(VmGeneration, BelievesTheKernelOnly) {
    EXPECT_FALSE(is_vm_fork(bytes(kFork), 4711));
}

// Either the kernel refuses such a sender, who then has no privileges, or it is not believed.
TEST_F(VmGenerationSupport, TakesNoForkFromAnotherProcess) {
    add_driver("platform");
    add_device();
    VmGeneration generation{root_, "6.12"};
    ASSERT_EQ(generation.support(), Support::told);
    EXPECT_FALSE(generation.take_fork());
    const UniqueFd other{socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT)};
    sockaddr_nl to{};
    to.nl_family = AF_NETLINK;
    to.nl_groups = 1;
    const ssize_t sent = sendto(other.get(), kFork.data(), kFork.size(), 0,
                                reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    EXPECT_TRUE(sent >= 0 || errno == EPERM);
    EXPECT_FALSE(generation.take_fork());
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/kernel_settings.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace meshgate::control {
namespace {

namespace fs = std::filesystem;

class Settings : public testing::Test {
protected:
    Settings() {
        set("ipv4/conf/lan0/forwarding", "1");
        set("ipv6/conf/lan0/disable_ipv6", "0");
    }
    ~Settings() override { fs::remove_all(root_); }

    void set(const std::string& path, const std::string& value) {
        fs::create_directories((root_ / path).parent_path());
        std::ofstream{root_ / path} << value << '\n';
    }
    std::string get(const std::string& path) {
        std::string value;
        std::ifstream{root_ / path} >> value;
        return value;
    }

    fs::path root_ = fs::temp_directory_path() / ("settings-" + std::to_string(getpid()));
    KernelSettings settings_{root_.string()};
};

TEST_F(Settings, AreChangedWhereTheyDifferAndGivenBack) {
    const auto found = settings_.read("lan0");
    EXPECT_EQ(settings_.apply("lan0").value(), 2U);
    EXPECT_EQ(get("ipv4/conf/lan0/forwarding"), "0");
    EXPECT_EQ(get("ipv6/conf/lan0/disable_ipv6"), "1");
    EXPECT_EQ(settings_.apply("lan0").value(), 0U);
    settings_.give_back(found);
    EXPECT_EQ(get("ipv4/conf/lan0/forwarding"), "1");
    EXPECT_EQ(get("ipv6/conf/lan0/disable_ipv6"), "0");
}

TEST_F(Settings, OfAFamilyThatTheKernelLacksAreLeftOut) {
    fs::remove_all(root_ / "ipv6");
    EXPECT_EQ(settings_.read("lan0").size(), 1U);
    EXPECT_EQ(settings_.apply("lan0").value(), 1U);
    EXPECT_EQ(settings_.apply("gone0").value(), 0U);
}

std::vector<FoundInterface> some() {
    return {{.name = "lan0",
             .index = 7,
             .settings = {{"ipv4/conf/lan0/forwarding", "1"}},
             .addresses = {*parse_prefix("fd77::7/64")}},
            {.name = "wan0", .index = 8, .settings = {}, .addresses = {}}};
}

TEST(FoundInterfaces, SurviveBeingWrittenDown) {
    EXPECT_EQ(parse_found(to_text(some(), "boot-1"), "boot-1"), some());
}

TEST(FoundInterfaces, OfAnEarlierBootAreNothing) {
    EXPECT_TRUE(parse_found(to_text(some(), "boot-1"), "boot-2").empty());
}

TEST(FoundInterfaces, AreReadUpToWhatMakesNoSense) {
    EXPECT_TRUE(parse_found("", "b").empty());
    EXPECT_TRUE(parse_found("boot", "b").empty());
    EXPECT_TRUE(parse_found("boot b\nsetting ipv4/x 1\n", "b").empty());
    EXPECT_EQ(parse_found("boot b\ninterface lan0 1\nsetting ../../../etc/passwd 1\n", "b"),
              (std::vector<FoundInterface>{
                  {.name = "lan0", .index = 1, .settings = {}, .addresses = {}}}));
    EXPECT_EQ(parse_found("boot b\ninterface lan0 x\ninterface wan0 1\n", "b").size(), 0U);
}

}  // namespace
}  // namespace meshgate::control

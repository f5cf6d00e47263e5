// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/running_ports.h"

#include <gtest/gtest.h>

namespace meshgate::control {
namespace {

class RunningPortsTest : public testing::Test {
protected:
    RunningPortsTest() {
        model[0].name = "wan0";
        model[0].addresses_from_host = true;
        model[1].name = "lan0";
        model[1].addresses = {*parse_prefix("10.1.0.1/24")};
        ports.set_model(model);
    }

    // What the kernel has on the twin of wan0.
    std::vector<config::Port> with(const char* address, uint16_t mtu_bytes = 1500) const {
        std::vector<config::Port> filled = model;
        filled[0].addresses = {*parse_prefix(address)};
        filled[0].deprecated = {*parse_address("192.0.2.7")};
        filled[0].gateway_v4 = *parse_address("192.0.2.254");
        filled[0].mtu_bytes = mtu_bytes;
        return filled;
    }

    Time now = Time{} + std::chrono::hours{1};
    Log log{config::Log{.level = config::LogLevel::error, .format = {}}};
    std::vector<config::Port> model{2};
    RunningPorts ports{model, log};
};

TEST_F(RunningPortsTest, AreThoseOfTheBoxFileUntilTheKernelGivesSomething) {
    EXPECT_EQ(ports.all(), model);
    EXPECT_FALSE(ports.take_given(model, now));
    EXPECT_TRUE(ports.take_given(with("192.0.2.1/24"), now));
    EXPECT_EQ(ports.all(), with("192.0.2.1/24"));
    EXPECT_FALSE(ports.take_given(with("192.0.2.1/24"), now));
    EXPECT_TRUE(ports.take_given(model, now));
    EXPECT_TRUE(ports.all()[0].addresses.empty());
}

// A reload must not take a lease away until the kernel is looked at again.
TEST_F(RunningPortsTest, KeepWhatWasGivenAcrossAnotherBoxFile) {
    ports.take_given(with("192.0.2.1/24", 1400), now);
    model[0].metered = true;
    ports.set_model(model);
    EXPECT_EQ(ports.all(), with("192.0.2.1/24", 1400));
    model[0].mtu_bytes = 1300;
    ports.set_model(model);
    EXPECT_EQ(ports.all()[0].mtu_bytes, 1300);
}

TEST_F(RunningPortsTest, TakeWrittenAddressesInstead) {
    ports.take_given(with("192.0.2.1/24"), now);
    model[0].addresses_from_host = false;
    model[0].addresses = {*parse_prefix("198.51.100.1/24")};
    ports.set_model(model);
    EXPECT_EQ(ports.all(), model);
    model[0].addresses_from_host = true;
    model[0].addresses.clear();
    ports.set_model(model);
    EXPECT_EQ(ports.all(), model);
}

TEST_F(RunningPortsTest, HaveNothingWhereTheyAreDisabled) {
    model[0].enabled = model[1].enabled = false;
    ports.take_given(with("192.0.2.1/24"), now);
    ports.set_model(model);
    for (const config::Port& port : ports.all()) {
        EXPECT_TRUE(port.addresses.empty()) << port.name;
        EXPECT_FALSE(port.gateway_v4) << port.name;
    }
    EXPECT_FALSE(ports.take_given(model, now));
    model[1].enabled = true;
    ports.set_model(model);
    EXPECT_EQ(ports.all()[1].addresses, model[1].addresses);
}

}  // namespace
}  // namespace meshgate::control

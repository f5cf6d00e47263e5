// SPDX-License-Identifier: Apache-2.0
#include "control/gateway/port_watch.h"

#include <gtest/gtest.h>

#include "tests/unit/control/fake_dataplane.h"

namespace meshgate::control {
namespace {

// Ports of which the test says everything.
class Ports : public FakeDataplane {
public:
    Ports() : FakeDataplane{two_ports()}, status(2) {
        for (PortStatus& port : status) {
            port.link = LinkState::up;
            port.mtu_bytes = 1500;
        }
    }
    PortStatus port_status(PortId port) const override { return status.at(port); }

    std::vector<PortStatus> status;

private:
    static DataplaneOptions two_ports() {
        DataplaneOptions options;
        options.ports.resize(2);
        return options;
    }
};

class PortWatchTest : public testing::Test {
protected:
    PortWatchTest() {
        model[0].name = "wan0";
        model[1].name = "lan0";
    }
    std::vector<PortId> watch() { return ports.watch(model, now); }

    Now now = Now::at(3'600'000'000'000, 1'700'000'000'000'000'000);
    Log log{config::Log{.level = config::LogLevel::error, .format = {}}};
    Ports dataplane;
    std::vector<config::Port> model{2};
    PortWatch ports{dataplane, log, 2};
};

TEST_F(PortWatchTest, KnowsThePortsFromTheBeginning) {
    EXPECT_EQ(ports.macs().size(), 2U);
    EXPECT_EQ(ports.mtu_bytes(1), 1500);
    EXPECT_TRUE(ports.is_up(0));
    EXPECT_TRUE(watch().empty());
}

TEST_F(PortWatchTest, SeesALinkGoDownAndComeBack) {
    dataplane.status[1].link = LinkState::down;
    EXPECT_EQ(watch(), std::vector<PortId>{1});
    EXPECT_FALSE(ports.is_up(1));
    EXPECT_TRUE(ports.is_up(0));
    EXPECT_EQ(ports.down_since_ns(), (std::vector<uint64_t>{0, now.wall_ns}));
    const uint64_t since = now.wall_ns;
    now.wall_ns += 5;
    EXPECT_TRUE(watch().empty());
    EXPECT_EQ(ports.down_since_ns()[1], since);
    dataplane.status[1].link = LinkState::up;
    EXPECT_EQ(watch(), std::vector<PortId>{1});
    EXPECT_TRUE(ports.is_up(1));
}

TEST_F(PortWatchTest, SeesAnotherMacAddressAndAnotherMtu) {
    dataplane.status[0].mac = {{2, 0, 0, 0, 0, 7}};
    EXPECT_EQ(watch(), std::vector<PortId>{0});
    EXPECT_EQ(ports.macs()[0], (MacAddress{{2, 0, 0, 0, 0, 7}}));
    dataplane.status[0].mtu_bytes = 1400;
    dataplane.status[1].mtu_bytes = 1300;
    EXPECT_EQ(watch(), (std::vector<PortId>{0, 1}));
    EXPECT_EQ(ports.mtu_bytes(0), 1400);
    EXPECT_EQ(ports.mtu_bytes(1), 1300);
    EXPECT_TRUE(watch().empty());
}

// A repaired offload or another interface of the same kind changes nothing that others go by.
TEST_F(PortWatchTest, OnlySaysWhatWasRepaired) {
    dataplane.status[0].rebinds = 1;
    dataplane.status[0].offload_repairs = 1;
    testing::internal::CaptureStderr();
    Log loud{config::Log{.level = config::LogLevel::info, .format = {}}};
    PortWatch watching{dataplane, loud, 2};
    EXPECT_TRUE(watching.watch(model, now).empty());
    EXPECT_TRUE(watching.watch(model, now).empty());
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_NE(said.find("port-bound"), std::string::npos) << said;
    EXPECT_NE(said.find("offloads-off"), std::string::npos) << said;
    EXPECT_EQ(said.find("port-bound"), said.rfind("port-bound")) << "once";
}

}  // namespace
}  // namespace meshgate::control

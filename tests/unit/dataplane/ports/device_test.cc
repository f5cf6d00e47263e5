// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/device.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace meshgate {
namespace {

PortOptions port_options(DeviceKind device, std::string argument) {
    PortOptions options;
    options.name = "lan0";
    options.device = device;
    options.device_argument = std::move(argument);
    return options;
}

std::string arguments_of(const PortOptions& options, unsigned nb_queues = 1) {
    const Result<Device> device = make_device(options, 3, nb_queues);
    return device ? device->name + "," + device->arguments : "error: " + device.error().message;
}

TEST(Device, TurnsEachWordIntoTheArgumentsOfItsDriver) {
    EXPECT_EQ(arguments_of(port_options(DeviceKind::af_packet, "eth1"), 2),
              "net_af_packet3,iface=eth1,qpairs=2,framesz=2048,framecnt=4096,"
              "blocksz=65536");
    const std::string xdp = arguments_of(port_options(DeviceKind::af_xdp, "eth1"));
    const std::string head =
        "net_af_xdp3,iface=eth1,start_queue=0,queue_count=1,busy_budget=0,xdp_prog=";
    EXPECT_TRUE(xdp.starts_with(head)) << xdp;
    EXPECT_EQ(access(xdp.substr(head.size()).c_str(), R_OK), 0) << xdp;
    EXPECT_EQ(arguments_of(port_options(DeviceKind::pci, "03:00.1")), "0000:03:00.1,");
    EXPECT_EQ(arguments_of(port_options(DeviceKind::pci, "0001:03:00.1")), "0001:03:00.1,");
    EXPECT_EQ(arguments_of(port_options(DeviceKind::vdev, "net_null0,size=64,copy=1")),
              "net_null0,size=64,copy=1");
    PortOptions memif = port_options(DeviceKind::memif, "/run/m.sock,role=client,id=7");
    memif.mac = MacAddress{{2, 0, 0, 0, 0, 9}};
    EXPECT_EQ(arguments_of(memif),
              "net_memif3,role=client,id=7,socket=/run/m.sock,socket-abstract=no,"
              "mac=02:00:00:00:00:09");
}

TEST(Device, GivesTheKernelsEndOfATapAnotherAddressThanOurs) {
    PortOptions tap = port_options(DeviceKind::tap, "tap0");
    const std::string theirs = to_string(derive_mac(tap, WireEnd::theirs));
    EXPECT_EQ(arguments_of(tap), "net_tap3,iface=tap0,mac=" + theirs);
    EXPECT_NE(to_string(derive_mac(tap, WireEnd::ours)), theirs);
    tap.mac = MacAddress{{2, 0, 0, 0, 0, 9}};
    EXPECT_EQ(derive_mac(tap, WireEnd::ours), *tap.mac);
    EXPECT_EQ(to_string(derive_mac(tap, WireEnd::theirs)), theirs);
}

TEST(Device, DerivesStableLocalUnicastAddresses) {
    const PortOptions one = port_options(DeviceKind::tap, "tap0");
    const PortOptions other = port_options(DeviceKind::tap, "tap1");
    for (const WireEnd end : {WireEnd::ours, WireEnd::theirs}) {
        const MacAddress mac = derive_mac(one, end);
        EXPECT_EQ(mac.bytes[0] & 3, 2) << "locally administered, unicast";
        EXPECT_EQ(mac, derive_mac(one, end));
        EXPECT_NE(mac, derive_mac(other, end));
    }
}

TEST(Device, RefusesWhatIsNoDevice) {
    const struct {
        DeviceKind kind;
        const char* argument;
        const char* expected;  // part of the message
    } cases[] = {
        {DeviceKind::pci, "eth0", "is not a PCI address"},
        {DeviceKind::pci, "0000:03:00", "is not a PCI address"},
        {DeviceKind::af_packet, "", "is not an interface name"},
        {DeviceKind::af_packet, "eth0,qpairs=9", "is not an interface name"},
        {DeviceKind::af_xdp, "sixteencharacter", "is not an interface name"},
        {DeviceKind::tap, "a/b", "is not an interface name"},
        {DeviceKind::memif, "m.sock", "is not an absolute socket path"},
        {DeviceKind::memif, "/m.sock,role=peer", "'role=peer': expected memif:SOCKET"},
        {DeviceKind::memif, "/m.sock,id=x", "'id=x': expected memif:SOCKET"},
        {DeviceKind::vdev, "eth0", "is not a DPDK network device"},
    };
    for (const auto& [kind, argument, expected] : cases) {
        const Result<Device> device = make_device(port_options(kind, argument), 0, 1);
        ASSERT_FALSE(device) << argument;
        EXPECT_NE(device.error().message.find(expected), std::string::npos)
            << device.error().message;
    }
}

}  // namespace
}  // namespace meshgate

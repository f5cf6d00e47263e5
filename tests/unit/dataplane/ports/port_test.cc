// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/port.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "dataplane/ports/mempool.h"
#include "dataplane/ports/packet_socket.h"

namespace meshgate {
namespace {

PortOptions port_options(DeviceKind device, std::string argument) {
    PortOptions options;
    options.name = "lan0";
    options.device = device;
    options.device_argument = std::move(argument);
    return options;
}

TEST(Port, LoopsFramesThroughAnInMemoryRing) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    const auto opened = Port::open(port_options(DeviceKind::vdev, "net_ring0"), 0, 1, *pool);
    ASSERT_TRUE(opened) << opened.error().message;
    const Port* const port = opened->get();
    EXPECT_EQ(port->driver(), "net_ring");
    EXPECT_FALSE(port->mac().is_zero());
    EXPECT_EQ(port->doorbell_fd(0), -1);
    rte_mbuf* sent = rte_pktmbuf_alloc(pool->get());
    ASSERT_EQ(port->tx_burst(0, &sent, 1), 1);
    rte_mbuf* received = nullptr;
    ASSERT_EQ(port->rx_burst(0, &received, 1), 1);
    EXPECT_EQ(sent, received);
    rte_pktmbuf_free(received);
}

TEST(Port, CanBeOpenedAgain) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    for (int round = 0; round < 3; ++round) {
        const auto port = Port::open(port_options(DeviceKind::vdev, "net_ring0"), 0, 2, *pool);
        ASSERT_TRUE(port) << round << ": " << port.error().message;
        EXPECT_EQ((*port)->nb_rx_queues(), 2U);
    }
}

TEST(Port, CountsNoLinkChangeAtStart) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    const auto port = Port::open(port_options(DeviceKind::vdev, "net_ring0"), 0, 1, *pool);
    ASSERT_TRUE(port) << port.error().message;
    EXPECT_EQ((*port)->tick(Time{}, 0), nullptr);
    EXPECT_EQ((*port)->link(), LinkState::up);
    EXPECT_EQ((*port)->nb_link_changes(), 0U);
}

TEST(Port, NamesItselfTheCauseAndTheCure) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    PortOptions wide = port_options(DeviceKind::vdev, "net_ring0");
    wide.mtu_bytes = 9000;  // the pool was made for less
    const struct {
        PortOptions options;
        const char* expected;
    } cases[] = {
        {port_options(DeviceKind::af_packet, "lo"),
         "port lan0 (af_packet:lo): lo is a loopback: use a veth pair"},
        {port_options(DeviceKind::af_xdp, "lo"),
         "port lan0 (af_xdp:lo): lo is a loopback: use a veth pair"},
        {port_options(DeviceKind::tap, "lo"),
         "port lan0 (tap:lo): there is an interface of this name already"},
        {port_options(DeviceKind::pci, "0000:7f:1f.7"),
         "port lan0 (pci:0000:7f:1f.7): DPDK found no network device there"},
        {port_options(DeviceKind::vdev, "net_nonesuch0"),
         "port lan0 (vdev:net_nonesuch0): DPDK cannot make it"},
        {wide,
         "port lan0 (vdev:net_ring0): an MTU of 9000 is more than this port can do: at most "},
    };
    for (const auto& [options, expected] : cases) {
        const auto port = Port::open(options, 0, 1, *pool);
        ASSERT_FALSE(port) << expected;
        EXPECT_EQ(port.error().message.substr(0, std::string{expected}.size()), expected);
    }
}

TEST(Port, WaitsForAnInterfaceThatIsNotThere) {
    const Result<Mempool> pool = Mempool::create({.nb_mbufs = 1024});
    ASSERT_TRUE(pool);
    const auto opened = Port::open(port_options(DeviceKind::af_packet, "mg-none0"), 0, 2, *pool);
    ASSERT_TRUE(opened) << opened.error().message;
    Port& port = **opened;
    EXPECT_EQ(port.nb_rx_queues(), 2U);
    EXPECT_GE(port.doorbell_fd(1), 0);
    EXPECT_EQ(port.tick(Time{}, 0), nullptr);
    EXPECT_EQ(port.link(), LinkState::down);
    EXPECT_NE(port.problem().find("waits for interface mg-none0"), std::string::npos)
        << port.problem();
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool->get());
    EXPECT_FALSE(port.is_bound());
    EXPECT_EQ(port.tx_burst(0, &mbuf, 1), 0);
    EXPECT_EQ(port.rx_burst(0, &mbuf, 1), 0);
    rte_pktmbuf_free(mbuf);
}

TEST(PacketSocket, FindsSocketsByFamily) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const std::vector<int> fds = open_fds();
    EXPECT_TRUE(std::find(fds.begin(), fds.end(), fd) != fds.end());
    const std::vector<int> sockets = sockets_of_family(fds, AF_UNIX);
    EXPECT_TRUE(std::find(sockets.begin(), sockets.end(), fd) != sockets.end());
    EXPECT_TRUE(sockets_of_family(fds, AF_PACKET).empty());
    close(fd);
}

}  // namespace
}  // namespace meshgate

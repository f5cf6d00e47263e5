// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/kernel_interface.h"

#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace meshgate {

namespace {

ifreq request_for(const std::string& name) noexcept {
    ifreq request{};
    std::copy_n(name.data(), std::min<size_t>(name.size(), IFNAMSIZ - 1), request.ifr_name);
    return request;
}

UniqueFd open_any_socket() noexcept {
    return UniqueFd{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
}

// A socket of another network namespace, which a thread of its own enters: should anything fail
// half-way, that thread ends and ours has never left.
UniqueFd open_socket_in(const UniqueFd& netns) {
    UniqueFd opened;
    std::thread{[&opened, &netns] {
        if (setns(netns.get(), CLONE_NEWNET) == 0)
            opened = open_any_socket();
    }}.join();
    return opened;
}

}  // namespace

Result<KernelInterface> KernelInterface::open(std::string name) {
    UniqueFd socket = open_any_socket();
    if (!socket)
        return fail(errno, "socket");
    return KernelInterface{std::move(name), std::move(socket)};
}

std::optional<KernelInterface::State> KernelInterface::read() const {
    ifreq request = request_for(name_);
    if (ioctl(socket_.get(), SIOCGIFFLAGS, &request) != 0)
        return std::nullopt;
    const auto flags = static_cast<unsigned>(request.ifr_flags);
    State state{.enabled = (flags & IFF_UP) != 0, .carrier = (flags & IFF_RUNNING) != 0};
    if (ioctl(socket_.get(), SIOCGIFMTU, &request) == 0)
        state.mtu_bytes = static_cast<unsigned>(request.ifr_mtu);
    return state;
}

unsigned KernelInterface::index() const {
    ifreq request = request_for(name_);
    return ioctl(socket_.get(), SIOCGIFINDEX, &request) == 0
               ? static_cast<unsigned>(request.ifr_ifindex)
               : 0;
}

std::string KernelInterface::driver() const {
    ifreq request = request_for(name_);
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    request.ifr_data = reinterpret_cast<char*>(&info);
    return ioctl(socket_.get(), SIOCETHTOOL, &request) == 0 ? info.driver : "";
}

Result<void> KernelInterface::set_mtu(unsigned mtu_bytes) {
    ifreq request = request_for(name_);
    request.ifr_mtu = static_cast<int>(mtu_bytes);
    if (ioctl(socket_.get(), SIOCSIFMTU, &request) != 0)
        return fail(errno,
                    "interface " + name_ + " does not take an MTU of " + std::to_string(mtu_bytes));
    return {};
}

Result<void> KernelInterface::set_mac(const MacAddress& mac) {
    ifreq request = request_for(name_);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac.bytes.data(), mac.bytes.size());
    if (ioctl(socket_.get(), SIOCSIFHWADDR, &request) != 0)
        return fail(errno,
                    "interface " + name_ + " does not take the MAC address " + to_string(mac));
    return {};
}

void KernelInterface::stop_joining_packets() {
    ifreq request = request_for(name_);
    ethtool_value value{.cmd = ETHTOOL_SGRO, .data = 0};
    request.ifr_data = reinterpret_cast<char*>(&value);
    ioctl(socket_.get(), SIOCETHTOOL, &request);
    value = {.cmd = ETHTOOL_GFLAGS, .data = 0};
    if (ioctl(socket_.get(), SIOCETHTOOL, &request) != 0 || (value.data & ETH_FLAG_LRO) == 0)
        return;
    value.cmd = ETHTOOL_SFLAGS;
    value.data &= ~static_cast<unsigned>(ETH_FLAG_LRO);
    ioctl(socket_.get(), SIOCETHTOOL, &request);
}

bool KernelInterface::follow(int tap_fd) {
    ifreq request{};
    const UniqueFd netns{ioctl(tap_fd, TUNGETDEVNETNS)};
    if (!netns || ioctl(tap_fd, TUNGETIFF, &request) != 0)
        return false;
    UniqueFd socket = open_socket_in(netns);
    if (!socket)
        return false;
    socket_ = std::move(socket);
    name_ = request.ifr_name;
    return true;
}

}  // namespace meshgate

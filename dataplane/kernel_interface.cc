// SPDX-License-Identifier: Apache-2.0
#include "dataplane/kernel_interface.h"

#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

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

int open_any_socket() noexcept {
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

// A socket of another network namespace, which a thread of its own enters: should anything fail
// half-way, that thread ends and ours has never left.
int open_socket_in(int netns_fd) {
    int fd = -1;
    std::thread{[&fd, netns_fd] {
        if (setns(netns_fd, CLONE_NEWNET) == 0)
            fd = open_any_socket();
    }}.join();
    return fd;
}

}  // namespace

Result<KernelInterface> KernelInterface::open(std::string name) {
    const int fd = open_any_socket();
    if (fd < 0)
        return fail(errno, "socket");
    return KernelInterface{std::move(name), fd};
}

KernelInterface::KernelInterface(KernelInterface&& other) noexcept
    : name_{std::move(other.name_)}, fd_{std::exchange(other.fd_, -1)} {}

KernelInterface& KernelInterface::operator=(KernelInterface&& other) noexcept {
    std::swap(name_, other.name_);
    std::swap(fd_, other.fd_);
    return *this;
}

KernelInterface::~KernelInterface() {
    if (fd_ >= 0)
        close(fd_);
}

std::optional<KernelInterface::State> KernelInterface::read() const {
    ifreq request = request_for(name_);
    if (ioctl(fd_, SIOCGIFFLAGS, &request) != 0)
        return std::nullopt;
    const auto flags = static_cast<unsigned>(request.ifr_flags);
    State state{.enabled = (flags & IFF_UP) != 0, .carrier = (flags & IFF_RUNNING) != 0};
    if (ioctl(fd_, SIOCGIFMTU, &request) == 0)
        state.mtu_bytes = static_cast<unsigned>(request.ifr_mtu);
    return state;
}

unsigned KernelInterface::index() const {
    ifreq request = request_for(name_);
    return ioctl(fd_, SIOCGIFINDEX, &request) == 0 ? static_cast<unsigned>(request.ifr_ifindex) : 0;
}

Result<void> KernelInterface::set_mtu(unsigned mtu_bytes) {
    ifreq request = request_for(name_);
    request.ifr_mtu = static_cast<int>(mtu_bytes);
    if (ioctl(fd_, SIOCSIFMTU, &request) != 0)
        return fail(errno,
                    "interface " + name_ + " does not take an MTU of " + std::to_string(mtu_bytes));
    return {};
}

Result<void> KernelInterface::set_mac(const MacAddress& mac) {
    ifreq request = request_for(name_);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, mac.bytes.data(), mac.bytes.size());
    if (ioctl(fd_, SIOCSIFHWADDR, &request) != 0)
        return fail(errno,
                    "interface " + name_ + " does not take the MAC address " + to_string(mac));
    return {};
}

void KernelInterface::stop_joining_packets() {
    ifreq request = request_for(name_);
    ethtool_value value{.cmd = ETHTOOL_SGRO, .data = 0};
    request.ifr_data = reinterpret_cast<char*>(&value);
    ioctl(fd_, SIOCETHTOOL, &request);
    value = {.cmd = ETHTOOL_GFLAGS, .data = 0};
    if (ioctl(fd_, SIOCETHTOOL, &request) != 0 || (value.data & ETH_FLAG_LRO) == 0)
        return;
    value.cmd = ETHTOOL_SFLAGS;
    value.data &= ~static_cast<unsigned>(ETH_FLAG_LRO);
    ioctl(fd_, SIOCETHTOOL, &request);
}

bool KernelInterface::follow(int tap_fd) {
    ifreq request{};
    const int netns_fd = ioctl(tap_fd, TUNGETDEVNETNS);
    if (netns_fd < 0 || ioctl(tap_fd, TUNGETIFF, &request) != 0)
        return false;
    const int fd = open_socket_in(netns_fd);
    close(netns_fd);
    if (fd < 0)
        return false;
    close(std::exchange(fd_, fd));
    name_ = request.ifr_name;
    return true;
}

}  // namespace meshgate

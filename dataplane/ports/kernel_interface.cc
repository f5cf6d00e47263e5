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
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
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

// More than a kernel has.
constexpr size_t kMaxFeatures = 192;

bool joins_packets(std::string_view feature) noexcept {
    return feature == "rx-gro" || feature == "rx-lro" || feature == "rx-gro-hw";
}

// A command of ethtool that has something behind its head.
template <typename Head, size_t kBytes>
class Command {
public:
    explicit Command(uint32_t command) noexcept { get()->cmd = command; }
    Head* get() noexcept { return reinterpret_cast<Head*>(bytes_.data()); }
    Head* operator->() noexcept { return get(); }

private:
    alignas(Head) std::array<char, sizeof(Head) + kBytes> bytes_{};
};

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
    if (ioctl(socket_.get(), SIOCGIFHWADDR, &request) == 0)
        std::memcpy(state.mac.bytes.data(), request.ifr_hwaddr.sa_data, state.mac.bytes.size());
    return state;
}

unsigned KernelInterface::index() const {
    ifreq request = request_for(name_);
    return ioctl(socket_.get(), SIOCGIFINDEX, &request) == 0
               ? static_cast<unsigned>(request.ifr_ifindex)
               : 0;
}

unsigned KernelInterface::hardware_type() const {
    ifreq request = request_for(name_);
    return ioctl(socket_.get(), SIOCGIFHWADDR, &request) == 0 ? request.ifr_hwaddr.sa_family : 0;
}

bool KernelInterface::ask_ethtool(void* command) const noexcept {
    ifreq request = request_for(name_);
    request.ifr_data = static_cast<char*>(command);
    return ioctl(socket_.get(), SIOCETHTOOL, &request) == 0;
}

unsigned KernelInterface::nb_rx_queues() const {
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    return ask_ethtool(&channels) ? std::max(1U, channels.rx_count + channels.combined_count) : 1;
}

std::string KernelInterface::one_queue_command() const {
    ethtool_channels channels{};
    channels.cmd = ETHTOOL_GCHANNELS;
    const bool separate = ask_ethtool(&channels) && channels.combined_count == 0;
    return "ethtool -L " + name_ + (separate ? " rx 1 tx 1" : " combined 1");
}

std::string KernelInterface::driver() const {
    ethtool_drvinfo info{};
    info.cmd = ETHTOOL_GDRVINFO;
    return ask_ethtool(&info) ? info.driver : "";
}

Result<void> KernelInterface::set_up() {
    ifreq request = request_for(name_);
    if (ioctl(socket_.get(), SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
        if (ioctl(socket_.get(), SIOCSIFFLAGS, &request) == 0)
            return {};
    }
    return fail(errno, "cannot set interface " + name_ + " up");
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

// By names, since the number of a feature is that of the running kernel.
bool KernelInterface::stop_joining_packets() {
    Command<ethtool_sset_info, sizeof(uint32_t)> sizes{ETHTOOL_GSSET_INFO};
    sizes->sset_mask = uint64_t{1} << ETH_SS_FEATURES;
    if (!ask_ethtool(sizes.get()) || sizes->data[0] > kMaxFeatures)
        return false;
    const uint32_t nb_features = sizes->data[0];
    Command<ethtool_gstrings, kMaxFeatures * ETH_GSTRING_LEN> names{ETHTOOL_GSTRINGS};
    names->string_set = ETH_SS_FEATURES;
    names->len = nb_features;
    Command<ethtool_gfeatures, kMaxFeatures / 32 * sizeof(ethtool_get_features_block)> present{
        ETHTOOL_GFEATURES};
    present->size = (nb_features + 31) / 32;
    if (!ask_ethtool(names.get()) || !ask_ethtool(present.get()))
        return false;
    Command<ethtool_sfeatures, kMaxFeatures / 32 * sizeof(ethtool_set_features_block)> wanted{
        ETHTOOL_SFEATURES};
    wanted->size = (nb_features + 31) / 32;
    bool any = false;
    for (uint32_t i = 0; i < nb_features; ++i) {
        const uint32_t bit = uint32_t{1} << (i % 32);
        const auto* name = reinterpret_cast<const char*>(names->data) + i * ETH_GSTRING_LEN;
        if ((present->features[i / 32].active & bit) == 0 || !joins_packets(name))
            continue;
        wanted->features[i / 32].valid |= bit;
        any = true;
    }
    return any && ask_ethtool(wanted.get());
}

KernelInterface::Followed KernelInterface::follow(int tap_fd) {
    ifreq request{};
    const UniqueFd netns{ioctl(tap_fd, TUNGETDEVNETNS)};
    if (!netns && errno == EBADFD)
        return Followed::gone;
    if (!netns || ioctl(tap_fd, TUNGETIFF, &request) != 0)
        return Followed::not_allowed;
    UniqueFd socket = open_socket_in(netns);
    if (!socket)
        return Followed::not_allowed;
    socket_ = std::move(socket);
    name_ = request.ifr_name;
    return Followed::found;
}

}  // namespace meshgate

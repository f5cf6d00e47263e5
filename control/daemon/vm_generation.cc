// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/vm_generation.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace meshgate::control {

namespace {

constexpr std::string_view kFork = "NEW_VMGENID=1";
constexpr uint32_t kKernelPort = 0;
constexpr uint32_t kKernelGroup = 1;       // what the kernel sends; udev's own is 2
constexpr int kReceiveBytes = 256 * 1024;  // a burst of new interfaces must not push one out
constexpr size_t kMaxEvents = 1024;        // per call
constexpr std::array<unsigned, 2> kFirstRelease{6, 8};  // of Linux, whose driver sends the event

bool sends_event(std::string_view release) noexcept {
    unsigned major = 0;
    unsigned minor = 0;
    const char* end = release.data() + release.size();
    const auto [dot, error] = std::from_chars(release.data(), end, major);
    if (error != std::errc{} || dot == end || *dot != '.')
        return false;
    if (std::from_chars(dot + 1, end, minor).ec != std::errc{})
        return false;
    return std::array{major, minor} >= kFirstRelease;
}

// A driver's folder has a link per device that it drives, beside `module`, `bind`, `unbind` and
// `uevent`, of which only `module` is a link too.
bool has_device(const std::filesystem::path& driver) {
    std::error_code error;
    for (std::filesystem::directory_iterator at{driver, error}, end; !error && at != end;
         at.increment(error)) {
        if (at->is_symlink(error) && at->path().filename() != "module")
            return true;
    }
    return false;
}

UniqueFd open_uevents() {
    UniqueFd fd{
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT)};
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = kKernelGroup;
    if (!fd || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
        return {};
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof(kReceiveBytes));
    return fd;
}

}  // namespace

bool is_vm_fork(std::span<const uint8_t> uevent, uint32_t sender_port) noexcept {
    if (sender_port != kKernelPort)
        return false;
    std::string_view rest{reinterpret_cast<const char*>(uevent.data()), uevent.size()};
    const size_t header = rest.find('\0');
    if (header == std::string_view::npos ||
        rest.substr(0, header).find('@') == std::string_view::npos)
        return false;
    rest.remove_prefix(header + 1);
    while (!rest.empty()) {
        const size_t end = std::min(rest.find('\0'), rest.size());
        if (rest.substr(0, end) == kFork)
            return true;
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return false;
}

VmGeneration::VmGeneration(const std::string& sysfs_root, const std::string& kernel_release) {
    if (!has_device(sysfs_root + "/bus/platform/drivers/vmgenid") &&
        !has_device(sysfs_root + "/bus/acpi/drivers/vmgenid"))
        return;
    if (!sends_event(kernel_release)) {
        support_ = Support::kernel_silent;
        return;
    }
    socket_ = open_uevents();
    support_ = socket_ ? Support::told : Support::no_socket;
}

bool VmGeneration::take_fork() noexcept {
    bool fork = false;
    for (size_t i = 0; i < kMaxEvents; ++i) {
        std::array<uint8_t, 8192> bytes;
        sockaddr_nl from{};
        socklen_t from_len = sizeof(from);
        const ssize_t len = recvfrom(socket_.get(), bytes.data(), bytes.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &from_len);
        if (len < 0 && errno == ENOBUFS)
            fork = true;
        else if (len < 0)
            break;
        else
            fork |= is_vm_fork(std::span{bytes}.first(static_cast<size_t>(len)), from.nl_pid);
    }
    return fork;
}

std::string kernel_release() {
    utsname name{};
    return uname(&name) == 0 ? name.release : "";
}

}  // namespace meshgate::control

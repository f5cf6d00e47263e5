// SPDX-License-Identifier: Apache-2.0
#include "dataplane/host/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace meshgate {

namespace {

constexpr const char* kDevice = "/dev/net/tun";
// The kernel leaves checksums and the cutting of TCP streams to us: one read for up to 64 KiB.
constexpr unsigned long kOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

tl::unexpected<Error> explain(int error, const std::string& name) {
    const std::string subject = "kernel interface " + name;
    switch (error) {
        case EBUSY:
            return fail(subject + ": another process holds it");
        case EINVAL:
            return fail(subject + ": the name is taken by an interface of another kind");
        case EPERM:
            return fail(subject + ": making it needs CAP_NET_ADMIN");
        default:
            return fail(error, subject);
    }
}

}  // namespace

Result<Tap> Tap::open(std::string name, Layer layer) {
    UniqueFd fd{::open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC)};
    if (!fd)
        return fail(errno, std::string{kDevice} + " (is the module tun loaded?)");
    ifreq request{};
    const int kind = layer == Layer::ethernet ? IFF_TAP : IFF_TUN;
    request.ifr_flags = static_cast<short>(kind | IFF_NO_PI | IFF_VNET_HDR);
    std::copy_n(name.data(), std::min<size_t>(name.size(), IFNAMSIZ - 1), request.ifr_name);
    if (ioctl(fd.get(), TUNSETIFF, &request) != 0)
        return explain(errno, name);
    if (ioctl(fd.get(), TUNSETOFFLOAD, kOffloads) != 0 || ioctl(fd.get(), TUNSETPERSIST, 1) != 0)
        return fail(errno, "kernel interface " + name);
    return Tap{std::move(name), std::move(fd)};
}

bool Tap::write(std::span<const uint8_t> packet) noexcept {
    OffloadHeader header{};
    const std::array<iovec, 2> parts{{
        {&header, sizeof header},
        {const_cast<uint8_t*>(packet.data()), packet.size()},
    }};
    return writev(fd_.get(), parts.data(), parts.size()) > 0;
}

std::optional<Tap::Received> Tap::read(std::span<uint8_t> buffer) noexcept {
    Received received{};
    const std::array<iovec, 2> parts{{
        {&received.header, sizeof received.header},
        {buffer.data(), buffer.size()},
    }};
    const ssize_t len = readv(fd_.get(), parts.data(), parts.size());
    if (len < static_cast<ssize_t>(sizeof received.header))
        return std::nullopt;
    received.bytes = buffer.first(static_cast<size_t>(len) - sizeof received.header);
    return received;
}

void Tap::set_carrier(bool up) noexcept {
    unsigned carrier = up ? 1 : 0;
    ioctl(fd_.get(), TUNSETCARRIER, &carrier);
}

}  // namespace meshgate

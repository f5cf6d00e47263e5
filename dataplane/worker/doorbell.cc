// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/doorbell.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace meshgate {

Result<Doorbell> Doorbell::create() {
    UniqueFd fd{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (!fd)
        return fail(errno, "eventfd");
    return Doorbell{std::move(fd)};
}

Doorbell::Doorbell(Doorbell&& other) noexcept
    : fd_{std::move(other.fd_)}, armed_{other.armed_.load(std::memory_order_relaxed)} {}

void Doorbell::disarm() noexcept {
    armed_.store(false, std::memory_order_relaxed);
    uint64_t nb_rings = 0;
    // EAGAIN when nobody rang: the usual case.
    [[maybe_unused]] const ssize_t status = read(fd_.get(), &nb_rings, sizeof nb_rings);
}

void Doorbell::wake() noexcept {
    if (!armed_.exchange(false, std::memory_order_relaxed))
        return;  // somebody else did
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t status = write(fd_.get(), &one, sizeof one);
}

}  // namespace meshgate

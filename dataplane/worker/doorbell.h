// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace meshgate {

// Wakes one thread that sleeps on a file descriptor; costs a system call only while it sleeps.
// Sleeper: arm(), look once more whether there is work, sleep on fd(), disarm(). Others: put work
// in place, ring().
class Doorbell {
public:
    static Result<Doorbell> create();
    Doorbell(Doorbell&& other) noexcept;
    Doorbell& operator=(Doorbell&&) = delete;

    // The fence pairs with the one in ring(): either the sleeper sees the work, or the other side
    // sees the bell armed.
    void arm() noexcept {
        armed_.store(true, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    // Also takes back what was rung meanwhile, so that fd() is not readable any more.
    void disarm() noexcept;
    void ring() noexcept {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (armed_.load(std::memory_order_relaxed))
            wake();
    }
    int fd() const noexcept { return fd_.get(); }

private:
    explicit Doorbell(UniqueFd fd) noexcept : fd_{std::move(fd)} {}
    void wake() noexcept;

    UniqueFd fd_;
    std::atomic<bool> armed_{false};
};

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <utility>

namespace meshgate {

// One writer (control), many readers (workers). Never empty.
template <typename T>
class Published {
public:
    explicit Published(std::shared_ptr<const T> first) noexcept
        : owner_{std::move(first)}, current_{owner_.get()} {}

    // Valid until the calling worker's next quiescent report. Pairs with the release in exchange().
    const T& read() const noexcept { return *current_.load(std::memory_order_acquire); }

    // Swaps in `next` and returns the old one, which the caller must keep until no worker can hold
    // it (Dataplane::retire). Control thread.
    [[nodiscard]] std::shared_ptr<const T> exchange(std::shared_ptr<const T> next) noexcept {
        current_.store(next.get(), std::memory_order_release);
        return std::exchange(owner_, std::move(next));
    }

private:
    std::shared_ptr<const T> owner_;
    std::atomic<const T*> current_;
};

}  // namespace meshgate

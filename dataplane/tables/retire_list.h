// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <rte_rcu_qsbr.h>

#include <deque>
#include <functional>
#include <memory>

#include "base/result.h"

namespace meshgate {

// The one RCU variable: workers are its readers (thread id = worker id), control is its writer.
class Rcu {
public:
    static Result<Rcu> create(unsigned nb_readers);

    rte_rcu_qsbr* get() const noexcept { return rcu_.get(); }
    // Opens a grace period. It has passed once every reader that was online has reported.
    uint64_t start() noexcept { return rte_rcu_qsbr_start(rcu_.get()); }
    // Does not wait.
    bool has_passed(uint64_t token) const noexcept {
        return rte_rcu_qsbr_check(rcu_.get(), token, false) == 1;
    }

private:
    struct Free {
        void operator()(rte_rcu_qsbr* rcu) const noexcept { std::free(rcu); }
    };
    explicit Rcu(rte_rcu_qsbr* rcu) noexcept : rcu_{rcu} {}

    std::unique_ptr<rte_rcu_qsbr, Free> rcu_;
};

// Holds what workers may still be reading, and what is to be done once none does. Control thread
// only.
class RetireList {
public:
    explicit RetireList(Rcu& rcu) noexcept : rcu_{rcu} {}

    // Lets go of `object` a grace period from now. No reader can find it any more.
    void add(std::shared_ptr<const void> object) {
        retired_.push_back({rcu_.start(), std::move(object), nullptr});
    }
    // Calls `action` a grace period from now.
    void add_action(std::function<void()> action) {
        retired_.push_back({rcu_.start(), nullptr, std::move(action)});
    }
    // Lets go of all whose time has come; returns how many wait on.
    size_t reclaim();

private:
    struct Retired {
        uint64_t token;
        std::shared_ptr<const void> object;
        std::function<void()> action;  // or none
    };

    Rcu& rcu_;
    std::deque<Retired> retired_;  // tokens ascend
};

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <utility>

namespace meshgate {

// How many items may wait in all rooms that share it, so that what waits can never use up the
// packet pool.
struct WaitingBudget {
    size_t max = 0;
    size_t used = 0;
};

// Items that wait for something to happen to their key, in order; bounded per key and in all.
template <typename Key, typename Item>
class WaitingRoom {
public:
    // `budget` outlives the room.
    WaitingRoom(size_t max_per_key, WaitingBudget& budget)
        : max_per_key_{max_per_key}, budget_{budget} {}
    WaitingRoom(const WaitingRoom&) = delete;
    WaitingRoom& operator=(const WaitingRoom&) = delete;
    ~WaitingRoom() { budget_.used -= size_; }

    // Returns what has to go instead: the oldest of the key, or `item` itself when the budget is
    // spent by others.
    std::optional<Item> push(const Key& key, Item item) {
        const auto it = queues_.find(key);
        const size_t nb_waiting = it == queues_.end() ? 0 : it->second.size();
        const bool full = budget_.used >= budget_.max;
        if (full && nb_waiting == 0)
            return item;
        auto& queue = it == queues_.end() ? queues_[key] : it->second;
        queue.push_back(std::move(item));
        if (!full && nb_waiting < max_per_key_) {
            ++size_;
            ++budget_.used;
            return std::nullopt;
        }
        Item oldest = std::move(queue.front());
        queue.pop_front();
        return oldest;
    }

    // All of one key, oldest first.
    std::deque<Item> take(const Key& key) {
        const auto it = queues_.find(key);
        if (it == queues_.end())
            return {};
        std::deque<Item> items = std::move(it->second);
        queues_.erase(it);
        size_ -= items.size();
        budget_.used -= items.size();
        return items;
    }

    bool empty(const Key& key) const { return !queues_.contains(key); }
    size_t size() const noexcept { return size_; }

private:
    size_t max_per_key_;
    WaitingBudget& budget_;
    size_t size_ = 0;
    std::map<Key, std::deque<Item>> queues_;
};

}  // namespace meshgate

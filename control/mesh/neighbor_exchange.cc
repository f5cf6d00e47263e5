// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/neighbor_exchange.h"

#include <algorithm>
#include <iterator>

namespace meshgate::mesh {

void NeighborExchange::set_neighbors(std::set<IpAddress> neighbors, Time now) {
    for (const IpAddress& node : neighbors)
        add(node, now);
    for (const IpAddress& node : neighbors_) {
        if (neighbors.contains(node))
            continue;
        files_.remove_neighbor(node, now);
        roaming_.remove_neighbor(node);
    }
    neighbors_ = std::move(neighbors);
}

// One end sees the link up before the other does, and speaks at once.
void NeighborExchange::add(const IpAddress& node, Time now) {
    if (!neighbors_.insert(node).second)
        return;
    files_.add_neighbor(node, now);
    roaming_.add_neighbor(node, now);
}

void NeighborExchange::tick(Time now) {
    files_.tick(now);
    roaming_.tick(now);
}

Time NeighborExchange::next_deadline() const noexcept {
    return std::min(files_.next_deadline(), roaming_.next_deadline());
}

std::vector<Outgoing> NeighborExchange::take_messages(Time now) {
    std::vector<Outgoing> result = files_.take_messages();
    std::ranges::move(roaming_.take_messages(now), std::back_inserter(result));
    return result;
}

}  // namespace meshgate::mesh

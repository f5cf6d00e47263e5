// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/address.h"
#include "dataplane/api/link.h"

namespace meshgate::mesh {

// Where the datagrams for a member go first.
struct NextHop {
    LinkId link = kNoLink;
    IpAddress node;  // node address; the member's own: no relay on the way

    auto operator<=>(const NextHop&) const = default;
};

struct PathChoice {
    NextHop via;
    uint16_t metric = 0;

    bool operator==(const PathChoice&) const = default;
};

// A member and one of the ways there: what is measured end to end belongs to both.
struct PathKey {
    IpAddress target;
    NextHop via;

    bool is_direct() const noexcept { return via.node == target; }
    auto operator<=>(const PathKey&) const = default;
};

}  // namespace meshgate::mesh

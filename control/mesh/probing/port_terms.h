// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "config/model.h"
#include "control/underlay/links.h"

namespace meshgate::mesh {

using control::LinkKey;

// What the box file says of our ports that matters to links: their names, and what their use costs.
class PortTerms {
public:
    struct Terms {
        std::string name;
        uint16_t cost_bias = 0;
        bool metered = false;
    };

    void set(const config::Model& box);
    // Null: no such port.
    const Terms* of(PortId port) const;
    std::string describe(const LinkKey& key) const;  // "wan0 -> 192.0.2.1:51820"

private:
    std::map<PortId, Terms> terms_;
};

}  // namespace meshgate::mesh

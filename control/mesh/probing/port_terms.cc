// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/probing/port_terms.h"

namespace meshgate::mesh {

void PortTerms::set(const config::Model& box) {
    terms_.clear();
    for (size_t i = 0; i < box.ports.size(); ++i) {
        const config::Port& port = box.ports[i];
        terms_[static_cast<PortId>(i)] = {port.name, port.cost_bias, port.metered};
    }
}

const PortTerms::Terms* PortTerms::of(PortId port) const {
    const auto found = terms_.find(port);
    return found == terms_.end() ? nullptr : &found->second;
}

std::string PortTerms::describe(const LinkKey& key) const {
    const Terms* terms = of(key.port);
    return (terms == nullptr ? "?" : terms->name) + " -> " + to_string(key.remote);
}

}  // namespace meshgate::mesh

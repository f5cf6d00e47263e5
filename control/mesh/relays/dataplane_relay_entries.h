// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "control/mesh/relays/relay_table.h"
#include "dataplane/api/dataplane.h"

namespace meshgate::mesh {

// The relay entries that workers look up.
class DataplaneRelayEntries final : public RelayEntries {
public:
    explicit DataplaneRelayEntries(Dataplane& dataplane) : dataplane_{dataplane} {}

    bool install(uint32_t index, LinkId link) override {
        return dataplane_.install_relay(index, link);
    }
    void move(uint32_t index, LinkId link) override { dataplane_.move_relay(index, link); }
    void remove(uint32_t index) override { dataplane_.remove_relay(index); }

private:
    Dataplane& dataplane_;
};

}  // namespace meshgate::mesh

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/network.h"
#include "config/network_file.h"

namespace meshgate::mesh {

// The network file of this box: the one in force, and the last good one on the disk. What is
// offered, by whomever, is taken only when the authority signed it and it is newer.
class NetworkStore {
public:
    // `kept_file`: where the last good one is kept; empty: nowhere.
    NetworkStore(config::AuthorityKey authority, std::string kept_file)
        : authority_{authority}, kept_file_{std::move(kept_file)} {}

    // At start: the newer of the box file's own and the one that was kept. False when neither can
    // be used; `diagnostics` say what is wrong with the box file's.
    bool load(const config::Model& model, std::vector<config::Diagnostic>& diagnostics);

    struct Taken {
        std::string warning;  // why it could not be kept on the disk; empty: it is kept
    };
    using Errors = std::vector<std::string>;  // as `meshgate check` prints them
    using Offered = tl::expected<Taken, Errors>;
    // `source` stands in diagnostics: a file's name, or who sent it.
    Offered offer(config::SignedNetwork candidate, const std::string& source);

    // Valid after load().
    const config::Network& network() const { return *network_; }
    const config::SignedNetwork& signed_network() const { return signed_; }
    const config::AuthorityKey& authority() const noexcept { return authority_; }

private:
    config::AuthorityKey authority_;
    std::string kept_file_;
    std::optional<config::Network> network_;
    config::SignedNetwork signed_;
};

}  // namespace meshgate::mesh

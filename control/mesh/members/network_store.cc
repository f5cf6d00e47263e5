// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/network_store.h"

#include <utility>

#include "config/text/report.h"

namespace meshgate::mesh {

namespace {

std::vector<std::string> errors_of(const std::vector<config::Diagnostic>& diagnostics) {
    std::vector<std::string> result;
    for (const config::Diagnostic& diagnostic : diagnostics) {
        if (diagnostic.severity == config::Severity::error)
            result.push_back(config::format_text(diagnostic));
    }
    return result;
}

config::Diagnostic ignored(const std::string& file, std::string_view code, std::string why) {
    config::Diagnostic diagnostic;
    diagnostic.severity = config::Severity::warning;
    diagnostic.code = code;
    diagnostic.file = file;
    diagnostic.message = std::move(why);
    diagnostic.fix =
        "nothing: what is kept here is passed over, and written anew with the next version";
    return diagnostic;
}

}  // namespace

bool NetworkStore::load(const config::Model& model, std::vector<config::Diagnostic>& diagnostics) {
    config::NetworkLoad own = config::load_network(model);
    diagnostics = own.diagnostics;
    auto kept = kept_file_.empty() ? Result<std::optional<config::SignedNetwork>>{}
                                   : config::load_kept_network(kept_file_);
    if (!kept)
        diagnostics.push_back(ignored(kept_file_, "unreadable", kept.error().message));
    if (kept && *kept) {
        config::NetworkLoad old = config::open_network(std::move(**kept), authority_, kept_file_);
        if (!old)
            diagnostics.push_back(
                ignored(kept_file_, "bad-signature",
                        "the copy that was kept is damaged, or another network's"));
        const bool newer = old && (!own || (old.network->version > own.network->version &&
                                            old.network->name == own.network->name));
        if (newer)
            own = std::move(old);
    }
    if (!own)
        return false;
    network_ = std::move(own.network);
    signed_ = std::move(*own.signed_network);
    return true;
}

NetworkStore::Offered NetworkStore::offer(config::SignedNetwork candidate,
                                          const std::string& source) {
    const auto refuse = [&source](const std::string& why) {
        return tl::unexpected{Errors{source + ": " + why}};
    };
    if (candidate == signed_)
        return refuse("version " + std::to_string(network_->version) + " is in force already");
    config::NetworkLoad opened = config::open_network(std::move(candidate), authority_, source);
    if (!opened)
        return tl::unexpected{errors_of(opened.diagnostics)};
    if (opened.network->name != network_->name)
        return refuse("is of the network '" + opened.network->name + "', this is '" +
                      network_->name + "'");
    if (opened.network->version <= network_->version)
        return refuse("version " + std::to_string(opened.network->version) +
                      " is not higher than " + std::to_string(network_->version) +
                      ", which is in force");
    network_ = std::move(opened.network);
    signed_ = std::move(*opened.signed_network);
    if (kept_file_.empty())
        return Taken{};
    const auto written = config::keep_network(kept_file_, signed_);
    return Taken{.warning = written ? "" : written.error().message};
}

}  // namespace meshgate::mesh

// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/reload.h"

#include "config/diff.h"
#include "config/load.h"
#include "config/schema/keys.h"

namespace meshgate::control {

namespace {

ReloadReport refused(std::string reason) {
    return {.outcome = ReloadOutcome::refused,
            .changes = {},
            .needs_restart = {},
            .errors = {std::move(reason)}};
}

void add_errors(ReloadReport& report, const std::vector<config::Diagnostic>& diagnostics) {
    for (const config::Diagnostic& diagnostic : diagnostics) {
        if (diagnostic.severity == config::Severity::error)
            report.errors.push_back(config::format_text(diagnostic));
    }
}

// The same ports in the same order, apart from the keys that can change live.
bool same_devices(const config::Model& before, const config::Model& after) {
    if (before.ports.size() != after.ports.size())
        return false;
    for (const config::KeyRule& rule : config::keys_of("ports")) {
        for (size_t i = 0; rule.reload == config::Reload::restart && i < before.ports.size(); ++i) {
            if (rule.show(before, i) != rule.show(after, i))
                return false;
        }
    }
    for (size_t i = 0; i < before.ports.size(); ++i) {
        if (before.ports[i].enabled != after.ports[i].enabled && !opens_live(after.ports[i]))
            return false;
    }
    return true;
}

}  // namespace

config::Model live_part(const config::Model& before, const config::Model& after) {
    config::Model live = after;
    live.node = before.node;
    live.dataplane = before.dataplane;
    live.network = before.network;
    live.control = before.control;
    if (!same_devices(before, after)) {
        // Routes lead through ports' networks: they change together, or not at all.
        live.ports = before.ports;
        live.routes = before.routes;
        live.babel = before.babel;
    }
    return live;
}

Reload::Reload(Gateway& gateway, Log& log, std::string path)
    : gateway_{gateway}, log_{log}, path_{std::move(path)}, applied_ns_{gateway.now().wall_ns} {}

ReloadReport Reload::run(const Caller& caller) {
    last_attempt_ns_ = gateway_.now().wall_ns;
    config::LoadResult loaded = config::load_file(path_);
    ReloadReport report;
    config::NetworkLoad network;
    if (loaded && gateway_.mesh() != nullptr && loaded.model->network)
        network = config::load_network(*loaded.model);
    add_errors(report, loaded.diagnostics);
    add_errors(report, network.diagnostics);
    if (report.errors.empty()) {
        report = apply(std::move(*loaded.model));
        if (network && report.outcome != ReloadOutcome::refused)
            take_network(report, std::move(network));
    }
    last_ok_ = report.outcome != ReloadOutcome::refused;
    write_log(caller, report);
    return report;
}

ReloadReport Reload::apply(config::Model after) {
    const config::Model& before = gateway_.model();
    ReloadReport report;
    for (const config::Change& change : config::diff(before, after).changes) {
        if (change.reload == config::Reload::restart)
            report.needs_restart.push_back(to_string(change));
    }
    config::Model live = live_part(before, after);
    const config::Diff changes = config::diff(before, live);
    for (const config::Change& change : changes.changes)
        report.changes.push_back(to_string(change));
    if (!changes.empty()) {
        auto secrets = load_secrets(live);
        if (!secrets)
            return refused(secrets.error().message);
        const auto applied = gateway_.apply(changes, std::move(live), std::move(*secrets));
        if (!applied)
            return refused(applied.error().message);
        applied_ns_ = gateway_.now().wall_ns;
    }
    report.outcome = !report.needs_restart.empty() ? ReloadOutcome::needs_restart
                     : report.changes.empty()      ? ReloadOutcome::unchanged
                                                   : ReloadOutcome::applied;
    return report;
}

// The files that the box file names. Mostly boxes have it from each other, and theirs is newer.
void Reload::take_network(ReloadReport& report, config::NetworkLoad load) {
    const config::NetworkOptions& options = *gateway_.model().network;
    const uint64_t before = gateway_.mesh()->members().network().version;
    if (load.network->version <= before)
        return;
    // The box file may name another authority by now, which needs a restart.
    if (!config::verify(*load.signed_network, options.authority))
        return;
    auto offer = gateway_.offer_network(std::move(*load.signed_network), options.file);
    if (!offer) {
        report.errors = std::move(offer.error());
        return;
    }
    report.changes.push_back("~ network.version  " + std::to_string(before) + " -> " +
                             std::to_string(gateway_.mesh()->members().network().version) +
                             "  (live)");
    if (report.outcome == ReloadOutcome::unchanged)
        report.outcome = ReloadOutcome::applied;
}

void Reload::write_log(const Caller& caller, const ReloadReport& report) {
    std::string text = to_string(report.outcome);
    if (caller.pid != 0)
        text +=
            ", asked by pid " + std::to_string(caller.pid) + " uid " + std::to_string(caller.uid);
    const auto count = [&text](size_t number, const char* what) {
        if (number > 0)
            text += ", " + std::to_string(number) + what;
    };
    count(report.changes.size(), " changes");
    count(report.needs_restart.size(), " need a restart");
    count(report.errors.size(), " errors");
    if (!report.errors.empty())
        text += ": " + report.errors.front().substr(0, report.errors.front().find('\n'));
    const bool bad = report.outcome == ReloadOutcome::refused;
    log_.write({bad ? Log::Level::error : Log::Level::info, "reload", path_, text,
                Log::Cause::administrator});
}

}  // namespace meshgate::control

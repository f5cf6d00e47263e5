// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <algorithm>
#include <ctime>
#include <fstream>

#include "base/text.h"
#include "cli/ask.h"
#include "cli/show_mesh.h"
#include "config/load.h"
#include "config/network_file.h"

namespace meshgate::cli {
namespace {

int64_t now_unix_s() {
    return std::time(nullptr);
}

// Of this machine, which need not be the box that the file is for. What the kernel forwards between
// twins passes by the box.
void warn_of_forwarding(std::vector<config::Diagnostic>& diagnostics, const std::string& file) {
    for (const char* setting : {"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"}) {
        std::string path = std::string{"/proc/sys/"} + setting;
        std::ranges::replace(path, '.', '/');
        int value = 0;
        std::ifstream{path} >> value;
        if (value == 0)
            continue;
        config::Diagnostic warning{.severity = config::Severity::warning,
                                   .code = "kernel-forwards",
                                   .file = printable(file),
                                   .path = "ports"};
        warning.message =
            std::string{"this machine's kernel forwards, and ports have twins in it: "} + setting;
        warning.fix = std::string{"sysctl -w "} + setting + "=0, and in /etc/sysctl.d/";
        diagnostics.push_back(std::move(warning));
    }
}

std::string text_for(const Options& options, const std::string& noun, const std::string& name,
                     const Json& result) {
    if (noun == "peers")
        return name.empty() ? peers_text(result, now_unix_s())
                            : peer_details_text(result, now_unix_s());
    if (noun == "routes")
        return routes_text(result);
    if (noun == "ports")
        return ports_text(result);
    if (noun == "babel")
        return babel_text(result);
    if (noun == "links")
        return links_text(result);
    if (noun == "paths")
        return paths_text(result);
    if (noun == "members")
        return members_text(result);
    if (noun == "relays")
        return relays_text(result);
    if (noun == "drops")
        return drops_text(result, name.empty() ? options.zeros : Zeros::show);
    return workers_text(result);
}

ExitCode print_status(const Options& options, Client& client, const Json& status) {
    if (options.form == Form::json) {
        print_json(status);
    } else {
        const Asked<Json> ports = ask(client, "show ports");
        const Asked<Json> workers = ask(client, "show workers");
        const Asked<Json> drops = ask(client, "show drops");
        for (const Asked<Json>* answer : {&ports, &workers, &drops}) {
            if (!*answer)
                return complain(options, answer->error());
        }
        print(status_text({status, *ports, *workers, *drops}, now_unix_s(), options.colour));
    }
    return status.at("healthy").get<bool>() ? ExitCode::done : ExitCode::no;
}

ExitCode exit_code_of(const Json& reload_result) {
    const std::string outcome = reload_result.at("outcome").get<std::string>();
    if (outcome == "refused")
        return ExitCode::bad_config;
    return outcome == "needs_restart" ? ExitCode::needs_restart : ExitCode::done;
}

}  // namespace

ExitCode show_status(const Options& options) {
    return guarded(options, [&] {
        Asked<Client> client = Client::connect(options.socket, options.timeout);
        if (!client)
            return complain(options, client.error());
        const Asked<Json> status = ask(*client, "status");
        if (!status)
            return complain(options, status.error());
        return print_status(options, *client, *status);
    });
}

ExitCode show(const Options& options, const std::string& noun, const std::string& name) {
    return guarded(options, [&] {
        const Asked<Json> result = ask_once(options, "show " + noun, name);
        if (!result)
            return complain(options, result.error());
        if (options.form == Form::json)
            print_json(*result);
        else
            print(text_for(options, noun, name, *result));
        return ExitCode::done;
    });
}

ExitCode explain(const Options& options, const std::string& peer) {
    return guarded(options, [&] {
        const Asked<Json> result = ask_once(options, "explain", peer);
        if (!result)
            return complain(options, result.error());
        if (options.form == Form::json)
            print_json(*result);
        else
            print(explain_text(*result));
        return ExitCode::done;
    });
}

ExitCode reload(const Options& options) {
    return guarded(options, [&] {
        const Asked<Json> result = ask_once(options, "reload");
        if (!result)
            return complain(options, result.error());
        if (options.form == Form::json)
            print_json(*result);
        else
            print(reload_text(*result));
        return exit_code_of(*result);
    });
}

ExitCode check_config(const std::string& file, CheckForm form, Colour colour) {
    const config::LoadResult loaded = config::load_file(file);
    std::vector<config::Diagnostic> diagnostics = loaded.diagnostics;
    if (loaded && std::ranges::any_of(loaded.model->ports, &config::Port::host))
        warn_of_forwarding(diagnostics, file);
    if (loaded && loaded.model->network) {
        const config::NetworkLoad network = config::load_network(*loaded.model);
        diagnostics.insert(diagnostics.end(), network.diagnostics.begin(),
                           network.diagnostics.end());
    }
    if (form == CheckForm::json)
        print(config::format_json(diagnostics) + "\n");
    else if (form == CheckForm::gcc)
        print(config::format_gcc(diagnostics));
    else if (diagnostics.empty())
        print(printable(file) + ": no errors\n");
    else
        print(config::format_text(diagnostics,
                                  colour == Colour::on ? config::Colour::on : config::Colour::off));
    return config::has_errors(diagnostics) ? ExitCode::bad_config : ExitCode::done;
}

}  // namespace meshgate::cli

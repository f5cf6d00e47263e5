// SPDX-License-Identifier: Apache-2.0
// meshgated: the daemon. Wiring only; gateway.h and event_loop.h say what it does.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "base/unique_fd.h"
#include "config/load.h"
#include "config/network_file.h"
#include "control/api/server.h"
#include "control/api/wg_socket.h"
#include "control/daemon/capabilities.h"
#include "control/daemon/clock_mark.h"
#include "control/daemon/dataplane_options.h"
#include "control/daemon/event_loop.h"
#include "control/daemon/instance_mark.h"
#include "control/daemon/lab_timings.h"
#include "control/daemon/notify.h"
#include "control/daemon/reload.h"
#include "control/daemon/state_view.h"
#include "control/daemon/vm_generation.h"
#include "control/daemon/web_process.h"
#include "control/gateway/gateway.h"
#include "control/host_interfaces/host_interfaces.h"
#include "control/log/log.h"
#include "control/mesh/members/resolver.h"

namespace meshgate::control {

namespace {

Now system_now() noexcept {
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    return {.mono = std::chrono::steady_clock::now(),
            .wall_ns = static_cast<uint64_t>(
                std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count())};
}

// The comments are a table of docs/reference/exit-statuses.md.
constexpr int kExitFailed = 1;   // could not start or go on; the log says why
constexpr int kExitUsage = 2;    // wrong usage
constexpr int kExitConfig = 78;  // the box file, or the network file that it names, is invalid

struct Arguments {
    std::string config_file;
    std::string web_binary;
    std::string lab_timings;
    bool no_web = false;
};

// Before the first key is read: no core file, no attaching. Nor may a reader of our log that goes
// away end us.
void protect_process() {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    std::signal(SIGPIPE, SIG_IGN);
}

// Keys must not reach the disk by swapping either; this one needs a privilege.
void lock_memory(Log& log) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
        log.write({Log::Level::warning, "memory-not-locked", "",
                   std::string{"keys may be written to swap: "} + std::strerror(errno)});
}

// Held as long as we live; empty when another daemon has the socket.
class Lock {
public:
    explicit Lock(const std::string& socket) {
        std::error_code error;
        std::filesystem::create_directories(std::filesystem::path{socket}.parent_path(), error);
        file_ = UniqueFd{open((socket + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
        errno_ = errno;
        held_ = file_ && flock(file_.get(), LOCK_EX | LOCK_NB) == 0;
    }

    Result<void> check(const std::string& socket) const {
        if (!file_)
            return fail(errno_, socket + ".lock");
        if (!held_)
            return fail("another meshgated runs with the socket " + socket);
        return {};
    }

private:
    UniqueFd file_;
    int errno_ = 0;
    bool held_ = false;
};

// The sockets and the web process, as the box file wants them.
struct Servers {
    std::unique_ptr<UnixServer> api, wg;
    std::unique_ptr<WebProcess> web;
};

struct Daemon {
    boost::asio::io_context& io;
    Log& log;
    StateProvider& state;
    std::string web_binary;  // empty: another unit runs it
};

Result<Servers> start_servers(const Daemon& daemon, const config::Control& control) {
    Servers servers;
    auto api = serve_api(daemon.io, control.socket, daemon.state, web_user());
    if (!api)
        return within("control.socket", api.error());
    servers.api = std::move(*api);
    if (!control.wg_socket.empty()) {
        auto wg = serve_wg(daemon.io, control.wg_socket, daemon.state);
        if (!wg)
            return within("control.wg_socket", wg.error());
        servers.wg = std::move(*wg);
    }
    if (!control.http || daemon.web_binary.empty())
        return servers;
    servers.web = std::make_unique<WebProcess>(
        daemon.io, daemon.log,
        WebProcess::Options{daemon.web_binary, control.socket, *control.http});
    servers.web->start();
    return servers;
}

std::string health(StateView& state) {
    const StatusView status = state.status();
    if (!status.problems.empty())
        return status.problems.front();
    return std::to_string(status.peers_up) + " of " + std::to_string(status.peers_total) +
           " peers have a session";
}

void keep_mark(ClockMark& mark, const Gateway& gateway, Log& log) {
    const auto kept = mark.keep(gateway.device().greatest_timestamp_sent_ns(), gateway.now());
    if (!kept)
        log.write({Log::Level::warning, "clock-mark", "", kept.error().message});
}

// A daemon of a user of its own has what its unit grants to ports of all kinds; it keeps what its own
// ports need. One of root's needs the user ids as well, for meshgate-web.
void give_up_capabilities(const config::Model& model, Log& log) {
    if (geteuid() == 0)
        return;
    if (const auto kept = keep_capabilities(needed_capabilities(model.ports)); !kept)
        log.write({Log::Level::warning, "capabilities", "", kept.error().message});
}

// Where the service manager lets us keep things (StateDirectory=); empty without one.
std::string state_folder() {
    const char* folders = std::getenv("STATE_DIRECTORY");
    const std::string text = folders == nullptr ? "" : folders;
    return text.substr(0, text.find(':'));
}

Copied look_for_copy(const Gateway& gateway, Log& log) {
    const std::string folder = state_folder();
    const auto copied =
        mark_instance(folder, present_instance(folder, gateway.device().public_key()));
    if (!copied)
        log.write({Log::Level::warning, "instance-mark", "", copied.error().message});
    else if (*copied != Copied::no)
        log.write({Log::Level::warning, "state-copied", gateway.model().node.name,
                   "the state folder was copied here, with the key of this box"});
    return copied.value_or(Copied::no);
}

// The names in endpoints of the box file and the network file, looked up; once a second.
class EndpointLookup {
public:
    EndpointLookup(Gateway& gateway, mesh::Resolver& resolver)
        : gateway_{gateway}, resolver_{resolver} {}

    void run() {
        gateway_.follow_names();
        if (const mesh::Mesh* mesh = gateway_.mesh();
            mesh != nullptr && version_ != mesh->members().network().version) {
            version_ = mesh->members().network().version;
            of_members_ = mesh::hosts_of(mesh->members());
        }
        std::set<std::string> hosts = gateway_.endpoint_names().hosts();
        hosts.insert(of_members_.begin(), of_members_.end());
        if (hosts != hosts_)
            resolver_.set_hosts(hosts_ = std::move(hosts));
        for (const std::string& host : gateway_.endpoint_names().wanted())
            resolver_.hurry(host);
        gateway_.set_unresolved(resolver_.unresolved());
    }

private:
    Gateway& gateway_;
    mesh::Resolver& resolver_;
    uint64_t version_ = 0;
    std::set<std::string> of_members_, hosts_;
};

Result<void> serve(Gateway& gateway, HostInterfaces& host, Log& log, ClockMark& mark,
                   const Arguments& arguments) {
    VmGeneration generation{"/sys", kernel_release()};
    boost::asio::io_context io{1};
    Notify notify;
    Reload reload{gateway, log, arguments.config_file};
    StateView state{gateway,
                    reload,
                    host,
                    {.generation = generation.support(), .folder = look_for_copy(gateway, log)}};
    auto servers =
        start_servers({io, log, state, arguments.no_web ? std::string{} : arguments.web_binary},
                      gateway.model().control);
    if (!servers)
        return propagate(servers);
    mesh::Resolver resolver{io, [&gateway](const std::string& name, const auto& addresses) {
                                gateway.set_addresses(name, addresses);
                            }};
    EndpointLookup lookup{gateway, resolver};
    EventLoop loop{io,
                   gateway,
                   host,
                   generation,
                   {.reload =
                        [&] {
                            notify.reloading(gateway.now());
                            reload.run({});
                            notify.ready(health(state));
                        },
                    .every_second =
                        [&] {
                            state.sample_workers();
                            lookup.run();
                            notify.status(health(state));
                            if (state.workers_alive())
                                notify.feed_watchdog();
                            keep_mark(mark, gateway, log);
                        },
                    .child_exited =
                        [&] {
                            if (servers->web)
                                servers->web->on_child_exit();
                        }}};
    log.write({Log::Level::info, "ready", gateway.model().node.name,
               "version " MESHGATE_VERSION ", " + gateway.dataplane().aead_engine() + ", " +
                   gateway.dataplane().memory_description()});
    notify.ready(health(state));
    loop.run();
    notify.stopping();
    log.write({Log::Level::info, "stopping", gateway.model().node.name, "asked to stop"});
    return {};
}

Result<void> run(config::Model model, mesh::NetworkStore* network, const Arguments& arguments) {
    Log log{model.log};
    give_up_capabilities(model, log);
    lock_memory(log);
    const std::string socket = model.control.socket;
    const Lock lock{socket};
    if (auto alone = lock.check(socket); !alone)
        return alone;
    const auto timings = parse_lab_timings(arguments.lab_timings);
    if (!timings)
        return within("--lab-timings", timings.error());
    auto secrets = load_secrets(model);
    if (!secrets)
        return propagate(secrets);
    // Before the first frame comes in by a port, and until the last.
    HostInterfaces host{model.ports,
                        {.state_folder = state_folder(),
                         .boot_id = HostInterfaces::present_boot_id(),
                         .owner = "meshgate " + socket},
                        log};
    if (const auto claimed = host.claim_twins(model); !claimed)
        return claimed;
    auto dataplane = Dataplane::create(dataplane_options(model));
    if (!dataplane)
        return propagate(dataplane);
    auto gateway = Gateway::create({**dataplane, log, system_now, *timings, network},
                                   std::move(model), std::move(*secrets));
    if (!gateway)
        return propagate(gateway);
    follow_host(**gateway, host);
    ClockMark mark{state_folder(), system_now()};
    (*gateway)->raise_timestamp_floor(mark.floor_ns());
    (*dataplane)->start();
    (*gateway)->up();
    auto served = serve(**gateway, host, log, mark, arguments);
    (*dataplane)->stop();
    (*gateway)->down();
    return served;
}

// Where `meson install` puts it, seen from us; in the build tree it has a folder of its own.
std::string default_web_binary() {
    std::error_code error;
    const auto folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
    for (const auto* place : {"meshgate-web", "../web/meshgate-web"}) {
        if (std::filesystem::exists(folder / place, error))
            return folder / place;
    }
    return (folder / "../libexec/meshgate/meshgate-web").lexically_normal();
}

// Where the last good network file is kept: with what else we keep, or beside the one it replaces.
std::string kept_file(const config::NetworkOptions& network) {
    const std::string folder = state_folder();
    return folder.empty() ? network.file + ".kept" : folder + "/network.kept";
}

void complain(std::span<const config::Diagnostic> diagnostics) {
    if (diagnostics.empty())
        return;
    const bool terminal = isatty(STDERR_FILENO) == 1;
    const auto colour = terminal ? config::Colour::on : config::Colour::off;
    std::fputs(config::format_text(diagnostics, colour).c_str(), stderr);
}

int start(const Arguments& arguments) {
    protect_process();
    config::LoadResult loaded = config::load_file(arguments.config_file);
    complain(loaded.diagnostics);
    if (!loaded)
        return kExitConfig;
    std::unique_ptr<mesh::NetworkStore> network;
    if (const auto& options = loaded.model->network) {
        network = std::make_unique<mesh::NetworkStore>(options->authority, kept_file(*options));
        std::vector<config::Diagnostic> diagnostics;
        const bool usable = network->load(*loaded.model, diagnostics);
        complain(diagnostics);
        if (!usable)
            return kExitConfig;
    }
    const auto ran = run(std::move(*loaded.model), network.get(), arguments);
    if (ran)
        return 0;
    std::fprintf(stderr, "meshgated: %s\n", ran.error().message.c_str());
    return kExitFailed;
}

}  // namespace

}  // namespace meshgate::control

int main(int argc, char** argv) {
    using namespace meshgate::control;
    try {
        Arguments arguments;
        arguments.web_binary = default_web_binary();
        CLI::App app{"The Meshgate gateway: WireGuard between sites, in user space."};
        app.set_version_flag("--version", "meshgated " MESHGATE_VERSION);
        app.add_option("--config", arguments.config_file, "The box file (meshgate.yaml)")
            ->required();
        app.add_option("--web-binary", arguments.web_binary, "Where meshgate-web is")
            ->capture_default_str();
        app.add_flag("--no-web", arguments.no_web,
                     "Start no meshgate-web: the service manager does");
        app.add_option("--lab-timings", arguments.lab_timings,
                       "For tests only: other lives of keys, such as rekey=2s,reject=4s");
        try {
            app.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            return app.exit(error) == 0 ? 0 : kExitUsage;
        }
        return start(arguments);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "meshgated: %s\n", error.what());
        return kExitFailed;
    }
}

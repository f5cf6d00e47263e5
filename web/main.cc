// SPDX-License-Identifier: Apache-2.0
// meshgate-web: HTTP in front of the API socket, in a process that can do nothing else.
//
//   connect to the API socket, give up all verbs but the reading ones; ask where to listen
//   bind the listening port
//   drop privileges
//   serve until the daemon closes the connection, then exit 1: the daemon starts a new one
#include <getopt.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "base/text.h"
#include "web/api_client.h"
#include "web/http_server.h"
#include "web/privileges.h"

namespace meshgate::web {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNotRunning = 3;
constexpr int kNicer = 10;

struct Arguments {
    std::string socket;
    std::optional<Endpoint> listen;  // none: where the daemon's box file says
    std::string user = "nobody";
};

int complain(const std::string& message, int exit_code) {
    std::fprintf(stderr, "meshgate-web: %s\n", printable(message).c_str());
    return exit_code;
}

int usage() {
    std::fputs("usage: meshgate-web --socket PATH [--listen ADDRESS:PORT] [--user NAME]\n", stderr);
    return kUsage;
}

std::optional<Arguments> parse(int argc, char** argv) {
    constexpr option kOptions[] = {{"socket", required_argument, nullptr, 's'},
                                   {"listen", required_argument, nullptr, 'l'},
                                   {"user", required_argument, nullptr, 'u'},
                                   {nullptr, 0, nullptr, 0}};
    Arguments arguments;
    for (int c = 0; (c = ::getopt_long(argc, argv, "", kOptions, nullptr)) != -1;) {
        if (c == 's')
            arguments.socket = optarg;
        else if (c == 'l' && (arguments.listen = parse_endpoint(optarg)))
            continue;
        else if (c == 'u')
            arguments.user = optarg;
        else
            return {};
    }
    if (optind != argc || arguments.socket.empty())
        return {};
    return arguments;
}

// The value of control.http in the box file; none: the page is not wanted.
Result<std::optional<Endpoint>> wanted_endpoint(boost::asio::io_context& io, ApiClient& api) {
    std::optional<ApiClient::Answer> answer;
    api.ask({.verb = "status", .name = ""}, [&](ApiClient::Answer text) { answer = text; });
    while (!answer && io.run_one() > 0) {
    }
    io.restart();
    const nlohmann::json::json_pointer http{"/result/http"};
    const auto status =
        answer && *answer ? nlohmann::json::parse(**answer, nullptr, false) : nlohmann::json{};
    if (!status.is_object() || !status.contains(http))
        return fail("meshgated does not say where to listen");
    const auto& value = status[http];
    return value.is_string() ? parse_endpoint(value.get<std::string>()) : std::nullopt;
}

int run(const Arguments& arguments) {
    boost::asio::io_context io{1};
    auto api = ApiClient::connect(io, arguments.socket);
    if (!api)
        return complain(api.error().message, kNotRunning);
    const Result<std::optional<Endpoint>> listen =
        arguments.listen ? Result<std::optional<Endpoint>>{arguments.listen}
                         : wanted_endpoint(io, **api);
    if (!listen)
        return complain(listen.error().message, kNotRunning);
    if (!*listen)
        return 0;
    auto server = HttpServer::create(io, **listen, **api);
    if (!server)
        return complain(server.error().message, kFailed);
    if (const auto dropped = drop_privileges(arguments.user); !dropped)
        return complain(dropped.error().message, kFailed);
    // Packets first: this process shares the cores with the workers.
    if (::nice(kNicer) == -1)
        return complain("nice", kFailed);
    (*api)->on_lost([&io] { io.stop(); });
    io.run();
    return complain("meshgated closed the connection", kFailed);
}

}  // namespace
}  // namespace meshgate::web

int main(int argc, char** argv) {
    try {
        const auto arguments = meshgate::web::parse(argc, argv);
        return arguments ? meshgate::web::run(*arguments) : meshgate::web::usage();
    } catch (const std::exception& error) {
        return meshgate::web::complain(error.what(), meshgate::web::kFailed);
    }
}

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <tl/expected.hpp>

#include "cli/client.h"
#include "cli/commands.h"

namespace meshgate::cli {

using Json = nlohmann::ordered_json;
template <typename T>
using Asked = tl::expected<T, ClientError>;

void print(const std::string& text);
void print_json(const Json& json);
// To stderr, and as JSON to stdout when that was asked for; returns the error's exit code.
ExitCode complain(const Options& options, const ClientError& error);

// The result of one request, with the schema beside it.
Asked<Json> ask_with(Client& client, const Json& request);
Asked<Json> ask(Client& client, const std::string& verb, const std::string& name = "");
Asked<Json> ask_once(const Options& options, const std::string& verb, const std::string& name = "");

// Runs `work`, which returns an exit code. A daemon of another version may answer what this program
// does not understand.
template <typename Work>
ExitCode guarded(const Options& options, Work work) {
    try {
        return work();
    } catch (const Json::exception&) {
        return complain(options, {ExitCode::no,
                                  "meshgated's answer is not what this version "
                                  "of meshgate understands"});
    }
}

}  // namespace meshgate::cli

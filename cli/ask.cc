// SPDX-License-Identifier: Apache-2.0
#include "cli/ask.h"

#include <cstdio>

#include "base/text.h"

namespace meshgate::cli {
namespace {

ClientError error_of(const Json& answer) {
    const Json& error = answer.at("error");
    const std::string code = error.at("code").get<std::string>();
    const ExitCode exit_code = code == "not-found"   ? ExitCode::no_such_thing
                               : code == "forbidden" ? ExitCode::permission
                                                     : ExitCode::no;
    return {exit_code, error.at("message").get<std::string>()};
}

}  // namespace

void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_json(const Json& json) {
    print(json.dump(2) + "\n");
}

ExitCode complain(const Options& options, const ClientError& error) {
    std::fprintf(stderr, "meshgate: %s\n", printable(error.message).c_str());
    if (options.form == Form::json) {
        const Json json = {
            {"schema", 1},
            {"error",
             {{"exit_code", static_cast<int>(error.code)}, {"message", printable(error.message)}}}};
        print(json.dump() + "\n");
    }
    return error.code;
}

Asked<Json> ask_with(Client& client, const Json& request) {
    const std::string line = request.dump(-1, ' ', false, Json::error_handler_t::replace);
    const Asked<std::string> text = client.ask(line);
    if (!text)
        return tl::unexpected<ClientError>{text.error()};
    Json answer = Json::parse(*text);
    if (!answer.at("ok").get<bool>())
        return tl::unexpected<ClientError>{error_of(answer)};
    Json result = {{"schema", answer.at("schema")}};
    result.update(answer.at("result"));
    return result;
}

Asked<Json> ask(Client& client, const std::string& verb, const std::string& name) {
    Json request = {{"verb", verb}};
    if (!name.empty())
        request["name"] = name;
    return ask_with(client, request);
}

Asked<Json> ask_once(const Options& options, const std::string& verb, const std::string& name) {
    Asked<Client> client = Client::connect(options.socket, options.timeout);
    if (!client)
        return tl::unexpected<ClientError>{client.error()};
    return ask(*client, verb, name);
}

}  // namespace meshgate::cli

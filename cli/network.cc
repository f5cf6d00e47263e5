// SPDX-License-Identifier: Apache-2.0
#include "cli/network.h"

#include <sodium.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/ask.h"
#include "cli/show_mesh.h"
#include "cli/table.h"
#include "config/network_file.h"

namespace meshgate::cli {
namespace {

using config::AuthorityKey;
using config::Network;
using config::NetworkResult;
using config::SignatureFile;
using config::SignedNetwork;

// In base64 as long as the API's requests may be.
constexpr size_t kPieceBytes = size_t{32} << 10;

ExitCode refuse(const Options& options, std::string message, ExitCode code = ExitCode::no) {
    return complain(options, {code, std::move(message)});
}

// To stderr: stdout is for what was asked for.
void print_diagnostics(std::span<const config::Diagnostic> diagnostics) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    const auto colour = terminal ? config::Colour::on : config::Colour::off;
    std::fputs(config::format_text(diagnostics, colour).c_str(), stderr);
}

// Of a file that cannot be used: all that is wrong with it, in the form that was asked for.
ExitCode bad_file(const Options& options, std::span<const config::Diagnostic> diagnostics) {
    if (options.form == Form::json)
        print(config::format_json(diagnostics));
    else
        print_diagnostics(diagnostics);
    return ExitCode::bad_config;
}

std::string counted(size_t number, const std::string& noun) {
    return human_count(number) + " " + noun + (number == 1 ? "" : "s");
}

std::string summary_of(const Network& network) {
    return "version " + std::to_string(network.version) + " of " + network.name + ", " +
           counted(network.members.size(), "member") + ", " +
           counted(network.clients.size(), "client");
}

Json summary_json(const std::string& file, const Network& network, const AuthorityKey& authority) {
    return {{"schema", 1},
            {"file", printable(file)},
            {"name", network.name},
            {"version", network.version},
            {"authority", to_string(authority)},
            {"members", network.members.size()},
            {"clients", network.clients.size()}};
}

// Why `network` must not be signed over what was signed before; empty when it may.
std::string objection(const Network& network, const std::string& text,
                      const std::optional<SignatureFile>& before, const AuthorityKey& authority) {
    if (!before || verify(SignedNetwork{text, before->signature}, authority))
        return "";
    if (before->authority && *before->authority != authority)
        return "it was signed with another authority's key before: " +
               to_string(*before->authority);
    if (before->version && network.version <= *before->version)
        return "version " + std::to_string(*before->version) +
               " was signed before: raise version above it, since boxes take a higher one only";
    return "";
}

template <typename T>
Json texts_of(const std::vector<T>& values) {
    Json array = Json::array();
    for (const T& value : values)
        array.push_back(to_string(value));
    return array;
}

Json json_of(const config::Member& member, const std::optional<AuthorityKey>& authority) {
    Json endpoints = Json::array();
    for (const config::MemberEndpoint& endpoint : member.endpoints)
        endpoints.push_back(endpoint.text);
    return {
        {"name", member.name},
        {"public_key", to_string(member.public_key)},
        {"node_address",
         authority ? Json(to_string(node_address(*authority, member.public_key))) : Json(nullptr)},
        {"relay", member.relay},
        {"prefixes", texts_of(member.prefixes)},
        {"endpoints", endpoints},
        {"published", member.published},
        {"tags", member.tags}};
}

Json json_of(const config::Client& client) {
    return {{"name", client.name},
            {"public_key", to_string(client.public_key)},
            {"address", texts_of(client.addresses)},
            {"boxes", client.boxes},
            {"tags", client.tags}};
}

// How far the signature beside a file can be trusted.
struct Trust {
    std::optional<AuthorityKey> authority;
    std::string word;  // for people
    bool holds = false;
};

Trust trust_in(const std::string& file, const std::string& text,
               const std::optional<AuthorityKey>& given) {
    Trust trust{.authority = given};
    const auto signature = config::read_signature_file(file + ".sig");
    if (!signature || !*signature) {
        trust.word = signature ? "not signed" : signature.error().message;
        return trust;
    }
    if (!given)
        trust.authority = (*signature)->authority;
    trust.holds =
        trust.authority && verify(SignedNetwork{text, (*signature)->signature}, *trust.authority);
    trust.word = trust.holds ? "signed by " + to_string(*trust.authority)
                 : trust.authority
                     ? "the signature does not hold under " + to_string(*trust.authority)
                     : "signed, but the signature file does not say by whom";
    return trust;
}

std::string joined_or_dash(const Json& array) {
    std::string out;
    for (const Json& each : array)
        out += (out.empty() ? "" : ", ") + each.get<std::string>();
    return out.empty() ? "-" : out;
}

std::string network_text(const Json& json) {
    Table members{{"NAME", "NODE ADDRESS", "RELAY", "PREFIXES", "ENDPOINTS", "PUBLISHED", "TAGS"}};
    for (const Json& member : json.at("members")) {
        const Json& address = member.at("node_address");
        members.add({member.at("name"), address.is_null() ? "-" : address.get<std::string>(),
                     member.at("relay").get<bool>() ? "yes" : "-",
                     joined_or_dash(member.at("prefixes")), joined_or_dash(member.at("endpoints")),
                     joined_or_dash(member.at("published")), joined_or_dash(member.at("tags"))});
    }
    Table clients{{"CLIENT", "ADDRESS", "BOXES", "TAGS"}};
    for (const Json& client : json.at("clients"))
        clients.add({client.at("name"), joined_or_dash(client.at("address")),
                     client.at("boxes").empty() ? "any" : joined_or_dash(client.at("boxes")),
                     joined_or_dash(client.at("tags"))});
    return members.text() + (clients.empty() ? "" : "\n" + clients.text());
}

std::string base64(std::string_view bytes) {
    std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
    sodium_bin2base64(text.data(), text.size(),
                      reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    text.pop_back();  // the zero
    return text;
}

Asked<Json> push(Client& client, const SignedNetwork& network) {
    const std::string_view text{network.text};
    for (size_t at = 0; at < text.size(); at += kPieceBytes) {
        const Json request = {{"verb", "network piece"},
                              {"bytes", base64(text.substr(at, kPieceBytes))}};
        if (const Asked<Json> received = ask_with(client, request); !received)
            return received;
    }
    const std::string_view signature{reinterpret_cast<const char*>(network.signature.data()),
                                     network.signature.size()};
    return ask_with(client, Json{{"verb", "network push"}, {"signature", base64(signature)}});
}

}  // namespace

ExitCode network_keygen(const Options& options, const std::string& key_file) {
    const SecretKey secret = config::generate_authority_secret();
    if (const auto written = config::write_authority_secret(key_file, secret); !written)
        return refuse(options, written.error().message);
    const std::string authority = to_string(config::authority_key_of(secret));
    if (options.form == Form::json)
        print_json({{"schema", 1}, {"authority", authority}, {"key_file", printable(key_file)}});
    else
        print(authority + "\n");
    return ExitCode::done;
}

ExitCode network_sign(const Options& options, const SignArguments& arguments) {
    const auto secret = config::load_authority_secret(arguments.key_file);
    if (!secret)
        return refuse(options, secret.error().message);
    const AuthorityKey authority = config::authority_key_of(*secret);
    const auto text = config::read_network_text(arguments.file);
    if (!text)
        return refuse(options, text.error().message, ExitCode::bad_config);
    const NetworkResult parsed = config::parse_network(*text, arguments.file, authority);
    if (!parsed)
        return bad_file(options, parsed.diagnostics);
    print_diagnostics(parsed.diagnostics);
    const std::string signature_path = arguments.file + ".sig";
    if (arguments.force == Force::no) {
        const auto before = config::read_signature_file(signature_path);
        const std::string why =
            before ? objection(*parsed.network, *text, *before, authority) : before.error().message;
        if (!why.empty())
            return refuse(options, "not signed: " + why + " (--force signs all the same)");
    }
    const SignatureFile signature{config::sign(*text, *secret), parsed.network->version, authority};
    if (const auto written = config::replace_file(signature_path, to_string(signature), 0644);
        !written)
        return refuse(options, written.error().message);
    if (options.form == Form::json)
        print_json(summary_json(arguments.file, *parsed.network, authority));
    else
        print(printable(arguments.file) + ": signed " + summary_of(*parsed.network) +
              "\nauthority " + to_string(authority) + "\n");
    return ExitCode::done;
}

ExitCode network_verify(const Options& options, const std::string& file,
                        const std::string& authority_text) {
    const auto authority = config::parse_authority_key(authority_text);
    if (!authority)
        return refuse(options,
                      "--authority: a public key of 44 characters, as meshgate network keygen "
                      "prints it",
                      ExitCode::usage);
    auto candidate = config::read_signed_network(file);
    if (!candidate)
        return refuse(options, candidate.error().message, ExitCode::bad_config);
    if (!verify(*candidate, *authority))
        return refuse(options,
                      file + ": the signature does not hold under " + to_string(*authority));
    const NetworkResult parsed = config::parse_network(candidate->text, file, *authority);
    if (!parsed)
        return bad_file(options, parsed.diagnostics);
    print_diagnostics(parsed.diagnostics);
    if (options.form == Form::json)
        print_json(summary_json(file, *parsed.network, *authority));
    else
        print(printable(file) + ": good: " + summary_of(*parsed.network) + "\n");
    return ExitCode::done;
}

ExitCode network_show(const Options& options, const std::string& file,
                      const std::string& authority_text) {
    const auto given = config::parse_authority_key(authority_text);
    if (!authority_text.empty() && !given)
        return refuse(options,
                      "--authority: a public key of 44 characters, as meshgate network keygen "
                      "prints it",
                      ExitCode::usage);
    const auto text = config::read_network_text(file);
    if (!text)
        return refuse(options, text.error().message, ExitCode::bad_config);
    const Trust trust = trust_in(file, *text, given);
    const NetworkResult parsed = config::parse_network(*text, file, trust.authority);
    if (!parsed)
        return bad_file(options, parsed.diagnostics);
    Json json = {{"schema", 1},
                 {"name", parsed.network->name},
                 {"version", parsed.network->version},
                 {"signature_holds", trust.holds},
                 {"authority", trust.authority ? Json(to_string(*trust.authority)) : Json(nullptr)},
                 {"node_prefix",
                  trust.authority ? Json(to_string(node_prefix(*trust.authority))) : Json(nullptr)},
                 {"members", Json::array()},
                 {"clients", Json::array()}};
    for (const config::Member& member : parsed.network->members)
        json["members"].push_back(json_of(member, trust.authority));
    for (const config::Client& client : parsed.network->clients)
        json["clients"].push_back(json_of(client));
    if (options.form == Form::json)
        print_json(json);
    else
        print(parsed.network->name + ", version " + std::to_string(parsed.network->version) + "; " +
              printable(trust.word) + "\n\n" + network_text(json));
    return ExitCode::done;
}

ExitCode network_push(const Options& options, const std::string& file) {
    return guarded(options, [&] {
        const auto network = config::read_signed_network(file);
        if (!network)
            return refuse(options, network.error().message, ExitCode::bad_config);
        Asked<Client> client = Client::connect(options.socket, options.timeout);
        if (!client)
            return complain(options, client.error());
        const Asked<Json> result = push(*client, *network);
        if (!result)
            return complain(options, result.error());
        if (options.form == Form::json)
            print_json(*result);
        else
            print(push_text(*result));
        return result->at("accepted").get<bool>() ? ExitCode::done : ExitCode::no;
    });
}

}  // namespace meshgate::cli

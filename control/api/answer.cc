// SPDX-License-Identifier: Apache-2.0
#include "control/api/answer.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/api_nouns.h"
#include "base/result.h"
#include "base/text.h"
#include "config/network.h"
#include "control/api/json.h"
#include "control/api/metrics.h"

namespace meshgate::control {
namespace {

using Json = nlohmann::ordered_json;

struct Failure {
    std::string code;
    std::string message;
};
template <typename T>
using Outcome = tl::expected<T, Failure>;

tl::unexpected<Failure> refuse(std::string code, std::string message) {
    return tl::unexpected<Failure>{Failure{std::move(code), std::move(message)}};
}

struct Request {
    std::string verb;
    std::optional<std::string> name;
    std::optional<std::string> to;
    std::optional<std::string> bytes;
    std::optional<std::string> signature;

    // Null: no member of a request has that name.
    std::optional<std::string>* member(std::string_view key) {
        return key == "name"        ? &name
               : key == "to"        ? &to
               : key == "bytes"     ? &bytes
               : key == "signature" ? &signature
                                    : nullptr;
    }
};

// Whole when short; a stranger's megabyte need not come back.
std::string in_quotes(std::string_view text) {
    constexpr size_t kShown = 80;
    std::string out = "'" + printable(text.substr(0, kShown));
    return out + (text.size() > kShown ? "...'" : "'");
}

// A map rather than the ordered kind, whose look-up is linear: a line may hold thousands of
// members.
Outcome<nlohmann::json> parse_object(std::string_view line) {
    try {
        nlohmann::json json = nlohmann::json::parse(line);
        if (json.is_object())
            return json;
        return refuse("bad-request", std::string{"a request is a JSON object such as "
                                                 "{\"verb\":\"status\"}, not "} +
                                         json.type_name());
    } catch (const nlohmann::json::parse_error& error) {
        return refuse("bad-request", "not JSON: the error is at byte " +
                                         std::to_string(error.byte) +
                                         "; a request is one line such as {\"verb\":\"status\"}");
    } catch (const nlohmann::json::exception&) {  // a number too large for any type
        return refuse("bad-request", "not JSON that can be held");
    }
}

Outcome<Request> parse_request(std::string_view line) {
    const Outcome<nlohmann::json> json = parse_object(line);
    if (!json)
        return tl::unexpected<Failure>{json.error()};
    Request request;
    for (const auto& [key, value] : json->items()) {
        std::optional<std::string>* member = request.member(key);
        if (key != "verb" && member == nullptr)
            return refuse("bad-request", in_quotes(key) +
                                             " is not a member of a request; allowed: "
                                             "verb, name, to, bytes, signature");
        if (!value.is_string())
            return refuse("bad-request",
                          in_quotes(key) + " must be a string, not " + value.type_name());
        if (member == nullptr)
            request.verb = value.get<std::string>();
        else
            *member = value.get<std::string>();
    }
    if (request.verb.empty())
        return refuse("bad-request", "\"verb\" is missing");
    return request;
}

// Keeps what `matches`; an error when a name was given and nothing is left.
template <typename View, typename Matches>
Outcome<Json> listing(const char* key, const char* noun, const std::vector<View>& views,
                      const std::optional<std::string>& name, Matches matches) {
    Json array = Json::array();
    for (const View& view : views) {
        if (!name || matches(view, *name))
            array.push_back(to_json(view));
    }
    if (name && array.empty())
        return refuse("not-found", "there is no " + std::string{noun} + " " + in_quotes(*name));
    return Json{{key, std::move(array)}};
}

Outcome<Json> show_peers(const Request& request, StateProvider& state) {
    return listing("peers", "peer", state.peers(), request.name,
                   [](const PeerView& peer, const std::string& name) {
                       return peer.name == name || to_string(peer.public_key) == name;
                   });
}

// A name is a prefix, then exactly that route is meant, or an address, then the one that it takes.
Outcome<Json> show_routes(const Request& request, StateProvider& state) {
    std::vector<RouteView> routes = state.routes();
    if (const auto address = parse_address(request.name.value_or(""))) {
        std::erase_if(routes, [&](const RouteView& r) { return !r.prefix.contains(*address); });
        const auto best = std::max_element(
            routes.begin(), routes.end(),
            [](const RouteView& a, const RouteView& b) { return a.prefix.len < b.prefix.len; });
        if (best == routes.end())
            return refuse("not-found", "there is no route to " + in_quotes(*request.name));
        return Json{{"routes", Json::array({to_json(*best)})}};
    }
    return listing("routes", "route", routes, request.name,
                   [](const RouteView& route, const std::string& name) {
                       return to_string(route.prefix) == name;
                   });
}

Outcome<Json> show_ports(const Request& request, StateProvider& state) {
    return listing(
        "ports", "port", state.ports(), request.name,
        [](const PortStatusView& port, const std::string& name) { return port.name == name; });
}

Outcome<Json> show_drops(const Request& request, StateProvider& state) {
    DropsView view = state.drops();
    if (request.name) {
        std::erase_if(view.drops, [&](const DropView& d) { return d.reason != *request.name; });
        if (view.drops.empty())
            return refuse("not-found", "there is no drop reason " + in_quotes(*request.name));
    }
    return to_json(view);
}

Outcome<Json> show_workers(const Request& request, StateProvider& state) {
    return listing("workers", "worker", state.workers(), request.name,
                   [](const WorkerView& worker, const std::string& name) {
                       return std::to_string(worker.id) == name;
                   });
}

Outcome<Json> restrict_access(const Request& request, ApiConnection& connection) {
    if (request.to != "read")
        return refuse("bad-request", "restrict needs \"to\":\"read\"");
    connection.access = Access::read;
    return Json{{"access", "read"}};
}

// A name is that of a port or a peer.
Outcome<Json> show_babel(const Request& request, StateProvider& state) {
    BabelView view = state.babel();
    if (request.name) {
        std::erase_if(view.places,
                      [&](const BabelPlaceView& place) { return place.name != *request.name; });
        if (view.places.empty())
            return refuse("not-found", "Babel is not spoken at " + in_quotes(*request.name));
    }
    return to_json(view);
}

Outcome<Json> show_links(const Request& request, StateProvider& state) {
    return listing("links", "link to", state.links(), request.name,
                   [](const LinkView& link, const std::string& name) { return link.peer == name; });
}

Outcome<Json> show_paths(const Request& request, StateProvider& state) {
    return listing(
        "paths", "path to", state.paths(), request.name,
        [](const MeshPathView& path, const std::string& name) { return path.peer == name; });
}

Outcome<Json> show_members(const Request& request, StateProvider& state) {
    return listing("members", "member", state.members(), request.name,
                   [](const MemberView& member, const std::string& name) {
                       return member.name == name || to_string(member.public_key) == name ||
                              to_string(member.node_address) == name;
                   });
}

Outcome<Json> show_relays(const Request& request, StateProvider& state) {
    return listing("relays", "relay entry of", state.relays(), request.name,
                   [](const RelayView& relay, const std::string& name) {
                       return relay.from == name || relay.to == name || relay.via == name;
                   });
}

Outcome<Json> show_status(const Request& /*request*/, StateProvider& state) {
    Json json = to_json(state.status());
    json["network"] = to_json(state.network());
    return json;
}

Outcome<Json> show_metrics(const Request& /*request*/, StateProvider& state) {
    return Json{{"text", metrics_text(state)}};
}

Outcome<Json> explain(const Request& request, StateProvider& state) {
    if (!request.name)
        return refuse("bad-request", "explain needs \"name\", the name of a peer");
    const std::optional<ExplainView> view = state.explain(*request.name);
    if (!view)
        return refuse("not-found", "there is no peer " + in_quotes(*request.name));
    return to_json(*view);
}

std::optional<std::string> decode(const std::string& base64) {
    std::string bytes(base64.size(), '\0');
    size_t len = 0;
    const char* end = nullptr;
    const int status = sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()),
                                         bytes.size(), base64.data(), base64.size(), nullptr, &len,
                                         &end, sodium_base64_VARIANT_ORIGINAL);
    if (status != 0 || end != base64.data() + base64.size())
        return std::nullopt;
    bytes.resize(len);
    return bytes;
}

Outcome<Json> take_piece(const Request& request, ApiConnection& connection) {
    const auto piece = decode(request.bytes.value_or(""));
    if (!piece || piece->empty())
        return refuse("bad-request", "network piece needs \"bytes\", base64 of a part of the file");
    Upload& upload = connection.upload;
    if (upload.size() + piece->size() > config::kMaxNetworkBytes) {
        upload.take();
        return refuse("too-long", "a network file has at most " +
                                      std::to_string(config::kMaxNetworkBytes) + " bytes");
    }
    if (!upload.append(*piece)) {
        upload.take();
        return refuse("busy", "too many network files are on their way at once; try again");
    }
    return Json{{"received", upload.size()}};
}

Outcome<Json> push_network(const Request& request, ApiConnection& connection,
                           StateProvider& state) {
    const std::string text = connection.upload.take();
    const auto signature = decode(request.signature.value_or(""));
    if (!signature || signature->size() != crypto_sign_BYTES)
        return refuse("bad-request", "network push needs \"signature\", base64 of its 64 bytes");
    if (text.empty())
        return refuse("bad-request", "network push comes after the pieces of the network file");
    return to_json(state.push_network(text, *signature, connection.caller));
}

struct ReadingVerb {
    std::string_view name;
    Outcome<Json> (*answer)(const Request& request, StateProvider& state);
};

constexpr std::array<ReadingVerb, 13> kReadingVerbs = {{
    {"status", show_status},
    {"show peers", show_peers},
    {"show routes", show_routes},
    {"show ports", show_ports},
    {"show drops", show_drops},
    {"show workers", show_workers},
    {"show babel", show_babel},
    {"show links", show_links},
    {"show paths", show_paths},
    {"show members", show_members},
    {"show relays", show_relays},
    {"explain", explain},
    {"metrics", show_metrics},
}};

constexpr bool answers_each_noun() {
    for (const std::string_view noun : kApiNouns) {
        const bool answered = std::ranges::any_of(kReadingVerbs, [noun](const ReadingVerb& verb) {
            return verb.name.starts_with("show ") && verb.name.substr(5) == noun;
        });
        if (!answered)
            return false;
    }
    return true;
}
static_assert(answers_each_noun(), "a verb for each noun");

constexpr std::array<std::string_view, 3> kChangingVerbs = {"reload", "network piece",
                                                            "network push"};

Outcome<Json> unknown_verb(const Request& request) {
    std::vector<std::string_view> verbs(kChangingVerbs.begin(), kChangingVerbs.end());
    verbs.push_back("restrict");
    for (const ReadingVerb& verb : kReadingVerbs)
        verbs.push_back(verb.name);
    std::string message = in_quotes(request.verb) + " is not a verb";
    const std::string_view guess = closest_word(request.verb, verbs);
    if (!guess.empty())
        message += "; did you mean '" + std::string{guess} + "'?";
    return refuse("unknown-verb", std::move(message));
}

Outcome<Json> result_of(const Request& request, ApiConnection& connection, StateProvider& state) {
    for (const ReadingVerb& verb : kReadingVerbs) {
        if (verb.name == request.verb)
            return verb.answer(request, state);
    }
    if (request.verb == "restrict")
        return restrict_access(request, connection);
    if (std::find(kChangingVerbs.begin(), kChangingVerbs.end(), request.verb) ==
        kChangingVerbs.end())
        return unknown_verb(request);
    if (connection.access != Access::full)
        return refuse("forbidden", "this connection may only read");
    if (request.verb == "network piece")
        return take_piece(request, connection);
    if (request.verb == "network push")
        return push_network(request, connection, state);
    return to_json(state.reload(connection.caller));
}

}  // namespace

std::string error_answer(std::string_view code, std::string_view message) {
    return dump({{"ok", false},
                 {"schema", kSchema},
                 {"error", {{"code", code}, {"message", message}}}}) +
           "\n";
}

std::string answer(std::string_view line, ApiConnection& connection, StateProvider& state) {
    const Outcome<Request> request = parse_request(line);
    if (!request)
        return error_answer(request.error().code, request.error().message);
    Outcome<Json> result = result_of(*request, connection, state);
    if (!result)
        return error_answer(result.error().code, result.error().message);
    std::string text =
        dump({{"ok", true}, {"schema", kSchema}, {"result", std::move(*result)}}) + "\n";
    if (text.size() > kMaxAnswerBytes)
        return error_answer("too-large", "the answer has " + std::to_string(text.size()) +
                                             " bytes; ask for one by name");
    return text;
}

}  // namespace meshgate::control

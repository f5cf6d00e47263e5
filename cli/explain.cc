// SPDX-License-Identifier: Apache-2.0
// The answer to `meshgate explain` in sentences: how it goes now, which ways there are, why this
// one, and what would have to change.
#include <array>
#include <string_view>

#include "cli/json_text.h"
#include "cli/show_mesh.h"

namespace meshgate::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Wording {
    std::string_view word;
    std::string_view text;
};

constexpr std::array kCauses{
    Wording{
        "lowest_metric",
        "Why     the lowest metric of all paths that work; another has to be better by 1/8, and "
        "for some seconds."},
    Wording{"relay_is_better",
            "Why     the direct links cost more than the relay: delay and loss count (1 ms about "
            "1.4, 1 % of loss 16)."},
    Wording{
        "no_endpoint_known",
        "Cause   no endpoint of it is known: the network file names none, and it has told none."},
    Wording{"no_way_to_endpoints",
            "Cause   no wan port of this box has an address of its endpoints' family."},
    Wording{"never_answered",
            "Cause   no probe on a direct link was ever answered: a NAT or firewall on one side "
            "lets nobody in."},
    Wording{"went_silent", "Cause   the direct links went silent."},
    Wording{"box_silent",
            "Cause   nothing is heard of it by any path, while other members answer: it is off, "
            "restarting or cut off."},
    Wording{"own_uplink",
            "Cause   no member answers on any link: it is this box's own uplink that fails, or all "
            "others are off."},
};

std::string_view text_for(std::span<const Wording> wordings, std::string_view word) {
    for (const Wording& wording : wordings) {
        if (wording.word == word)
            return wording.text;
    }
    return {};
}

// A cure that a later daemon knows and we do not is named by its word.
std::string cure_text(const Json& view, const std::string& cure) {
    const std::string peer = text_of(view.at("peer"));
    if (cure == "open_port")
        return "open UDP " + std::to_string(number_of(view.at("listen_port"))) +
               " at one of the two sites and name it in the network file (endpoints)";
    if (cure == "keep_source_port")
        return "a NAT that keeps the source port";
    if (cure == "use_ipv6")
        return "IPv6 on both sides";
    if (cure == "check_box")
        return "see whether " + peer + " has power and internet, and run `meshgate status` there";
    if (cure == "check_endpoints")
        return "see whether " + joined(view.at("endpoints")) +
               " still leads to it, and whether a firewall in front of it lets this UDP port in";
    if (cure == "check_own_ports")
        return "see `meshgate show ports` and the gateway of the wan ports";
    return cure;
}

std::string verdict_text(const Json& view) {
    const std::string peer = text_of(view.at("peer"));
    const std::string verdict = text_of(view.at("verdict"));
    const Json& path = view.at("path");
    const std::string metric = ", metric " + number_or_dash(path.at("metric"));
    if (verdict == "self")
        return peer + " is this box.";
    if (verdict == "no_session")
        return peer + " has NO SESSION: no handshake was answered.";
    if (verdict == "no_path")
        return peer + " has a session, but NO PATH: nothing reaches it.";
    if (verdict == "direct")
        return peer + " is DIRECT, " + text_of(path.at("port")) + " -> " +
               text_of(path.at("remote")) + metric + ".";
    if (verdict == "relayed") {
        const Json& rtt = view.at("rtt_ms");
        return peer + " is RELAYED by " + text_of(path.at("relay")) + metric +
               (rtt.is_null() ? "" : ", " + milliseconds(rtt) + " end to end") + ".";
    }
    return peer + " is IDLE: nobody talks to it; a session comes up with the first packet.";
}

std::string link_text(const Json& link) {
    const double loss = link.at("loss_ratio").get<double>();
    const Json& heard = link.at("age_s");
    std::string text = "  direct " + text_of(link.at("port")) + " -> " +
                       text_of(link.at("remote")) + "  " + text_of(link.at("state")) + ": ";
    text += link.at("rtt_p50_ms").is_null() ? "no answer yet" : milliseconds(link.at("rtt_p50_ms"));
    if (loss >= 0.005)
        text += decimal(loss * 100, ", %.0f %% lost");
    if (!link.at("cost").is_null())
        text += ", cost " + number_or_dash(link.at("cost"));
    if (link.at("metered").get<bool>())
        text += ", metered";
    text += heard.is_null() ? ", never heard from" : ", last heard " + age(heard) + " ago";
    text += " (" + text_of(link.at("origin")) + ")";
    return text + (link.at("in_use").get<bool>() ? "  <- in use" : "");
}

std::string relay_text(const Json& relay) {
    std::string text = "  relay " + text_of(relay.at("name")) + "  ";
    if (relay.at("metric").is_null())
        text += "announces no route any more";
    else
        text += "metric " + number_or_dash(relay.at("metric")) +
                (relay.at("to_all").get<bool>() ? " to itself; it forwards to all members" : "");
    return text + (relay.at("avoided").get<bool>() ? ", avoided: it forwarded nothing" : "");
}

std::string cures_text(const Json& view) {
    std::string text;
    for (const Json& cure : view.at("cures"))
        text += (text.empty() ? "" : "; ") + cure_text(view, text_of(cure));
    return text.empty() ? "" : "Fix     any one of: " + text + ".\n";
}

}  // namespace

std::string explain_text(const Json& view) {
    std::string out = verdict_text(view) + "\n";
    for (const Json& link : view.at("links"))
        out += link_text(link) + "\n";
    for (const Json& relay : view.at("relays"))
        out += relay_text(relay) + "\n";
    const std::string_view cause = text_for(kCauses, text_of(view.at("cause")));
    if (!cause.empty())
        out += std::string{cause} + "\n";
    out += cures_text(view);
    const Json& next_try = view.at("next_try_s");
    if (!next_try.is_null())
        out += "Next attempt at a direct link in " + age(next_try) + ".\n";
    return out;
}

}  // namespace meshgate::cli

// SPDX-License-Identifier: Apache-2.0
#include "config/schema/network_keys.h"

#include "config/schema/binder.h"
#include "config/schema/network_values.h"
#include "config/schema/values.h"

namespace meshgate::config {
namespace {

// How a row reaches its member: of the file itself, or of the last member or client. Nothing shows
// or compares values by these rows: networks are compared by diff().
template <typename T, const auto& kType, T& (*kReach)(Network&)>
constexpr KeyRuleOf<Network> key(std::string_view group, std::string_view name, Count count,
                                 std::string_view fallback, std::string_view text) {
    return {group,
            name,
            count,
            fallback,
            Reload::live,
            kType.words,
            [](const Input& in, Network& network) { kType.read(in, kReach(network)); },
            nullptr,
            text};
}

template <auto kMember>
auto& of_file(Network& network) {
    return network.*kMember;
}
template <auto kMember>
auto& of_member(Network& network) {
    return network.members.back().*kMember;
}
template <auto kMember>
auto& of_client(Network& network) {
    return network.clients.back().*kMember;
}

constexpr auto kRequired = Count::required;
constexpr auto kOptional = Count::optional;
using Names = std::vector<std::string>;
using Prefixes = std::vector<Prefix>;

constexpr GroupRuleOf<Network> kGroups[] = {
    {"members", kRequired, Shape::list, [](Network& network) { network.members.emplace_back(); },
     "The boxes of the network. A member is its public key: a new name keeps its sessions. A "
     "member that is taken out is cut off everywhere."},
    {"clients", kOptional, Shape::list, [](Network& network) { network.clients.emplace_back(); },
     "Stock WireGuard devices that may connect to the boxes. Their addresses follow them from box "
     "to box."},
};

constexpr KeyRuleOf<Network> kKeys[] = {
    key<uint64_t, kVersionType, of_file<&Network::version>>(
        "", "version", kRequired, "",
        "Raise it with every change: of two files a box takes the one with the higher version."),
    key<std::string, kNameType, of_file<&Network::name>>("", "name", kRequired, "",
                                                         "The name of the network."),

    key<std::string, kNameType, of_member<&Member::name>>(
        "members", "name", kRequired, "",
        "Unique among members and clients; the label in metrics and `show`. It need not be the "
        "`node.name` of the box."),
    key<PublicKey, kPublicKeyType, of_member<&Member::public_key>>(
        "members", "public_key", kRequired, "",
        "The public key of the box, as `meshgate pubkey` prints it. Each has its own."),
    key<Prefixes, kOwnedNetworksType, of_member<&Member::prefixes>>(
        "members", "prefixes", kOptional, "",
        "The networks behind the box: what it may send from, and what is sent to it. Prefixes of "
        "two members must not overlap. `0.0.0.0/0` and `::/0` mean everything that nobody else "
        "has; one member at most has each."),
    key<std::vector<MemberEndpoint>, kMemberEndpointsType, of_member<&Member::endpoints>>(
        "members", "endpoints", kOptional, "",
        "Where the box can be reached from the internet: addresses or DNS names, 16 at most. A "
        "member without endpoints calls the others. Names are resolved again every minute."),
    key<bool, kBooleanType, of_member<&Member::relay>>(
        "members", "relay", kOptional, "false",
        "This box forwards the datagrams of others, which it cannot read."),
    key<Names, kNamesType, of_member<&Member::published>>(
        "members", "published", kOptional, "",
        "Relays at whose endpoints stock WireGuard clients can reach this member: names of other "
        "members with `relay: true`."),
    key<Names, kTagsType, of_member<&Member::tags>>("members", "tags", kOptional, "",
                                                    "Words that rules to come may refer to."),

    key<std::string, kNameType, of_client<&Client::name>>(
        "clients", "name", kRequired, "",
        "Unique among members and clients; the label in metrics and `show`."),
    key<PublicKey, kPublicKeyType, of_client<&Client::public_key>>(
        "clients", "public_key", kRequired, "",
        "The public key of the device. No member and no other client has it."),
    key<Prefixes, kOwnedNetworksType, of_client<&Client::addresses>>(
        "clients", "address", kRequired, "",
        "What the device may send from, and what is sent to it. No other client has a part of it. "
        "It may lie inside of a member's prefix, of which it is then the exception: the longer "
        "prefix wins. It must not be a whole prefix of a member, or more."),
    key<Names, kNamesType, of_client<&Client::boxes>>(
        "clients", "boxes", kOptional, "", "The members that it may connect to. Without it: any."),
    key<Names, kTagsType, of_client<&Client::tags>>("clients", "tags", kOptional, "",
                                                    "Words that rules to come may refer to."),
};

bool refuse_elsewhere(Report& report, const YamlNode& key, const std::string& path) {
    if (key.text == "policy") {
        report
            .error("not-available", key.place, path,
                   "policies are not available yet: this version would let everything pass")
            .fix = "remove this section; every member may reach every other one without it";
        return true;
    }
    if (!is_one_of(key.text, {"node", "ports", "routes", "wireguard", "dataplane", "peers",
                              "network", "control", "log"}))
        return false;
    report.error("wrong-file", key.place, path, "this belongs to a box file, not to a network file")
        .fix = "remove it here; a network file has version, name, members and clients";
    return true;
}

}  // namespace

const Schema<Network>& network_schema() {
    static constexpr Schema<Network> kSchema{kGroups, kKeys, refuse_elsewhere,
                                             "begin with version:, name: and members:, each at "
                                             "the start of a line"};
    return kSchema;
}

Network bind_network(const YamlNode& root, Report& report) {
    static const std::string kNoFolder;
    return Binder<Network>{network_schema(), root, report, kNoFolder}.run();
}

}  // namespace meshgate::config

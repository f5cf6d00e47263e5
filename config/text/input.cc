// SPDX-License-Identifier: Apache-2.0
#include "config/text/input.h"

#include "base/address.h"

namespace meshgate::config {
namespace {

std::string numbered(std::string_view name, int index) {
    return index < 0 ? std::string{name} : std::string{name} + "[" + std::to_string(index) + "]";
}

// "[2001:db8::1]" and "[2001:db8::1, 51820]" unquoted.
bool is_address_list(const YamlNode& node) {
    return node.kind == NodeKind::list && !node.children.empty() &&
           node.children[0].text.find(':') != std::string::npos &&
           parse_address(node.children[0].text).has_value();
}

// "2001:db8::" and "{::1}": to YAML the colon ended a key.
bool is_address_map(const YamlNode& node) {
    return node.kind == NodeKind::map && !node.children.empty() &&
           parse_address(node.children[0].text + ":").has_value();
}

}  // namespace

std::string Path::str() const {
    const std::string head = numbered(group, index);
    if (key.empty())
        return head;
    return head + "." + numbered(key, item);
}

Diagnostic& Input::complain(std::string_view code, std::string message) const {
    Diagnostic& diagnostic = report.error(code, node.place, path.str(), std::move(message));
    if (!allowed.empty())
        diagnostic.allowed.emplace_back(allowed);
    return diagnostic;
}

std::optional<std::string_view> Input::scalar() const {
    if (node.kind == NodeKind::scalar && !(node.text.empty() && node.quoted))
        return node.text;
    if (node.kind == NodeKind::scalar || node.kind == NodeKind::null) {
        complain("missing-value", "there is no value here");
    } else if (is_address_list(node)) {
        complain("bad-endpoint", "without quotes this is a YAML list, not an address").fix =
            "write it with quotes: \"[" + node.children[0].text + "]:51820\"";
    } else if (is_address_map(node)) {
        complain("bad-address", "an IPv6 address that ends in a colon is a key to YAML").fix =
            "write it with quotes: \"" + node.children[0].text + ":\"";
    } else {
        complain("bad-type", node.kind == NodeKind::list ? "a list, where one value is expected"
                                                         : "a group of keys, where one value is "
                                                           "expected");
    }
    return std::nullopt;
}

std::optional<std::string_view> Input::bare_scalar() const {
    const auto text = scalar();
    if (text && node.quoted) {
        complain("bad-type", "quotes make this a text").fix = "write it without quotes";
        return std::nullopt;
    }
    return text;
}

std::vector<Input> Input::items() const {
    std::vector<Input> all;
    if (node.kind != NodeKind::list) {
        if (scalar())
            all.push_back(*this);
        return all;
    }
    if (node.children.empty())
        complain("missing-value", "the list is empty");
    for (size_t i = 0; i < node.children.size(); ++i) {
        Path item_path = path;
        item_path.item = static_cast<int>(i);
        all.push_back(Input{node.children[i], item_path, report, base_dir, allowed});
    }
    return all;
}

}  // namespace meshgate::config

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/text.h"
#include "config/schema/bind.h"
#include "config/schema/schema.h"

namespace meshgate::config {

using Words = std::vector<std::string_view>;

// For guesses: AllowedIPs, allowed-ips and allowed_ips are one word.
std::string folded(std::string_view word);
// The allowed word that was probably meant; empty when none is near.
std::string_view guess(std::string_view word, const Words& allowed);
bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words);

// Reads a tree into a Document by the table of keys: unknown, missing and duplicate keys, types,
// defaults. Each value for itself. Where the report got an error the document holds an empty value,
// so that positions stay those of the file.
template <typename Document>
class Binder {
public:
    Binder(const Schema<Document>& schema, const YamlNode& root, Report& report,
           const std::string& base_dir)
        : schema_{schema}, root_{root}, report_{report}, base_dir_{base_dir} {}

    Document run() {
        if (root_.kind != NodeKind::map && root_.kind != NodeKind::null) {
            report_.error("bad-type", root_.place, "", noun() + " is a group of keys").fix =
                schema_.begin_with;
            return std::move(document_);
        }
        Words names;
        for (const Key& rule : schema_.keys_of(""))
            names.push_back(rule.name);
        for (const Group& group : schema_.groups)
            names.push_back(group.name);
        check_keys(root_, Path{}, names);
        for (const Key& rule : schema_.keys_of(""))
            bind_key(root_, Path{.group = rule.name}, rule);
        for (const Group& group : schema_.groups)
            bind_group(group);
        return std::move(document_);
    }

private:
    using Key = KeyRuleOf<Document>;
    using Group = GroupRuleOf<Document>;

    std::string noun() const { return std::string{report_.kind().noun}; }

    void bind_group(const Group& group) {
        const YamlNode* node = root_.find(group.name);
        const Path path{.group = group.name};
        if (node == nullptr && group.count == Count::required) {
            Diagnostic& diagnostic =
                report_.error("missing-key", root_.place, path.str(), "this section is missing");
            diagnostic.fix = "add it; docs/configure.md has an example";
        } else if (node == nullptr && group.shape == Shape::presence) {
            return;
        } else if (group.shape != Shape::list) {
            YamlNode empty;  // stands where its key does, or nowhere
            if (const YamlNode* key = root_.find_key(group.name))
                empty.place = key->place;
            const bool there = node != nullptr && node->kind != NodeKind::null;
            bind_map(there ? *node : empty, path);
        } else if (node != nullptr && node->kind != NodeKind::null) {
            bind_list(*node, group);
        }
    }

    void bind_list(const YamlNode& node, const Group& group) {
        Path path{.group = group.name};
        if (node.kind != NodeKind::list) {
            report_.error("bad-type", node.place, path.str(), "this section is a list").fix =
                "begin each entry with a dash: \"- name: ...\"";
            return;
        }
        for (size_t i = 0; i < node.children.size() && !report_.full(); ++i) {
            path.index = static_cast<int>(i);
            group.grow(document_);
            bind_map(node.children[i], path);
        }
    }

    void bind_map(const YamlNode& node, Path path) {
        if (node.kind != NodeKind::map && node.kind != NodeKind::null) {
            report_.error("bad-type", node.place, path.str(), "a group of keys is expected here")
                .fix = "write it as \"key: value\", one in a line, or as {key: value, key: value}";
            return;
        }
        const std::span<const Key> rules = schema_.keys_of(path.group);
        Words names;
        for (const Key& rule : rules)
            names.push_back(rule.name);
        check_keys(node, path, names);
        for (const Key& rule : rules) {
            path.key = rule.name;
            bind_key(node, path, rule);
        }
    }

    void bind_key(const YamlNode& map, const Path& path, const Key& rule) {
        const YamlNode* key = map.find_key(rule.name);
        if (key == nullptr) {
            bind_absent(map, path, rule);
            return;
        }
        const YamlNode& value = *(key + 1);
        if (value.kind == NodeKind::null) {
            Diagnostic& diagnostic =
                report_.error("missing-value", key->place, path.str(), "this key has no value");
            diagnostic.allowed.emplace_back(rule.words);
            return;
        }
        rule.read(Input{value, path, report_, base_dir_, rule.words}, document_);
    }

    void bind_absent(const YamlNode& map, const Path& path, const Key& rule) {
        if (rule.count == Count::required) {
            const Place place = map.place.line > 0 ? map.place : Place{.line = 1, .column = 1};
            report_.error("missing-key", place, path.str(), "this key is missing")
                .allowed.emplace_back(rule.words);
        } else if (!rule.fallback.empty()) {
            const YamlNode value{
                .kind = NodeKind::scalar, .text = std::string{rule.fallback}, .children = {}};
            rule.read(Input{value, path, report_, base_dir_, rule.words}, document_);
        }
    }

    void check_keys(const YamlNode& map, const Path& path, const Words& allowed) {
        std::unordered_map<std::string_view, const YamlNode*> seen;
        for (size_t i = 0; i + 1 < map.children.size() && !report_.full(); i += 2) {
            const YamlNode& key = map.children[i];
            if (key.kind != NodeKind::scalar) {
                report_.error("bad-type", key.place, path.str(), "a key is a word").fix =
                    "write the name of a key, a colon, a space and the value";
                continue;
            }
            const auto [first, fresh] = seen.emplace(key.text, &key);
            if (!fresh)
                refuse_duplicate(key, *first->second, path);
            else if (std::find(allowed.begin(), allowed.end(), key.text) == allowed.end())
                refuse_unknown(key, path, allowed);
        }
    }

    std::string path_of(const Path& map, const YamlNode& key) const {
        const std::string name = holds_key(key.text) ? "?" : printable(key.text.substr(0, 64));
        return map.group.empty() ? name : map.str() + "." + name;
    }

    void refuse_duplicate(const YamlNode& key, const YamlNode& first, const Path& path) {
        Diagnostic& diagnostic = report_.error("duplicate-key", key.place, path_of(path, key),
                                               quoted(key.text) + " stands here twice");
        diagnostic.fix = "keep one of the two";
        diagnostic.related.push_back({first.place, "the first one"});
    }

    void refuse_unknown(const YamlNode& key, const Path& path, const Words& allowed) {
        const std::string full = path_of(path, key);
        if (path.group.empty() && schema_.refuse_elsewhere(report_, key, full))
            return;
        if (is_one_of(folded(key.text), {"privatekey", "presharedkey"})) {
            report_.error("inline-secret", key.place, full, noun() + " holds no secret keys").fix =
                secret_cure(path);
            return;
        }
        if (key.text == "<<") {
            report_.error("no-anchors", key.place, full, "merge keys have no place in " + noun())
                .fix = "write the keys out where they are needed";
            return;
        }
        const std::string where = path.group.empty() ? noun() : path.str() + name_of(path);
        Diagnostic& diagnostic = report_.error("unknown-key", key.place, full,
                                               quoted(key.text) + " is not a key of " + where);
        diagnostic.suggestion = guess(key.text, allowed);
        diagnostic.allowed.assign(allowed.begin(), allowed.end());
        const std::string_view right_group = group_with_key(key.text);
        if (diagnostic.suggestion.empty() && !right_group.empty())
            diagnostic.fix = "it belongs to " + std::string{right_group};
    }

    std::string secret_cure(const Path& path) const {
        const std::string_view file =
            path.group == "peers" ? "preshared_key_file" : "private_key_file";
        if (group_with_key(file).empty())
            return "remove it: a secret key stays on the box that it belongs to";
        return "put the key into a file of its own, chmod 600, and name it with " +
               std::string{file};
    }

    // The name of a list's element, as the user knows it.
    std::string name_of(const Path& path) const {
        const YamlNode* name = path.index < 0 ? nullptr : node_at(root_, path).find("name");
        if (name == nullptr || name->kind != NodeKind::scalar || holds_key(name->text))
            return "";
        return " (" + printable(name->text.substr(0, 64)) + ")";
    }

    // Where a key that is unknown here would be right.
    std::string_view group_with_key(std::string_view name) const {
        for (const Key& rule : schema_.keys)
            if (rule.name == name)
                return rule.group;
        return {};
    }

    const Schema<Document>& schema_;
    const YamlNode& root_;
    Report& report_;
    const std::string& base_dir_;
    Document document_;
};

}  // namespace meshgate::config

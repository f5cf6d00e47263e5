// SPDX-License-Identifier: Apache-2.0
#include "config/schema/bind.h"

#include <cctype>

#include "config/schema/binder.h"
#include "config/schema/keys.h"

namespace meshgate::config {
namespace {

// Keys of the network file.
bool refuse_elsewhere(Report& report, const YamlNode& key, const std::string& path) {
    if (!is_one_of(key.text, {"policy", "members", "clients", "version"}))
        return false;
    report.error("wrong-file", key.place, path, "this belongs to a network file, not to a box file")
        .fix = "remove it here; network.file names the network file";
    return true;
}

const YamlNode* child_at(const YamlNode& list, int index) {
    const auto position = static_cast<size_t>(index);
    const bool there = list.kind == NodeKind::list && position < list.children.size();
    return there ? &list.children[position] : nullptr;
}

}  // namespace

std::string folded(std::string_view word) {
    std::string out;
    for (const char c : word)
        if (std::isalnum(static_cast<unsigned char>(c)) != 0)
            out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

std::string_view guess(std::string_view word, const Words& allowed) {
    for (const std::string_view candidate : allowed)
        if (folded(candidate) == folded(word))
            return candidate;
    return closest_word(word, allowed);
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

Model bind(const YamlNode& root, Report& report, const std::string& base_dir) {
    const Schema<Model> schema{groups(), keys(), refuse_elsewhere,
                               "begin with node: and ports:, each at the start of a line"};
    return Binder<Model>{schema, root, report, base_dir}.run();
}

const YamlNode& node_at(const YamlNode& root, const Path& path) {
    const YamlNode* found = &root;
    const auto descend = [&found](const YamlNode* next) {
        found = next == nullptr ? found : next;
        return next != nullptr;
    };
    if (!descend(root.find(path.group)))
        return *found;
    if (path.index >= 0 && !descend(child_at(*found, path.index)))
        return *found;
    if (!path.key.empty() && descend(found->find(path.key)) && path.item >= 0)
        descend(child_at(*found, path.item));
    return *found;
}

}  // namespace meshgate::config

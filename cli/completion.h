// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace meshgate::cli {

// What may stand at a place of the command line.
enum class Fill : uint8_t { nothing, file, words, noun, name_of_noun, member };

struct Place {
    std::string name;  // "--format", or of a word without a dash "FILE"
    std::string description;
    Fill fill = Fill::nothing;
    bool takes_value = true;
    std::vector<std::string> words;
};

struct Verb {
    std::string words;  // "network sign"; empty: the program itself
    std::string description;
    std::vector<Place> options;
    std::vector<Place> positionals;
    std::vector<std::string> verbs;  // of a group: what must follow
};

// Every verb that the parser knows, the program first.
std::vector<Verb> command_table(const CLI::App& app);

// The completion script for a shell: bash, zsh or fish.
std::optional<std::string> completion(const std::vector<Verb>& verbs, std::string_view shell);

}  // namespace meshgate::cli

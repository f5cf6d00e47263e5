// SPDX-License-Identifier: Apache-2.0
// Three shells, one way: a place on the command line is a verb and how many words stand behind it,
// "show/1"; a case per place says what fits there.
#include "cli/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/api_nouns.h"

namespace meshgate::cli {
namespace {

constexpr std::string_view kHead =
    "# Completion of meshgate(8), written by `meshgate completion`.\n";

Fill fill_of(std::string_view name) {
    if (name == "FILE" || name == "KEYFILE" || name == "--key" || name == "--socket" ||
        name == "--answers" || name == "--folder")
        return Fill::file;
    if (name == "WHAT")
        return Fill::noun;
    if (name == "NAME")
        return Fill::name_of_noun;
    return name == "PEER" ? Fill::member : Fill::nothing;
}

// Of CLI::IsMember, which describes itself as "{text,gcc,json}".
std::vector<std::string> words_of(const CLI::Option& option) {
    const std::string type = option.get_type_name();
    const size_t open = type.find('{');
    const size_t close = type.find('}');
    if (open == std::string::npos || close == std::string::npos)
        return {};
    return CLI::detail::split(type.substr(open + 1, close - open - 1), ',');
}

Place place_of(const CLI::Option& option) {
    Place place{.name = option.get_positional() ? option.get_name(true) : "",
                .description = option.get_description()};
    if (!option.get_positional())
        place.name = "--" + option.get_lnames().front();
    place.takes_value = option.get_items_expected_max() > 0;
    place.words = words_of(option);
    place.fill = place.words.empty() ? fill_of(place.name) : Fill::words;
    return place;
}

void add_verb(std::vector<Verb>& verbs, const CLI::App& app, const std::string& words) {
    Verb verb{.words = words, .description = app.get_description()};
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_positional())
            verb.positionals.push_back(place_of(*option));
        else if (!option->get_lnames().empty() && (words.empty() || option->get_name() != "--help"))
            verb.options.push_back(place_of(*option));
    }
    const auto children = app.get_subcommands([](const CLI::App*) { return true; });
    for (const CLI::App* child : children)
        verb.verbs.push_back(child->get_name());
    verbs.push_back(std::move(verb));
    for (const CLI::App* child : children)
        add_verb(verbs, *child, (words.empty() ? "" : words + " ") + child->get_name());
}

template <typename Words>
std::string join(const Words& words, const char* between) {
    std::string text;
    for (const auto& word : words)
        text.append(text.empty() ? "" : between).append(word);
    return text;
}

// What a place is filled with, in the words of one shell.
struct Shell {
    std::string files;
    std::string names;  // of the noun that was given
    std::string members;
    std::string (*words)(const std::string& list);
};

std::string fill(const Shell& shell, const Place& place) {
    switch (place.fill) {
        case Fill::file:
            return shell.files;
        case Fill::words:
            return shell.words(join(place.words, " "));
        case Fill::noun:
            return shell.words(join(kApiNouns, " "));
        case Fill::name_of_noun:
            return shell.names;
        case Fill::member:
            return shell.members;
        case Fill::nothing:
            break;
    }
    return ":";
}

struct Case {
    std::string pattern;
    std::string action;
};

// "show/0", "show/1", ... and what fits there.
std::vector<Case> places(const std::vector<Verb>& verbs, const Shell& shell) {
    std::vector<Case> cases;
    for (const Verb& verb : verbs) {
        if (!verb.verbs.empty())
            cases.push_back({verb.words + "/0", shell.words(join(verb.verbs, " "))});
        for (size_t i = 0; i < verb.positionals.size(); ++i) {
            if (verb.positionals[i].fill != Fill::nothing)
                cases.push_back(
                    {verb.words + "/" + std::to_string(i), fill(shell, verb.positionals[i])});
        }
    }
    return cases;
}

std::vector<Place> options_with_value(const std::vector<Verb>& verbs) {
    std::vector<Place> found;
    for (const Verb& verb : verbs) {
        for (const Place& option : verb.options) {
            const auto same = [&](const Place& place) { return place.name == option.name; };
            if (option.takes_value && std::none_of(found.begin(), found.end(), same))
                found.push_back(option);
        }
    }
    return found;
}

std::vector<std::string> names(const std::vector<Place>& places) {
    std::vector<std::string> found;
    for (const Place& place : places)
        found.push_back(place.name);
    return found;
}

// Of the verb and of the program.
std::string options_of(const Verb& verb, const Verb& program) {
    std::vector<std::string> all = names(verb.options);
    if (!verb.words.empty())
        for (const std::string& name : names(program.options))
            all.push_back(name);
    return join(all, " ");
}

// Verbs that only choose among others.
std::vector<std::string> groups(const std::vector<Verb>& verbs) {
    std::vector<std::string> found;
    for (const Verb& verb : verbs) {
        if (!verb.verbs.empty())
            found.push_back("\"" + verb.words + "\"");
    }
    return found;
}

std::string bash_like(const std::vector<Verb>& verbs, const Shell& shell,
                      const char* words_so_far) {
    const std::vector<Place> valued = options_with_value(verbs);
    std::string text = words_so_far;
    text += "        case $word in\n            " + join(names(valued), "|") +
            ") ((i++)) ;;\n            -*) ;;\n            *) case \"$verb\" in\n                " +
            join(groups(verbs), "|") +
            ") verb=${verb:+$verb }$word; noun='' ;;\n"
            "                *) ((++nb)); [[ -n $noun ]] || noun=$word ;;\n"
            "               esac ;;\n        esac\n    done\n    case $before in\n";
    for (const Place& option : valued)
        text += "        " + option.name + ") " + fill(shell, option) + "; return ;;\n";
    text += "    esac\n    if [[ $current == -* ]]; then\n        case $verb in\n";
    for (const Verb& verb : verbs)
        text += "            \"" + verb.words + "\") " +
                shell.words(options_of(verb, verbs.front())) + " ;;\n";
    text += "        esac\n        return\n    fi\n    case $verb/$nb in\n";
    for (const Case& at : places(verbs, shell))
        text += "        \"" + at.pattern + "\") " + at.action + " ;;\n";
    return text + "    esac\n}\n";
}

std::string bash(const std::vector<Verb>& verbs) {
    const Shell shell{
        .files = "mapfile -t COMPREPLY < <(compgen -f -- \"$current\")",
        .names = "_meshgate_offer \"$(_meshgate_names \"$noun\")\"",
        .members = "_meshgate_offer \"$(_meshgate_names members)\"",
        .words = [](const std::string& list) { return "_meshgate_offer '" + list + "'"; }};
    return std::string{kHead} + R"(
_meshgate_names() {
    # compgen -W expands what it is given, so only plain words may pass.
    meshgate show "$1" --timeout 1s 2>/dev/null |
        awk 'NR > 1 && NF == 0 {exit} NR > 1 && $1 ~ /^[A-Za-z0-9._:\/-]+$/ {print $1}'
}

_meshgate_offer() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}

_meshgate() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
)" + bash_like(verbs, shell, R"(    local verb='' noun='' word nb=0 i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
)") + "complete -F _meshgate meshgate\n";
}

std::string zsh(const std::vector<Verb>& verbs) {
    const Shell shell{.files = "_files",
                      .names = "compadd -- ${(f)\"$(_meshgate_names $noun)\"}",
                      .members = "compadd -- ${(f)\"$(_meshgate_names members)\"}",
                      .words = [](const std::string& list) { return "compadd -- " + list; }};
    return "#compdef meshgate\n" + std::string{kHead} + R"(
_meshgate_names() {
    meshgate show "$1" --timeout 1s 2>/dev/null |
        awk 'NR > 1 && NF == 0 {exit} NR > 1 && $1 ~ /^[A-Za-z0-9._:\/-]+$/ {print $1}'
}

_meshgate() {
    local current=${words[CURRENT]} before=${words[CURRENT-1]}
)" + bash_like(verbs, shell, R"(    local verb='' noun='' word nb=0 i
    for ((i = 2; i < CURRENT; i++)); do
        word=${words[i]}
)") + "_meshgate \"$@\"\n";
}

std::string quoted(std::string text) {
    for (size_t i = text.find('\''); i != std::string::npos; i = text.find('\'', i + 2))
        text.insert(i, 1, '\\');
    return "'" + text + "'";
}

std::string fish(const std::vector<Verb>& verbs) {
    const Shell shell{.files = "-F",
                      .names = "-a '(__meshgate_names (__meshgate_noun))'",
                      .members = "-a '(__meshgate_names members)'",
                      .words = [](const std::string& list) { return "-a '" + list + "'"; }};
    std::string text = std::string{kHead} + R"(
# Prints "VERB/N NOUN": the verb so far, the number of words behind it, the first of them.
function __meshgate_place
    set -l verb ''
    set -l nb 0
    set -l noun ''
    set -l skip 0
    for word in (commandline -opc)[2..]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case @VALUED@
                set skip 1
            case '-*'
            case '*'
                if contains -- "$verb" @GROUPS@
                    set verb (string trim -- "$verb $word")
                else
                    set nb (math $nb + 1)
                    test -n "$noun"; or set noun $word
                end
        end
    end
    printf '%s/%s\n%s\n' "$verb" $nb "$noun"
end
function __meshgate_at
    set -l place (__meshgate_place)
    test "$place[1]" = "$argv[1]"
end
function __meshgate_verb
    set -l place (__meshgate_place)
    string match -q -- "$argv[1]/*" "$place[1]"
end
function __meshgate_noun
    set -l place (__meshgate_place)
    echo $place[2]
end
function __meshgate_names
    meshgate show $argv[1] --timeout 1s 2>/dev/null |
        awk 'NR > 1 && NF == 0 {exit} NR > 1 && $1 ~ /^[A-Za-z0-9._:\/-]+$/ {print $1}'
end
complete -c meshgate -f
)";
    const auto replace = [&text](std::string_view mark, const std::string& with) {
        text.replace(text.find(mark), mark.size(), with);
    };
    replace("@VALUED@", join(names(options_with_value(verbs)), " "));
    replace("@GROUPS@", join(groups(verbs), " "));
    for (const Verb& verb : verbs) {
        const std::string when =
            verb.words.empty() ? "" : " -n \"__meshgate_verb '" + verb.words + "'\"";
        for (const Place& option : verb.options)
            text += "complete -c meshgate" + when + " -l " + option.name.substr(2) +
                    (option.takes_value
                         ? " -r" + (option.fill == Fill::nothing ? std::string{}
                                                                 : " " + fill(shell, option))
                         : "") +
                    " -d " + quoted(option.description) + "\n";
        if (!verb.words.empty()) {
            const size_t space = verb.words.rfind(' ');
            const std::string group = space == std::string::npos ? "" : verb.words.substr(0, space);
            text += "complete -c meshgate -n \"__meshgate_at '" + group + "/0'\" -a " +
                    verb.words.substr(space + 1) + " -d " + quoted(verb.description) + "\n";
        }
        for (size_t i = 0; i < verb.positionals.size(); ++i) {
            if (verb.positionals[i].fill != Fill::nothing)
                text += "complete -c meshgate -n \"__meshgate_at '" + verb.words + "/" +
                        std::to_string(i) + "'\" " + fill(shell, verb.positionals[i]) + "\n";
        }
    }
    return text;
}

}  // namespace

std::vector<Verb> command_table(const CLI::App& app) {
    std::vector<Verb> verbs;
    add_verb(verbs, app, "");
    return verbs;
}

std::optional<std::string> completion(const std::vector<Verb>& verbs, std::string_view shell) {
    if (shell == "bash")
        return bash(verbs);
    if (shell == "zsh")
        return zsh(verbs);
    return shell == "fish" ? std::optional{fish(verbs)} : std::nullopt;
}

}  // namespace meshgate::cli

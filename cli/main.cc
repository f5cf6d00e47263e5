// SPDX-License-Identifier: Apache-2.0
// meshgate: the command. Parses the arguments; commands.cc does the work.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>

#include "base/api_nouns.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/keys.h"
#include "cli/network.h"
#include "cli/setup/setup.h"

namespace meshgate::cli {
namespace {

// What the words on the command line mean.
struct Arguments {
    Options options;
    std::string timeout = "5s";
    bool json = false;
    bool no_colour = false;
    bool all = false;
    std::string noun;
    std::string name;
    std::string file;
    std::string format = "text";
    std::string key_file;
    std::string authority;
    bool force = false;
    std::string shell;
    SetupOptions setup;
};

// "5s", "500ms" or "5"; empty for anything else.
std::optional<std::chrono::milliseconds> parse_timeout(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    const std::string unit = end;
    const double ms = unit == "ms" ? value : value * 1000;
    const bool unit_ok = unit.empty() || unit == "s" || unit == "ms";
    if (end == text.c_str() || !unit_ok || !(ms >= 1 && ms <= 3.6e6))
        return {};
    return std::chrono::milliseconds{static_cast<int64_t>(ms)};
}

void add_options(CLI::App& app, Arguments& arguments) {
    app.add_flag("--json", arguments.json, "Answer as JSON, with a schema that is kept");
    app.add_option("--socket", arguments.options.socket, "The daemon's API socket")
        ->envname("MESHGATE_SOCKET")
        ->default_val("/run/meshgate/meshgate.sock");
    app.add_option("--timeout", arguments.timeout, "How long to wait for an answer")
        ->default_val("5s");
    app.add_flag("--no-color,--no-colour", arguments.no_colour, "No colour even on a terminal");
    app.set_version_flag("--version", "meshgate " MESHGATE_VERSION);
}

void add_network_verbs(CLI::App& app, Arguments& arguments) {
    CLI::App* network =
        app.add_subcommand("network", "Make, sign, check and spread a network file");
    network->require_subcommand(1);
    CLI::App* keygen = network->add_subcommand(
        "keygen",
        "Make an authority's key pair: the secret into a new file, the public key to "
        "stdout");
    keygen->add_option("KEYFILE", arguments.key_file, "The new file")->required();
    CLI::App* sign = network->add_subcommand("sign", "Check a network file and write FILE.sig");
    sign->add_option("FILE", arguments.file, "The network file")->required();
    sign->add_option("--key", arguments.key_file, "The file with the authority's secret key")
        ->required();
    sign->add_flag("--force", arguments.force, "Also when the version is not above the last one");
    CLI::App* verify =
        network->add_subcommand("verify", "Is FILE good, and FILE.sig by this authority?");
    verify->add_option("FILE", arguments.file, "The network file")->required();
    verify->add_option("--authority", arguments.authority, "The authority's public key")
        ->required();
    CLI::App* show = network->add_subcommand("show", "Members, their addresses, and clients");
    show->add_option("FILE", arguments.file, "The network file")->required();
    show->add_option("--authority", arguments.authority,
                     "The authority's public key; without it the one that FILE.sig names");
    CLI::App* push = network->add_subcommand("push", "Give FILE and FILE.sig to this box's daemon");
    push->add_option("FILE", arguments.file, "The network file")->required();
}

void add_setup(CLI::App& app, SetupOptions& options) {
    CLI::App* setup = app.add_subcommand("setup", "Make this machine a box: five questions");
    setup->add_option("--answers", options.answers, "A file with the answers, to ask nothing");
    setup->add_flag("--dry-run", options.dry_run, "Show what would be done");
    setup->add_flag("--start", options.start,
                    "Start the daemon, now and with the machine, and move the machine's addresses "
                    "from its cards to their twins");
    setup->add_flag("--cut-ssh", options.cut_ssh, "Also where this ssh session ends by it");
    setup
        ->add_option("--confirm", options.confirm_seconds,
                     "How many seconds to wait on a terminal for a sign that ssh still works")
        ->default_val(options.confirm_seconds)
        ->check(CLI::Range(1U, 3600U));
    setup->add_option("--blink", options.blink, "Only let the lamp of this card blink");
    setup->add_option("--folder", options.folder, "The folder for box file and key")
        ->default_val(options.folder);
}

void add_verbs(CLI::App& app, Arguments& arguments) {
    app.add_subcommand("status", "One screen: health, ports, peers; exit 1 when not healthy");
    std::string nouns;
    for (const std::string_view noun : kApiNouns)
        nouns.append(nouns.empty() ? "" : ", ").append(noun);
    CLI::App* show = app.add_subcommand("show", "Tables of " + nouns);
    show->add_option("WHAT", arguments.noun, "One of " + nouns)->required();
    show->add_option("NAME", arguments.name,
                     "Only this one: a name, a prefix, an address, a reason, a number");
    show->add_flag("--all", arguments.all, "drops: also reasons never seen");
    app.add_subcommand("explain", "Why packets to a peer go where they go")
        ->add_option("PEER", arguments.name, "Its name")
        ->required();
    app.add_subcommand("reload", "Read the box file again; exit 78 when it is refused");
    CLI::App* check =
        app.add_subcommand("check", "Check a box file; needs neither daemon nor root");
    check->add_option("FILE", arguments.file, "The box file")->required();
    check->add_option("--format", arguments.format, "text, gcc (one line each) or json")
        ->check(CLI::IsMember({"text", "gcc", "json"}));
    add_network_verbs(app, arguments);
    add_setup(app, arguments.setup);
    app.add_subcommand("genkey", "Write a new private key to stdout");
    app.add_subcommand("pubkey", "Read a private key from stdin, write its public key");
    app.add_subcommand("genpsk", "Write a new preshared key to stdout");
    app.add_subcommand("completion", "Write a completion script for a shell to stdout")
        ->add_option("SHELL", arguments.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

std::vector<std::string> verbs_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(verb->get_name());
    return names;
}

void suggest(std::string_view word, const char* what, std::span<const std::string_view> known) {
    const std::string_view guess = closest_word(word, known);
    std::fprintf(stderr, "meshgate: '%s' is not %s", printable(word).c_str(), what);
    if (guess.empty())
        std::fputs("; see meshgate --help\n", stderr);
    else
        std::fprintf(stderr, "; did you mean '%.*s'?\n", static_cast<int>(guess.size()),
                     guess.data());
}

// CLI11 says only that a word was not expected; a verb deserves a better guess.
bool suggest_verb(const CLI::App& app, std::span<char* const> words) {
    bool is_value = false;
    const CLI::App* group = &app;
    for (const std::string_view word : words) {
        const bool skip = is_value || word.empty() || word.front() == '-';
        is_value = word == "--socket" || word == "--timeout";
        if (skip)
            continue;
        const std::vector<std::string> names = verbs_of(*group);
        if (names.empty())
            return false;
        if (std::find(names.begin(), names.end(), word) == names.end()) {
            const std::vector<std::string_view> known{names.begin(), names.end()};
            suggest(word, group == &app ? "a verb" : "a verb of network", known);
            return true;
        }
        group = group->get_subcommand(std::string{word});
    }
    return false;
}

int usage(const CLI::App& app, const CLI::ParseError& error, std::span<char* const> words) {
    if (error.get_exit_code() == 0)  // --help, --version
        return app.exit(error);
    if (!suggest_verb(app, words))
        std::fprintf(stderr, "meshgate: %s; see meshgate --help\n",
                     printable(error.what()).c_str());
    return static_cast<int>(ExitCode::usage);
}

ExitCode run_network(const CLI::App& network, const Arguments& arguments) {
    const Options& options = arguments.options;
    if (network.got_subcommand("keygen"))
        return network_keygen(options, arguments.key_file);
    if (network.got_subcommand("sign"))
        return network_sign(options, {arguments.file, arguments.key_file,
                                      arguments.force ? Force::yes : Force::no});
    if (network.got_subcommand("verify"))
        return network_verify(options, arguments.file, arguments.authority);
    if (network.got_subcommand("show"))
        return network_show(options, arguments.file, arguments.authority);
    return network_push(options, arguments.file);
}

ExitCode run(const CLI::App& app, const Arguments& arguments) {
    if (app.got_subcommand("network"))
        return run_network(*app.get_subcommand("network"), arguments);
    if (app.got_subcommand("explain"))
        return explain(arguments.options, arguments.name);
    if (app.got_subcommand("status"))
        return show_status(arguments.options);
    if (app.got_subcommand("reload"))
        return reload(arguments.options);
    if (app.got_subcommand("genkey"))
        return generate_key();
    if (app.got_subcommand("genpsk"))
        return generate_preshared_key();
    if (app.got_subcommand("pubkey"))
        return derive_public_key();
    if (app.got_subcommand("setup"))
        return setup(arguments.setup);
    if (app.got_subcommand("completion")) {
        std::fputs(completion(command_table(app), arguments.shell)->c_str(), stdout);
        return ExitCode::done;
    }
    if (app.got_subcommand("check")) {
        const bool json = arguments.json || arguments.format == "json";
        const CheckForm form = json                        ? CheckForm::json
                               : arguments.format == "gcc" ? CheckForm::gcc
                                                           : CheckForm::text;
        return check_config(arguments.file, form, arguments.options.colour);
    }
    if (std::find(kApiNouns.begin(), kApiNouns.end(), arguments.noun) == kApiNouns.end()) {
        suggest(arguments.noun, "something to show", kApiNouns);
        return ExitCode::usage;
    }
    return show(arguments.options, arguments.noun, arguments.name);
}

int run_all(int argc, char** argv) {
    CLI::App app{"Meshgate: see and steer the gateway of this box", "meshgate"};
    Arguments arguments;
    app.fallthrough();  // verbs inherit it: options may stand before and behind them
    app.require_subcommand(1);
    add_options(app, arguments);
    add_verbs(app, arguments);
    if (argc < 2) {
        std::fputs(app.help().c_str(), stderr);
        return static_cast<int>(ExitCode::usage);
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return usage(app, error, std::span{argv, static_cast<size_t>(argc)}.subspan(1));
    }
    const auto timeout = parse_timeout(arguments.timeout);
    if (!timeout) {
        std::fprintf(stderr, "meshgate: --timeout: write 5s or 500ms, up to one hour\n");
        return static_cast<int>(ExitCode::usage);
    }
    const char* no_color = std::getenv("NO_COLOR");
    const bool plain = arguments.no_colour || (no_color != nullptr && *no_color != '\0');
    arguments.options.timeout = *timeout;
    arguments.options.form = arguments.json ? Form::json : Form::text;
    arguments.options.colour = !plain && ::isatty(STDOUT_FILENO) != 0 ? Colour::on : Colour::off;
    arguments.options.zeros = arguments.all ? Zeros::show : Zeros::hide;
    const ExitCode code = run(app, arguments);
    // A full disk or a closed pipe must not look like an answer.
    return std::fflush(stdout) == 0 ? static_cast<int>(code) : static_cast<int>(ExitCode::no);
}

}  // namespace
}  // namespace meshgate::cli

int main(int argc, char** argv) {
    try {
        return meshgate::cli::run_all(argc, argv);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "meshgate: %s\n", meshgate::printable(error.what()).c_str());
        return static_cast<int>(meshgate::cli::ExitCode::no);
    }
}

// SPDX-License-Identifier: Apache-2.0
// meshgate setup:
//   is this a box already?             then there is nothing to do
//   look at the machine's cards        answers from a file or from five questions
//   refuse what cuts the way in
//   write the box file in memory, and check it as the daemon will
//   show what will be done; do it: files, daemon, what the machine has on the cards to their twins
//   over ssh on a terminal: undo it unless somebody is still there
//   say what other boxes need
#include "cli/setup/setup.h"

#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "base/text.h"
#include "cli/setup/box_file.h"
#include "cli/setup/host_network.h"
#include "cli/setup/steps.h"
#include "config/load.h"

namespace meshgate::cli {
namespace {

// There where systemd runs.
constexpr const char* kSystemd = "/run/systemd/system";

struct Files {
    std::string key, box;
};

struct Plan {
    std::optional<Answers> answers;  // none: the box file is there already
    std::string text;                // of the box file
    config::Model model;
    SecretKey key;
    bool new_key = false;
    std::vector<Step> steps;
    std::vector<Move> moves;
    std::vector<Step> steps_once_confirmed;
};

ExitCode refuse(const std::string& message, ExitCode code = ExitCode::no) {
    std::fprintf(stderr, "meshgate: %s\n", printable(message).c_str());
    return code;
}

bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

std::optional<Answers> answers_of(const SetupOptions& options, const std::vector<Card>& cards) {
    if (options.answers.empty())
        return ask(cards);
    if (!std::ifstream{options.answers}) {
        refuse(options.answers + ": " + std::strerror(errno));
        return {};
    }
    std::vector<config::Diagnostic> diagnostics;
    auto answers = read_answers(text_of(options.answers), options.answers, diagnostics);
    std::fputs(config::format_text(diagnostics).c_str(), stderr);
    return answers;
}

// Why this card, which the calling ssh session came in by, cannot be taken; empty: the session goes on.
std::string ssh_objection(const Answers& answers, const Card& card, const std::string& ssh) {
    const std::string came = "only-interface: this ssh session came by " + card.name + ", ";
    const std::string cure = "; take another card, work at the console, or say --cut-ssh";
    if (!answers.host)
        return came + "and without `host: true` the box takes the card for itself" + cure;
    if (answers.device == "pci")
        return came + "and for pci: the kernel loses it before the box runs" + cure;
    const auto& addresses =
        card.name == answers.wan_card ? answers.wan_addresses : answers.lan_addresses;
    const bool stays = addresses == std::vector<std::string>{"host"} ||
                       std::ranges::any_of(addresses, [&](const std::string& address) {
                           return address.starts_with(ssh + "/");
                       });
    return stays ? "" : came + "to " + ssh + ", which the box would not have" + cure;
}

// Why these cards cannot be taken; empty: they can.
std::string objection(const SetupOptions& options, const Answers& answers,
                      const std::vector<Card>& cards, const std::string& ssh) {
    for (const std::string& name : {answers.wan_card, answers.lan_card}) {
        if (name.empty())
            continue;
        const auto card = std::ranges::find(cards, name, &Card::name);
        if (card == cards.end()) {
            std::string known;
            for (const Card& other : cards)
                known += (known.empty() ? "" : ", ") + other.name;
            return "no-such-card: there is no card " + name + "; this machine has " +
                   (known.empty() ? "none" : known);
        }
        if (answers.device == "pci" && card->pci_address.empty())
            return "not-on-pci: " + name + " is on no PCI bus: drive it by af_packet or af_xdp";
        if (answers.host && held_by_network_manager(name))
            return "network-manager: NetworkManager holds " + name +
                   ": have ifupdown or systemd-networkd configure it, and NetworkManager leave it "
                   "alone (unmanaged-devices), then run setup again";
        if (card->carries_ssh && !options.cut_ssh) {
            if (std::string why = ssh_objection(answers, *card, ssh); !why.empty())
                return why;
        }
    }
    return {};
}

// What the answers are about; peers are added later by other means.
std::string port_part(const std::string& box_file) {
    return box_file.substr(0, box_file.find("\npeers:"));
}

// The key that is there already, or a new one.
Result<void> find_key(Plan& plan, const std::string& path) {
    plan.new_key = !exists(path);
    if (plan.new_key) {
        plan.key = generate_private_key();
        return {};
    }
    auto key = config::load_secret_key(path);
    if (!key)
        return propagate(key);
    plan.key = std::move(*key);
    return {};
}

// False, and said, when the daemon would not take the box file.
bool check(Plan& plan, const SetupOptions& options, const Files& files) {
    // A key that is not written yet must not look as if it were missing.
    std::string text = plan.text;
    char draft[] = "/tmp/meshgate-setup-XXXXXX";
    if (plan.new_key) {
        const int fd = ::mkstemp(draft);
        std::string line = to_base64(plan.key) + "\n";
        const bool written =
            fd >= 0 && ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
        sodium_memzero(line.data(), line.size());
        ::close(fd);
        if (!written)
            return refuse(std::string{draft} + ": " + std::strerror(errno)) == ExitCode::done;
        const std::string name = "private_key_file: box.key";
        text.replace(text.find(name), name.size(), "private_key_file: " + std::string{draft});
    }
    config::LoadResult loaded = config::load_text(text, files.box, options.folder);
    if (plan.new_key)
        ::unlink(draft);
    std::fputs(config::format_text(loaded.diagnostics).c_str(), stderr);
    if (loaded)
        plan.model = std::move(*loaded.model);
    return loaded.model.has_value();
}

void plan_steps(Plan& plan, const SetupOptions& options, const Files& files,
                const std::vector<Card>& cards) {
    if (plan.new_key)
        plan.steps.push_back({"write " + files.key + ", a new key", [&plan, path = files.key] {
                                  std::string line = to_base64(plan.key) + "\n";
                                  auto done = write_new_file(path, line, 0600);
                                  sodium_memzero(line.data(), line.size());
                                  return done;
                              }});
    if (!exists(files.box))
        plan.steps.push_back({"write " + files.box, [&plan, path = files.box] {
                                  return write_new_file(path, plan.text, 0640);
                              }});
    if (plan.answers && plan.answers->device == "pci") {
        std::vector<Card> taken;
        std::ranges::copy_if(cards, std::back_inserter(taken), [&](const Card& card) {
            return card.name == plan.answers->wan_card || card.name == plan.answers->lan_card;
        });
        for (Step& step : card_steps(taken))
            plan.steps.push_back(std::move(step));
    }
    if (!options.start)
        return;
    plan.moves = moves_of(plan.model, cards);
    plan.steps.push_back(start_step());
    for (Step& step : move_steps(plan.moves))
        plan.steps.push_back(std::move(step));
    plan.steps_once_confirmed = keep_steps(plan.moves);
}

std::vector<std::string> all_steps(const Plan& plan) {
    std::vector<std::string> all;
    for (const auto* steps : {&plan.steps, &plan.steps_once_confirmed}) {
        for (const Step& step : *steps)
            all.push_back(step.what);
    }
    return all;
}

bool confirmed(const Plan& plan) {
    std::printf("\n%s\nThis will be done:\n", plan.text.c_str());
    for (const std::string& step : all_steps(plan))
        std::printf("  - %s\n", step.c_str());
    std::printf("Go on? [y/N]: ");
    std::fflush(stdout);
    std::string line;
    return std::getline(std::cin, line) && (line == "y" || line == "yes");
}

const Card* ssh_card(const Plan& plan) {
    const auto found = std::ranges::find_if(
        plan.moves, [](const Move& move) { return move.card.carries_ssh && move.stays_card; });
    return found == plan.moves.end() ? nullptr : &found->card;
}

// On a terminal over ssh that went on: whoever still reads this presses Enter.
bool still_there(const Plan& plan, unsigned seconds) {
    if (ssh_card(plan) == nullptr || ::isatty(STDIN_FILENO) == 0)
        return true;
    std::printf(
        "This ssh session goes on by way of the box. Press Enter within %u s if you read "
        "this; else all is\nundone: ",
        seconds);
    std::fflush(stdout);
    pollfd terminal{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    std::string line;
    return ::poll(&terminal, 1, static_cast<int>(seconds) * 1000) == 1 &&
           std::getline(std::cin, line);
}

void say_what_is_next(const Plan& plan, const SetupOptions& options,
                      const std::vector<Card>& cards) {
    std::printf("\nWrite this below `peers:` of other boxes, then `meshgate reload` there:\n\n%s\n",
                peer_entry(plan.model, cards).c_str());
    for (const config::Port& port : plan.model.ports) {
        if (port.role == config::Role::one_arm)
            std::printf(
                "The router of the office has to lead the networks of other sites to this "
                "box and, where others\nare to reach it first, to forward UDP %u to it; "
                "they need `endpoint` then, the router's\naddress outside. More: "
                "docs/one-arm.md\n",
                plan.model.wireguard.listen_port);
        const Card* card = card_of(port, cards);
        if (port.role == config::Role::wan && card != nullptr && card->carries_ssh)
            std::printf(
                "New ssh sessions from the internet are not let in by %s: come from the "
                "office or the network.\n",
                port.name.c_str());
    }
    if (!options.start)
        std::printf("To start this box: meshgate setup --start\n");
}

Result<void> run_steps(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
        if (const auto done = step.run(); !done)
            return fail(step.what + ": " + done.error().message);
        std::printf("done: %s\n", step.what.c_str());
        std::fflush(stdout);
    }
    return {};
}

ExitCode carry_out(Plan& plan, const SetupOptions& options, const std::vector<Card>& cards) {
    // A terminal that goes away must not leave the machine half way.
    ::signal(SIGHUP, SIG_IGN);
    ::signal(SIGPIPE, SIG_IGN);
    std::error_code error;
    std::filesystem::create_directories(options.folder, error);
    auto done = run_steps(plan.steps);
    const bool lost = done && !still_there(plan, options.confirm_seconds);
    if (lost || (!done && !plan.moves.empty())) {
        const auto undone = undo(plan.moves);
        return refuse((lost ? "nobody pressed Enter" : done.error().message) +
                      (undone ? "; the machine has its cards back, the daemon is off"
                              : "; and to undo it failed: " + undone.error().message));
    }
    if (done)
        done = run_steps(plan.steps_once_confirmed);
    if (!done)
        return refuse(done.error().message);
    if (plan.steps.empty())
        std::printf("nothing to do: this is a box already\n");
    say_what_is_next(plan, options, cards);
    return ExitCode::done;
}

// The answers, where there is no box file yet or it says the same; else why not.
std::optional<ExitCode> answer(Plan& plan, const SetupOptions& options, const Files& files,
                               const std::vector<Card>& cards, const std::string& ssh) {
    const bool is_box = exists(files.box);
    if (is_box && options.answers.empty())
        return {};
    plan.answers = answers_of(options, cards);
    if (!plan.answers)
        return options.answers.empty() ? ExitCode::no : ExitCode::bad_config;
    const std::string why = objection(options, *plan.answers, cards, ssh);
    // The cards of a box may not be the kernel's any more; then nothing is compared.
    if (!is_box && !why.empty())
        return refuse(why);
    if (is_box && why.empty() &&
        port_part(box_file(*plan.answers, cards)) != port_part(text_of(files.box)))
        return refuse(
            "file-exists: " + files.box +
            " says otherwise than these answers, and is left as it is: edit it, or move it "
            "away");
    return {};
}

}  // namespace

ExitCode setup(const SetupOptions& given) {
    SetupOptions options = given;
    constexpr unsigned kBlinkSeconds = 10;
    if (!options.blink.empty()) {
        const auto done = blink(options.blink, kBlinkSeconds);
        return done ? ExitCode::done : refuse(done.error().message);
    }
    const Files files{options.folder + "/box.key", options.folder + "/meshgate.yaml"};
    const bool is_box = exists(files.box);
    if (is_box && options.answers.empty() && !options.start) {
        std::printf(
            "this is a box already: %s; nothing was changed. To start it: meshgate setup --start\n",
            files.box.c_str());
        return ExitCode::done;
    }
    // Whoever answers questions is shown what will be done, and asked once more.
    if (options.answers.empty() && exists(kSystemd))
        options.start = true;
    const std::string ssh = ssh_address();
    const std::vector<Card> cards = find_cards({.ssh_address = ssh});
    Plan plan;
    if (const auto refused = answer(plan, options, files, cards, ssh))
        return *refused;
    if (const auto key = find_key(plan, files.key); !key)
        return refuse(key.error().message);
    plan.text = is_box ? text_of(files.box) : box_file(*plan.answers, cards);
    if (!check(plan, options, files))
        return ExitCode::bad_config;
    plan_steps(plan, options, files, cards);
    if (options.dry_run) {
        std::printf("%s\n", plan.text.c_str());
        for (const std::string& step : all_steps(plan))
            std::printf("would: %s\n", step.c_str());
        return ExitCode::done;
    }
    if (::geteuid() != 0)
        return refuse("setup changes this machine: run it as root, or with --dry-run",
                      ExitCode::permission);
    if (options.answers.empty() && !is_box && !confirmed(plan))
        return refuse("nothing was changed");
    return carry_out(plan, options, cards);
}

}  // namespace meshgate::cli

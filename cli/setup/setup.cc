// SPDX-License-Identifier: Apache-2.0
// meshgate setup:
//   is this a box already?             then there is nothing to do
//   look at the machine's cards        answers from a file or from five questions
//   refuse what cuts the way in
//   write the box file in memory, and check it as the daemon will
//   show what will be done; do it; say what other boxes need
#include "cli/setup/setup.h"

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
#include "cli/setup/steps.h"
#include "config/load.h"

namespace meshgate::cli {
namespace {

struct Files {
    std::string key, box;
};

struct Plan {
    Answers answers;
    std::string text;  // of the box file
    config::Model model;
    SecretKey key;
    bool new_key = false;
    std::vector<Step> steps;
};

ExitCode refuse(const std::string& message, ExitCode code = ExitCode::no) {
    std::fprintf(stderr, "meshgate: %s\n", printable(message).c_str());
    return code;
}

bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

std::string read_text(const std::string& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

std::optional<Answers> answers_of(const SetupOptions& options, const std::vector<Card>& cards,
                                  const Abilities& can) {
    if (options.answers.empty())
        return ask(cards, can.follow_host);
    std::ifstream file{options.answers};
    if (!file) {
        refuse(options.answers + ": " + std::strerror(errno));
        return {};
    }
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    std::vector<config::Diagnostic> diagnostics;
    auto answers = read_answers(text, options.answers, diagnostics);
    std::fputs(config::format_text(diagnostics).c_str(), stderr);
    return answers;
}

// Why these cards cannot be taken; empty: they can.
std::string objection(const SetupOptions& options, const Answers& answers,
                      const std::vector<Card>& cards, const Abilities& can) {
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
        if (card->carries_ssh && !can.twin && !options.cut_ssh)
            return "only-interface: this ssh session came by " + name +
                   ", and the box takes the card for itself; take another card, work at the "
                   "console, "
                   "or say --cut-ssh";
    }
    if (answers.lan_card == answers.wan_card && !can.one_arm)
        return "one-arm: this version needs a card of its own for the office, or `none`";
    if (answers.wan_addresses == std::vector<std::string>{"host"} && !can.follow_host)
        return "static-address: this version needs the address of the wan card: 198.51.100.2/24, "
               "and its "
               "gateway";
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
    if (plan.answers.device == "pci") {
        std::vector<Card> taken;
        std::ranges::copy_if(cards, std::back_inserter(taken), [&](const Card& card) {
            return card.name == plan.answers.wan_card || card.name == plan.answers.lan_card;
        });
        for (Step& step : card_steps(taken))
            plan.steps.push_back(std::move(step));
    }
    if (options.start)
        plan.steps.push_back(start_step());
}

bool confirmed(const Plan& plan) {
    std::printf("\n%s\nThis will be done:\n", plan.text.c_str());
    for (const Step& step : plan.steps)
        std::printf("  - %s\n", step.what.c_str());
    std::printf("Go on? [y/N]: ");
    std::fflush(stdout);
    std::string line;
    return std::getline(std::cin, line) && (line == "y" || line == "yes");
}

void say_what_is_next(const Plan& plan, const SetupOptions& options) {
    std::printf("\nWrite this below `peers:` of other boxes, then `meshgate reload` there:\n\n%s\n",
                peer_entry(plan.answers, to_string(public_key_of(plan.key)), plan.model).c_str());
    if (!options.start)
        std::printf("To start this box: systemctl enable --now meshgated\n");
}

ExitCode carry_out(Plan& plan, const SetupOptions& options) {
    std::error_code error;
    std::filesystem::create_directories(options.folder, error);
    for (const Step& step : plan.steps) {
        if (const auto done = step.run(); !done)
            return refuse(step.what + ": " + done.error().message);
        std::printf("done: %s\n", step.what.c_str());
    }
    if (plan.steps.empty())
        std::printf("nothing to do: this is a box already\n");
    say_what_is_next(plan, options);
    return ExitCode::done;
}

}  // namespace

ExitCode setup(const SetupOptions& options) {
    const Files files{options.folder + "/box.key", options.folder + "/meshgate.yaml"};
    const bool is_box = exists(files.box);
    if (is_box && options.answers.empty()) {
        std::printf("this is a box already: %s; nothing was changed\n", files.box.c_str());
        return ExitCode::done;
    }
    const Abilities can = abilities();
    const std::vector<Card> cards = find_cards({.ssh_address = ssh_address()});
    std::optional<Answers> answers = answers_of(options, cards, can);
    if (!answers)
        return options.answers.empty() ? ExitCode::no : ExitCode::bad_config;
    // The cards of a box are not the kernel's any more.
    if (!is_box) {
        if (const std::string why = objection(options, *answers, cards, can); !why.empty())
            return refuse(why);
    }
    // Once they are, the kernel does not have them any more, and nothing is compared.
    else if (const std::string why = objection(options, *answers, cards, can);
             why.empty() &&
             port_part(box_file(*answers, cards, can)) != port_part(read_text(files.box)))
        return refuse("file-exists: " + files.box +
                      " says otherwise than these answers, and is left as it "
                      "is: edit it, or move it away");
    Plan plan{.answers = std::move(*answers), .text = {}, .model = {}, .key = {}, .steps = {}};
    if (const auto key = find_key(plan, files.key); !key)
        return refuse(key.error().message);
    plan.text = is_box ? read_text(files.box) : box_file(plan.answers, cards, can);
    if (!check(plan, options, files))
        return ExitCode::bad_config;
    plan_steps(plan, options, files, cards);
    if (options.dry_run) {
        std::printf("%s\n", plan.text.c_str());
        for (const Step& step : plan.steps)
            std::printf("would: %s\n", step.what.c_str());
        return ExitCode::done;
    }
    if (::geteuid() != 0)
        return refuse("setup changes this machine: run it as root, or with --dry-run",
                      ExitCode::permission);
    if (options.answers.empty() && !confirmed(plan))
        return refuse("nothing was changed");
    return carry_out(plan, options);
}

}  // namespace meshgate::cli

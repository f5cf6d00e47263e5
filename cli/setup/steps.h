// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/keys.h"
#include "base/result.h"
#include "cli/setup/answers.h"

namespace meshgate::cli {

// One change of the machine.
struct Step {
    std::string what;  // for people: "write /etc/meshgate/box.key"
    std::function<Result<void>()> run;
};

// Empty when there is none.
std::string text_of(const std::filesystem::path& path);
// Writes a file of the machine's, whole or not at all, in place of one that is there.
Step file_step(const std::string& what, const std::filesystem::path& path, const std::string& text);
// That, unless the file has this text already.
void add_file(std::vector<Step>& steps, const std::filesystem::path& path, const std::string& text);

// A file of the box: fails where there is one. Files belong to the daemon's user and to group meshgate where the package made them.
Result<void> write_new_file(const std::string& path, const std::string& text, unsigned mode);

// Cards for vfio-pci, now and at every start, and hugepages for what they write into.
std::vector<Step> card_steps(const std::vector<Card>& cards);
Step start_step();

// Runs a program without a shell; fails with what it printed last.
Result<void> run_program(const std::vector<std::string>& words);

}  // namespace meshgate::cli

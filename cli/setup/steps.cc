// SPDX-License-Identifier: Apache-2.0
#include "cli/setup/steps.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "base/unique_fd.h"

namespace meshgate::cli {

namespace fs = std::filesystem;

namespace {

// For the 256 MiB of a box as it comes, in pages of 2 MiB.
constexpr unsigned kHugepages = 128;
constexpr const char* kHugepagesCount = "/proc/sys/vm/nr_hugepages";
constexpr const char* kModulesFile = "/etc/modules-load.d/meshgate.conf";
constexpr const char* kSysctlFile = "/etc/sysctl.d/60-meshgate.conf";

Result<void> give_to_daemon(int fd, const std::string& path, unsigned mode) {
    const passwd* user = ::getpwnam("_meshgate");
    const group* people = ::getgrnam("meshgate");
    // Installed from source: the daemon is root.
    if (user == nullptr || people == nullptr)
        return {};
    // A key is the daemon's alone; what the group may read, only root may write.
    const uid_t owner = (mode & S_IRGRP) == 0 ? user->pw_uid : 0;
    if (::fchown(fd, owner, people->gr_gid) != 0)
        return fail(errno, "give " + path + " to _meshgate");
    return {};
}

unsigned number_in(const std::string& path) {
    unsigned number = 0;
    std::ifstream{path} >> number;
    return number;
}

Result<void> set_aside_hugepages() {
    std::ofstream{kHugepagesCount} << kHugepages;
    const unsigned got = number_in(kHugepagesCount);
    if (got >= kHugepages)
        return {};
    return fail("no-hugepages: the kernel found " + std::to_string(got) + " of " +
                std::to_string(kHugepages) +
                " hugepages; memory is in pieces: restart the machine, then run setup again");
}

}  // namespace

std::string text_of(const fs::path& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

Step file_step(const std::string& what, const fs::path& path, const std::string& text) {
    return {what, [path, text]() -> Result<void> {
                std::error_code error;
                fs::create_directories(path.parent_path(), error);
                const fs::path draft = path.string() + ".setup";
                std::ofstream file{draft};
                file << text;
                file.close();
                if (!file || ::rename(draft.c_str(), path.c_str()) != 0)
                    return fail(errno, path);
                return {};
            }};
}

void add_file(std::vector<Step>& steps, const fs::path& path, const std::string& text) {
    if (text_of(path) != text)
        steps.push_back(file_step("write " + path.string(), path, text));
}

Result<void> write_new_file(const std::string& path, const std::string& text, unsigned mode) {
    // Complete or not there: written beside it, then linked, which fails where there is one already.
    const std::string draft = path + ".setup";
    ::unlink(draft.c_str());
    const UniqueFd file{::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!file)
        return fail(errno, draft);
    size_t written = 0;
    while (written < text.size()) {
        const ssize_t n = ::write(file.get(), text.data() + written, text.size() - written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        written += static_cast<size_t>(n);
    }
    Result<void> done{};
    if (written < text.size() || ::fchmod(file.get(), mode) != 0 || ::fsync(file.get()) != 0)
        done = fail(errno, draft);
    else
        done = give_to_daemon(file.get(), draft, mode);
    if (done && ::link(draft.c_str(), path.c_str()) != 0)
        done = fail(errno, path);
    ::unlink(draft.c_str());
    return done;
}

Result<void> run_program(const std::vector<std::string>& words) {
    std::vector<char*> arguments;
    for (const std::string& word : words)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::execvp(arguments.front(), arguments.data());
        ::_exit(127);
    }
    int status = 0;
    if (pid < 0 || ::waitpid(pid, &status, 0) != pid)
        return fail(errno, words.front());
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return fail(words.front() + " is not installed: apt install " + words.front());
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(words.front() + " failed");
    return {};
}

std::vector<Step> card_steps(const std::vector<Card>& cards) {
    std::vector<Step> steps;
    const std::string modules = "vfio-pci\n";
    const std::string hugepages = "vm.nr_hugepages = " + std::to_string(kHugepages) + "\n";
    add_file(steps, kModulesFile, modules);
    add_file(steps, kSysctlFile, hugepages);
    if (number_in(kHugepagesCount) < kHugepages)
        steps.push_back({"set aside " + std::to_string(kHugepages) + " hugepages",
                         [] { return set_aside_hugepages(); }});
    if (!std::filesystem::exists("/sys/module/vfio_pci"))
        steps.push_back({"load vfio-pci", [] { return run_program({"modprobe", "vfio-pci"}); }});
    for (const Card& card : cards)
        steps.push_back({"give " + card.name + " (" + card.pci_address + ") to vfio-pci, for good",
                         [address = card.pci_address] {
                             return run_program({"driverctl", "set-override", address, "vfio-pci"});
                         }});
    return steps;
}

Step start_step() {
    return {"start meshgated, now and at every start of the machine", [] {
                return run_program({"systemctl", "enable", "--now", "meshgated.service"});
            }};
}

}  // namespace meshgate::cli

// SPDX-License-Identifier: Apache-2.0
#include "control/web_process.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <filesystem>

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

constexpr uid_t kNobody = 65534;
constexpr int kFolderFd = 3;
constexpr auto kFirstDelay = 500ms;
constexpr std::chrono::milliseconds kLongestDelay = 60s;
// Whoever ran for so long is not in a loop of crashes.
constexpr auto kStable = 60s;

struct Execution {
    int binary_fd;
    int folder_fd;
    pid_t parent;
    char* const* arguments;
};

// Between fork and exec in a process with threads: system calls only. Both files were opened
// before, so that neither needs to be reachable for nobody.
[[noreturn]] void become_web(const Execution& execution) {
    static char* const kNoEnvironment[] = {nullptr};
    constexpr int kBinaryFd = kFolderFd + 1;
    const int null_fd = open("/dev/null", O_RDWR);
    const int binary_fd = fcntl(execution.binary_fd, F_DUPFD_CLOEXEC, 16);
    const int folder_fd = fcntl(execution.folder_fd, F_DUPFD_CLOEXEC, 16);
    if (null_fd < 0 || binary_fd < 0 || folder_fd < 0)
        _exit(126);
    dup2(null_fd, STDIN_FILENO);
    dup2(folder_fd, kFolderFd);
    dup3(binary_fd, kBinaryFd, O_CLOEXEC);
    close_range(kBinaryFd + 1, ~0U, 0);
    const bool root = geteuid() == 0;
    if (root && (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
                 setresuid(kNobody, kNobody, kNobody) != 0))
        _exit(126);
    // After the change of user, which clears it.
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (getppid() != execution.parent)
        _exit(126);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    fexecve(kBinaryFd, execution.arguments, kNoEnvironment);
    _exit(127);
}

std::string describe(int status) {
    if (WIFSIGNALED(status))
        return "killed by signal " + std::to_string(WTERMSIG(status));
    return "exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

void give_to_web(const std::string& socket) {
    if (geteuid() == 0) [[maybe_unused]]
        const int status = chown(socket.c_str(), kNobody, kNobody);
}

WebProcess::WebProcess(boost::asio::io_context& io, Log& log, Options options)
    : log_{log}, options_{std::move(options)}, again_{io}, delay_{kFirstDelay} {}

WebProcess::~WebProcess() {
    if (pid_ == 0)
        return;
    kill(pid_, SIGTERM);
    for (int tries = 0; tries < 50; ++tries) {
        if (waitpid(pid_, nullptr, WNOHANG) == pid_)
            return;
        usleep(10'000);
    }
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
}

void WebProcess::start() {
    const std::filesystem::path socket{options_.socket};
    const int binary_fd = open(options_.binary.c_str(), O_RDONLY | O_CLOEXEC);
    if (binary_fd < 0) {
        log_.write({Log::Level::error, "web-missing", options_.binary,
                    std::string{"cannot be opened: "} + std::strerror(errno)});
        return;
    }
    const int folder_fd = open(socket.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    std::array<std::string, 5> words{
        "meshgate-web", "--socket",
        "/proc/self/fd/" + std::to_string(kFolderFd) + "/" + socket.filename().string(), "--listen",
        to_string(options_.listen)};
    std::array<char*, 6> arguments{};
    std::ranges::transform(words, arguments.begin(), [](std::string& word) { return word.data(); });
    const Execution execution{binary_fd, folder_fd, getpid(), arguments.data()};
    const pid_t pid = fork();
    if (pid == 0)
        become_web(execution);
    close(binary_fd);
    close(folder_fd);
    if (pid < 0) {
        log_.write(
            {Log::Level::error, "web-failed", "", std::string{"fork: "} + std::strerror(errno)});
        start_later();
        return;
    }
    pid_ = pid;
    started_ = std::chrono::steady_clock::now();
    log_.write({Log::Level::info, "web-started", "", "listens on " + to_string(options_.listen)});
}

void WebProcess::on_child_exit() {
    int status = 0;
    if (pid_ == 0 || waitpid(pid_, &status, WNOHANG) != pid_)
        return;
    pid_ = 0;
    log_.write({Log::Level::warning, "web-died", "", describe(status) + ", starts again"});
    start_later();
}

void WebProcess::start_later() {
    if (std::chrono::steady_clock::now() - started_ > kStable)
        delay_ = kFirstDelay;
    again_.expires_after(delay_);
    delay_ = std::min(delay_ * 2, kLongestDelay);
    again_.async_wait([this](boost::system::error_code error) {
        if (!error)
            start();
    });
}

}  // namespace meshgate::control

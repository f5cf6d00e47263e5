// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/web_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

namespace meshgate::control {

namespace {

using namespace std::chrono_literals;

constexpr auto kFirstDelay = 500ms;  // backoff before meshgate-web is started again; doubles
constexpr std::chrono::milliseconds kLongestDelay = 60s;  // the longest backoff
// Whoever ran for so long is not in a loop of crashes.
constexpr auto kStable = 60s;

// Between fork and exec in a process with threads: system calls only. Nothing of ours stays open,
// and no environment is handed on. The privileges it drops by itself, once it has its two sockets.
[[noreturn]] void become_web(const char* binary, char* const* arguments, pid_t parent) {
    static char* const kNoEnvironment[] = {nullptr};
    const int null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0)
        _exit(126);
    dup2(null_fd, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (getppid() != parent)
        _exit(126);
    std::signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    execve(binary, arguments, kNoEnvironment);
    _exit(127);
}

std::string describe(int status) {
    if (WIFSIGNALED(status))
        return "killed by signal " + std::to_string(WTERMSIG(status));
    return "exit status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

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
    if (access(options_.binary.c_str(), X_OK) != 0) {
        log_.write({Log::Level::error, "web-missing", options_.binary,
                    std::string{"cannot be run: "} + std::strerror(errno)});
        return;
    }
    std::array<std::string, 5> words{"meshgate-web", "--socket", options_.socket, "--listen",
                                     to_string(options_.listen)};
    std::array<char*, 6> arguments{};
    std::ranges::transform(words, arguments.begin(), [](std::string& word) { return word.data(); });
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0)
        become_web(options_.binary.c_str(), arguments.data(), parent);
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

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace meshgate::control {

// A folder of its own, removed with all it holds.
class TemporaryFolder {
public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

// Blocking client over a file descriptor; every wait ends after twenty seconds.
class RawClient {
public:
    static RawClient unix_socket(const std::string& path);
    static RawClient tcp(uint16_t port);  // 127.0.0.1
    RawClient(RawClient&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    RawClient& operator=(RawClient&&) = delete;
    ~RawClient();

    bool connected() const noexcept { return fd_ >= 0; }
    int fd() const noexcept { return fd_; }
    // False when the other side closed.
    bool send(const std::string& bytes) const;
    void finish_sending() const;
    // Up to and with `end`; what came when the other side closed or time was up.
    std::string receive_until(const std::string& end) const;
    std::string receive_all() const { return receive_until(""); }
    // True when the other side closes within `time`.
    bool closes_within(std::chrono::milliseconds time) const;

private:
    explicit RawClient(int fd) noexcept : fd_{fd} {}
    int fd_ = -1;
};

// What a shell command writes to stdout, then "exit N".
std::string run_command(const std::string& command);

}  // namespace meshgate::control

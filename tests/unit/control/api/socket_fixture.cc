// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/api/socket_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace meshgate::control {
namespace {

constexpr int kPatienceMs = 20000;

template <typename Address>
int connected_socket(int family, const Address& address) {
    const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
        return fd;
    ::close(fd);
    return -1;
}

bool readable_within(int fd, int ms) {
    pollfd poll_fd{fd, POLLIN, 0};
    return ::poll(&poll_fd, 1, ms) == 1;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "meshgate-api-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
        std::abort();
    path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

RawClient RawClient::unix_socket(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    return RawClient{connected_socket(AF_UNIX, address)};
}

RawClient RawClient::tcp(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return RawClient{connected_socket(AF_INET, address)};
}

RawClient::~RawClient() {
    if (fd_ >= 0)
        ::close(fd_);
}

bool RawClient::send(const std::string& bytes) const {
    size_t sent = 0;
    while (sent < bytes.size()) {
        pollfd poll_fd{fd_, POLLOUT, 0};
        if (::poll(&poll_fd, 1, kPatienceMs) != 1)
            return false;
        const ssize_t n =
            ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            return false;
        sent += n > 0 ? static_cast<size_t>(n) : 0;
    }
    return true;
}

void RawClient::finish_sending() const {
    ::shutdown(fd_, SHUT_WR);
}

std::string RawClient::receive_until(const std::string& end) const {
    std::string received;
    std::array<char, 65536> buffer{};
    while (end.empty() || received.size() < end.size() ||
           received.compare(received.size() - end.size(), end.size(), end) != 0) {
        if (!readable_within(fd_, kPatienceMs))
            break;
        const ssize_t n = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (n <= 0)
            break;
        received.append(buffer.data(), static_cast<size_t>(n));
    }
    return received;
}

bool RawClient::closes_within(std::chrono::milliseconds time) const {
    char byte = 0;
    return readable_within(fd_, static_cast<int>(time.count())) && ::recv(fd_, &byte, 1, 0) <= 0;
}

std::string run_command(const std::string& command) {
    FILE* pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr)
        return "popen failed";
    std::string output;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe))
        output += static_cast<char>(c);
    const int status = ::pclose(pipe);
    return output + "exit " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace meshgate::cli {
namespace {

// Above what the daemon ever answers.
constexpr size_t kMaxAnswerBytes = size_t{64} << 20;

tl::unexpected<ClientError> refuse(ExitCode code, std::string message) {
    return tl::unexpected<ClientError>{ClientError{code, std::move(message)}};
}

tl::unexpected<ClientError> late() {
    return refuse(ExitCode::timeout, "meshgated did not answer in time (see --timeout)");
}

tl::unexpected<ClientError> not_connected(int error, const std::string& socket_path) {
    const std::string path = printable(socket_path);
    switch (error) {
        case ENOENT:
        case ECONNREFUSED:
            return refuse(ExitCode::not_running,
                          "meshgated is not running: nobody listens on " + path);
        case EACCES:
        case EPERM:
            return refuse(ExitCode::permission, "no permission to open " + path);
        case EAGAIN:
            return late();
        default:
            return refuse(ExitCode::not_running, path + ": " + std::strerror(error));
    }
}

}  // namespace

tl::expected<Client, ClientError> Client::connect(const std::string& socket_path,
                                                  std::chrono::milliseconds timeout) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_path.empty() || socket_path.size() >= sizeof(address.sun_path))
        return refuse(ExitCode::usage, "a socket path has 1 to 107 bytes");
    std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
    Client client{UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)},
                  Clock::now() + timeout};
    if (::connect(client.fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
        0)
        return not_connected(errno, socket_path);
    return client;
}

bool Client::wait_for(short events) const {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    pollfd poll_fd{fd_.get(), events, 0};
    return ::poll(&poll_fd, 1, static_cast<int>(std::max<int64_t>(left.count(), 0))) == 1;
}

tl::expected<std::string, ClientError> Client::ask(const std::string& request) {
    const std::string line = request + "\n";
    for (size_t sent = 0; sent < line.size();) {
        if (!wait_for(POLLOUT))
            return late();
        const ssize_t n = ::send(fd_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;  // what the daemon said before it closed may still be read
        sent += static_cast<size_t>(std::max<ssize_t>(n, 0));
    }
    std::array<char, 65536> buffer{};
    size_t searched = 0;
    while (received_.size() <= kMaxAnswerBytes) {
        const size_t end = received_.find('\n', searched);
        if (end != std::string::npos) {
            std::string answer = received_.substr(0, end);
            received_.erase(0, end + 1);
            return answer;
        }
        searched = received_.size();
        if (!wait_for(POLLIN))
            return late();
        const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return refuse(ExitCode::not_running, "meshgated closed the connection");
        received_.append(buffer.data(), static_cast<size_t>(std::max<ssize_t>(n, 0)));
    }
    return refuse(ExitCode::no, "the answer is longer than any that meshgated gives");
}

}  // namespace meshgate::cli

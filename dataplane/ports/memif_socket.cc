// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/memif_socket.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "base/unique_fd.h"

namespace meshgate {

// A server that lives is heard out: DPDK's memif takes the process down when a client leaves before
// its greeting (it closes a descriptor that its interrupt thread still watches).
void remove_stale_memif_socket(const std::string& argument) noexcept {
    if (argument.find(",role=client") != std::string::npos)
        return;
    const std::string path = argument.substr(0, argument.find(','));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const UniqueFd fd{socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    if (!fd)
        return;
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        const timeval patience{.tv_sec = 1, .tv_usec = 0};
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        char greeting = 0;
        [[maybe_unused]] const ssize_t len = recv(fd.get(), &greeting, sizeof greeting, 0);
    } else if (errno == ECONNREFUSED) {
        unlink(path.c_str());
    }
}

}  // namespace meshgate

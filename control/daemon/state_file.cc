// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/state_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/unique_fd.h"

namespace meshgate::control {

Result<void> write_state_file(const std::string& path, const std::string& text) {
    const std::string next = path + ".new";
    const UniqueFd fd{open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (!fd)
        return fail(errno, next);
    const ssize_t nb_written = write(fd.get(), text.data(), text.size());
    if (nb_written < 0 || fsync(fd.get()) != 0)
        return fail(errno, next);
    if (nb_written != static_cast<ssize_t>(text.size()))
        return fail(ENOSPC, next);
    if (std::rename(next.c_str(), path.c_str()) != 0)
        return fail(errno, path);
    return {};
}

}  // namespace meshgate::control

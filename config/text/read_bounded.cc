// SPDX-License-Identifier: Apache-2.0
#include "config/text/read_bounded.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace meshgate::config {

bool read_bounded(int fd, std::string& text, size_t max_bytes) {
    constexpr size_t kChunkLen = size_t{64} << 10;
    size_t len = 0;
    while (len <= max_bytes) {
        text.resize(std::min(len + kChunkLen, max_bytes + 1));
        const ssize_t got = ::read(fd, text.data() + len, text.size() - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        len += static_cast<size_t>(got);
    }
    text.resize(len);
    return true;
}

}  // namespace meshgate::config

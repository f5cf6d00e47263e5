// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/schema/bind.h"
#include "config/text/report.h"
#include "config/text/tree.h"
#include "config/validate/validate.h"

namespace meshgate::config {
namespace {

LoadResult not_readable(const std::string& path, const std::string& why) {
    Report report{"", path};
    report.error("unreadable", Place{}, "", why).fix =
        "name a box file; docs/configure.md has an example";
    return LoadResult{std::nullopt, report.take()};
}

// Reads one byte more than allowed, so that too much is seen as such.
bool read_text(int fd, std::string& text) {
    text.resize(kMaxFileBytes + 1);
    size_t len = 0;
    while (len < text.size()) {
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

}  // namespace

LoadResult load_text(std::string_view text, const std::string& file_name,
                     const std::string& base_dir) {
    Report report{text, file_name};
    Model model;
    if (const auto root = parse_tree(report)) {
        model = bind(*root, report, base_dir);
        const bool keys = root->kind == NodeKind::map || root->kind == NodeKind::null;
        if (keys && !report.full())
            validate(*root, model, report);
    }
    LoadResult result;
    if (!report.has_errors())
        result.model = std::move(model);
    result.diagnostics = report.take();
    return result;
}

LoadResult load_file(const std::string& path) {
    // A pipe would make us wait, and a device may do worse.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return not_readable(path, std::string{"cannot be opened: "} + std::strerror(errno));
    struct stat status {};
    const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    std::string text;
    const bool read = regular && read_text(fd, text);
    const int error = errno;
    ::close(fd);
    if (!regular)
        return not_readable(path, "not a regular file");
    if (!read)
        return not_readable(path, std::string{"cannot be read: "} + std::strerror(error));
    const std::string folder = std::filesystem::path{path}.parent_path().string();
    return load_text(text, path, folder.empty() ? "." : folder);
}

}  // namespace meshgate::config

// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/unique_fd.h"
#include "config/schema/bind.h"
#include "config/text/read_bounded.h"
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
    const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (!file)
        return not_readable(path, std::string{"cannot be opened: "} + std::strerror(errno));
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
        return not_readable(path, "not a regular file");
    std::string text;
    if (!read_bounded(file.get(), text, kMaxFileBytes))
        return not_readable(path, std::string{"cannot be read: "} + std::strerror(errno));
    const std::string folder = std::filesystem::path{path}.parent_path().string();
    return load_text(text, path, folder.empty() ? "." : folder);
}

}  // namespace meshgate::config

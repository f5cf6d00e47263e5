// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/xdp_redirect.h"

#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string_view>

#include "dataplane/ports/xdp_link.h"
#include "dataplane/ports/xdp_redirect_object.h"

namespace meshgate {

namespace {

// What kind of kernel object without a name in the file system that is: "bpf-prog", "btf".
std::string anonymous_kind(int fd) {
    constexpr std::string_view kAnonymous = "anon_inode:";
    std::error_code error;
    const std::string target =
        std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error).string();
    return target.starts_with(kAnonymous) ? target.substr(kAnonymous.size()) : "";
}

Result<UniqueFd> program_file() {
    UniqueFd file{memfd_create("xdp_redirect.o", MFD_CLOEXEC)};
    if (!file || write(file.get(), kXdpRedirectObject.data(), kXdpRedirectObject.size()) !=
                     static_cast<ssize_t>(kXdpRedirectObject.size()))
        return fail(errno, "cannot store the XDP program");
    return file;
}

}  // namespace

Result<std::string> xdp_redirect_path() {
    static const Result<UniqueFd> file = program_file();
    if (!file)
        return propagate(file);
    return "/proc/self/fd/" + std::to_string(file->get());
}

Result<UniqueFd> hold_xdp_program(std::span<const int> fds_of_driver, unsigned interface_index) {
    int program = -1;
    std::vector<int> objects;
    for (const int fd : fds_of_driver) {
        const std::string kind = anonymous_kind(fd);
        if (kind == "bpf-prog")
            program = fd;
        if (kind.starts_with("bpf-") || kind == "btf")
            objects.push_back(fd);
    }
    if (program < 0)
        return fail("the driver has no XDP program");
    // It was attached by netlink.
    if (const int error = bpf_xdp_detach(static_cast<int>(interface_index), 0, nullptr); error != 0)
        return fail(-error, "cannot take the XDP program off");
    UniqueFd link = link_xdp(program, interface_index, 0);
    if (!link)
        return fail(errno, "cannot attach the XDP program");
    for (const int fd : objects)
        close(fd);
    return link;
}

}  // namespace meshgate

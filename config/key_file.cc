// SPDX-License-Identifier: Apache-2.0
#include "config/key_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/text.h"
#include "config/load.h"
#include "config/network_file.h"

namespace meshgate::config {
namespace {

constexpr size_t kMaxKeyFileLen = 64;  // a key has 44 characters; some room for line ends

class FileDescriptor {
public:
    explicit FileDescriptor(int fd) noexcept : fd_{fd} {}
    FileDescriptor(const FileDescriptor&) = delete;
    FileDescriptor& operator=(const FileDescriptor&) = delete;
    ~FileDescriptor() {
        if (fd_ >= 0)
            ::close(fd_);
    }
    int get() const noexcept { return fd_; }

private:
    int fd_;
};

// Holds what a key file held, and forgets it.
struct Contents {
    std::array<char, kMaxKeyFileLen + 1> bytes{};
    size_t len = 0;
    Contents() = default;
    Contents(const Contents&) = delete;
    Contents& operator=(const Contents&) = delete;
    ~Contents() { sodium_memzero(bytes.data(), bytes.size()); }
};

KeyFileProblem problem(std::string message, std::string fix) {
    return {std::move(message), std::move(fix)};
}

std::string how_to_make(const std::string& name, KeyKind kind) {
    if (kind == KeyKind::authority)
        return "make it: meshgate network keygen " + name;
    const char* command = kind == KeyKind::private_key ? "meshgate genkey" : "wg genpsk";
    return std::string{"make it: umask 077; "} + command + " > " + name;
}

KeyFileProblem unreadable(const std::string& path, KeyKind kind, int error) {
    const std::string name = printable(path);
    if (error == ENOENT)
        return problem("there is no file " + name, how_to_make(name, kind));
    if (error == EACCES || error == EPERM)
        return problem(name + " cannot be read: " + std::strerror(error),
                       "run as the owner of the file, or as root");
    return problem(name + " cannot be read: " + std::strerror(error),
                   "name a regular file, chmod 600");
}

// Why this file must not hold a key.
std::optional<KeyFileProblem> check_kind(const std::string& path, const struct stat& status) {
    const std::string name = printable(path);
    if (S_ISLNK(status.st_mode))
        return problem(name + " is a symbolic link", "name the file that it points to");
    if (!S_ISREG(status.st_mode))
        return problem(name + " is no regular file", "name a regular file, chmod 600");
    if ((status.st_mode & 077) != 0)
        return problem(name + " can be read or written by others than its owner",
                       "chmod 600 " + name);
    if (status.st_size > static_cast<off_t>(kMaxKeyFileLen))
        return problem(name + " is too long for a key file",
                       "it holds one line: 44 characters, as wg genkey writes them");
    return std::nullopt;
}

bool read_all(int fd, Contents& contents) {
    while (contents.len < contents.bytes.size()) {
        const ssize_t got =
            ::read(fd, contents.bytes.data() + contents.len, contents.bytes.size() - contents.len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            break;
        contents.len += static_cast<size_t>(got);
    }
    return true;
}

std::string_view without_line_end(std::string_view text) {
    if (text.ends_with('\n'))
        text.remove_suffix(1);
    if (text.ends_with('\r'))
        text.remove_suffix(1);
    return text;
}

}  // namespace

std::optional<KeyFileProblem> read_key_file(SecretKey& key, const std::string& path, KeyKind kind) {
    struct stat status {};
    // First without opening: opening a device or a pipe can have effects of its own.
    if (::lstat(path.c_str(), &status) != 0)
        return unreadable(path, kind, errno);
    if (auto found = check_kind(path, status))
        return found;
    const FileDescriptor file{
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0)
        return unreadable(path, kind, errno);
    if (auto found = check_kind(path, status))
        return found;

    Contents contents;
    if (!read_all(file.get(), contents))
        return unreadable(path, kind, errno);
    std::string_view line = without_line_end({contents.bytes.data(), contents.len});
    const std::string name = printable(path);
    const bool marked = line.starts_with(kAuthorityMark);
    if (marked != (kind == KeyKind::authority))
        return marked ? problem(name + " holds the key of a network, not of a box",
                                how_to_make(name, kind))
                      : problem(name + " holds no authority's key", how_to_make(name, kind));
    if (marked)
        line.remove_prefix(kAuthorityMark.size());
    auto parsed = parse_secret_key(line);
    if (!parsed)
        return problem(name + " holds no key",
                       "it holds one line: 44 characters, as wg genkey writes them");
    if (parsed->is_zero())
        return problem(name + " holds a key of zeros", how_to_make(name, kind));
    key = std::move(*parsed);
    return std::nullopt;
}

Result<SecretKey> load_secret_key(const std::string& path) {
    SecretKey key;
    if (const auto found = read_key_file(key, path, KeyKind::private_key))
        return fail(found->message + " (" + found->fix + ")");
    return key;
}

Result<SecretKey> load_authority_secret(const std::string& path) {
    SecretKey key;
    if (const auto found = read_key_file(key, path, KeyKind::authority))
        return fail(found->message + " (" + found->fix + ")");
    return key;
}

Result<void> write_authority_secret(const std::string& path, const SecretKey& secret) {
    const FileDescriptor file{
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)};
    if (file.get() < 0 && errno == EEXIST)
        return fail(printable(path) + ": there is such a file already, and it stays as it is");
    if (file.get() < 0)
        return fail(errno, printable(path));
    std::string encoded = to_base64(secret);
    Contents line;
    for (const std::string_view part : {kAuthorityMark, std::string_view{encoded}, {"\n", 1}})
        line.len += part.copy(line.bytes.data() + line.len, line.bytes.size() - line.len);
    sodium_memzero(encoded.data(), encoded.size());
    errno = ENOSPC;  // what a short write means
    const bool whole =
        ::write(file.get(), line.bytes.data(), line.len) == static_cast<ssize_t>(line.len);
    if (whole && ::fsync(file.get()) == 0)
        return {};
    const int error = errno;
    ::unlink(path.c_str());
    return fail(error, printable(path));
}

}  // namespace meshgate::config

// SPDX-License-Identifier: Apache-2.0
#include "config/key_file.h"

#include <fcntl.h>
#include <pwd.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "config/load.h"
#include "config/network_file.h"

namespace meshgate::config {
namespace {

// A key has 44 characters, one for MACs up to 128; some room for line ends.
constexpr size_t kMaxKeyFileLen = 64;
constexpr size_t kMaxMacKeyFileLen = 132;  // of a key for MACs

// Holds what a key file held, and forgets it.
struct Contents {
    std::array<char, kMaxMacKeyFileLen + 1> bytes{};
    size_t len = 0;
    Contents() = default;
    Contents(const Contents&) = delete;
    Contents& operator=(const Contents&) = delete;
    ~Contents() { sodium_memzero(bytes.data(), bytes.size()); }
};

using Failure = tl::unexpected<KeyFileProblem>;
using Outcome = tl::expected<void, KeyFileProblem>;

Failure problem(std::string message, std::string fix) {
    return Failure{KeyFileProblem{std::move(message), std::move(fix)}};
}

std::string how_to_make(const std::string& name, KeyKind kind) {
    if (kind == KeyKind::authority)
        return "make it: meshgate network keygen " + name;
    const char* command = kind == KeyKind::private_key     ? "meshgate genkey"
                          : kind == KeyKind::preshared_key ? "wg genpsk"
                                                           : "openssl rand -hex 32";
    return std::string{"make it: umask 077; "} + command + " > " + name;
}

std::string user_name() {
    const passwd* entry = ::getpwuid(::geteuid());
    return entry == nullptr ? std::to_string(::geteuid()) : entry->pw_name;
}

Failure unreadable(const std::string& path, KeyKind kind, int error) {
    const std::string name = printable(path);
    if (error == ENOENT)
        return problem("there is no file " + name, how_to_make(name, kind));
    if (error == EACCES || error == EPERM)
        return problem(
            name + " cannot be read: " + std::strerror(error),
            "give it to the user that the daemon runs as: chown " + user_name() + " " + name);
    return problem(name + " cannot be read: " + std::strerror(error),
                   "name a regular file, chmod 600");
}

const char* what_it_holds(KeyKind kind) {
    return kind == KeyKind::mac_key
               ? "it holds one line: 2 to 128 hexadecimal digits, two for each byte"
               : "it holds one line: 44 characters, as wg genkey writes them";
}

// Why this file must not hold a key.
Outcome check_kind(const std::string& path, const struct stat& status, KeyKind kind) {
    const std::string name = printable(path);
    if (S_ISLNK(status.st_mode))
        return problem(name + " is a symbolic link", "name the file that it points to");
    if (!S_ISREG(status.st_mode))
        return problem(name + " is no regular file", "name a regular file, chmod 600");
    if ((status.st_mode & 077) != 0)
        return problem(name + " can be read or written by others than its owner",
                       "chmod 600 " + name);
    const size_t max_len = kind == KeyKind::mac_key ? kMaxMacKeyFileLen : kMaxKeyFileLen;
    if (status.st_size > static_cast<off_t>(max_len))
        return problem(name + " is too long for a key file", what_it_holds(kind));
    return {};
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

Outcome read_contents(Contents& contents, const std::string& path, KeyKind kind) {
    struct stat status {};
    // First without opening: opening a device or a pipe can have effects of its own.
    if (::lstat(path.c_str(), &status) != 0)
        return unreadable(path, kind, errno);
    if (auto allowed = check_kind(path, status, kind); !allowed)
        return allowed;
    const UniqueFd file{
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0)
        return unreadable(path, kind, errno);
    if (auto allowed = check_kind(path, status, kind); !allowed)
        return allowed;
    if (!read_all(file.get(), contents))
        return unreadable(path, kind, errno);
    return {};
}

Error as_sentence(const KeyFileProblem& found) {
    return {found.message + " (" + found.fix + ")"};
}

}  // namespace

MacSecret::MacSecret(MacSecret&& other) noexcept {
    *this = std::move(other);
}

MacSecret& MacSecret::operator=(MacSecret&& other) noexcept {
    if (this == &other)
        return *this;
    bytes_ = other.bytes_;
    len_ = std::exchange(other.len_, 0);
    sodium_memzero(other.bytes_.data(), other.bytes_.size());
    return *this;
}

MacSecret::~MacSecret() {
    sodium_memzero(bytes_.data(), bytes_.size());
}

bool MacSecret::assign_hex(std::string_view digits) noexcept {
    if (digits.empty() || digits.size() % 2 != 0 || digits.size() > 2 * kMaxLen)
        return false;
    std::array<uint8_t, kMaxLen> bytes{};
    const char* end = nullptr;
    size_t len = 0;
    const bool good = sodium_hex2bin(bytes.data(), bytes.size(), digits.data(), digits.size(),
                                     nullptr, &len, &end) == 0 &&
                      end == digits.data() + digits.size();
    if (good) {
        bytes_ = bytes;
        len_ = len;
    }
    sodium_memzero(bytes.data(), bytes.size());
    return good;
}

tl::expected<MacSecret, KeyFileProblem> read_mac_key_file(const std::string& path) {
    Contents contents;
    if (const auto read = read_contents(contents, path, KeyKind::mac_key); !read)
        return propagate(read);
    MacSecret key;
    if (!key.assign_hex(without_line_end({contents.bytes.data(), contents.len})))
        return problem(printable(path) + " holds no key", what_it_holds(KeyKind::mac_key));
    return key;
}

tl::expected<SecretKey, KeyFileProblem> read_key_file(const std::string& path, KeyKind kind) {
    Contents contents;
    if (const auto read = read_contents(contents, path, kind); !read)
        return propagate(read);
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
        return problem(name + " holds no key", what_it_holds(kind));
    if (parsed->is_zero())
        return problem(name + " holds a key of zeros", how_to_make(name, kind));
    return std::move(*parsed);
}

Result<SecretKey> load_secret_key(const std::string& path) {
    return read_key_file(path, KeyKind::private_key).map_error(as_sentence);
}

Result<SecretKey> load_authority_secret(const std::string& path) {
    return read_key_file(path, KeyKind::authority).map_error(as_sentence);
}

Result<void> write_authority_secret(const std::string& path, const SecretKey& secret) {
    const UniqueFd file{
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

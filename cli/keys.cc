// SPDX-License-Identifier: Apache-2.0
#include "cli/keys.h"

#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <string>

#include "base/keys.h"

namespace meshgate::cli {
namespace {

// Written by write(2): stdio would keep a copy of the secret in its buffer.
bool write_stdout(const std::string& line) {
    size_t written = 0;
    while (written < line.size()) {
        const ssize_t n = ::write(STDOUT_FILENO, line.data() + written, line.size() - written);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        written += static_cast<size_t>(n);
    }
    return true;
}

ExitCode print_secret(const SecretKey& key) {
    struct stat status {};
    const bool is_file = ::fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode);
    if (is_file && (status.st_mode & S_IRWXO) != 0)
        std::fputs(
            "meshgate: warning: the key goes to a file that others can open; "
            "better: (umask 077; meshgate genkey > FILE)\n",
            stderr);
    std::string line = to_base64(key) + "\n";
    const bool ok = write_stdout(line);
    sodium_memzero(line.data(), line.size());
    if (!ok)
        std::perror("meshgate: stdout");
    return ok ? ExitCode::done : ExitCode::no;
}

constexpr size_t kBase64Len = 44;

// A line with a key may end in white space; a longer input is no key.
std::optional<SecretKey> read_secret() {
    std::array<char, kBase64Len + 16> buffer{};
    size_t len = 0;
    ssize_t n = 1;
    while (n != 0 && len < buffer.size()) {
        n = ::read(STDIN_FILENO, buffer.data() + len, buffer.size() - len);
        if (n < 0 && errno != EINTR)
            break;
        len += n > 0 ? static_cast<size_t>(n) : 0;
    }
    std::string_view text{buffer.data(), len};
    text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    auto key = parse_secret_key(text);
    sodium_memzero(buffer.data(), buffer.size());
    return key;
}

}  // namespace

ExitCode generate_key() {
    return print_secret(generate_private_key());
}

ExitCode generate_preshared_key() {
    if (sodium_init() < 0)
        return ExitCode::no;
    SecretKey key;
    randombytes_buf(key.mutable_bytes().data(), key.mutable_bytes().size());
    return print_secret(key);
}

ExitCode derive_public_key() {
    const std::optional<SecretKey> key = read_secret();
    if (!key) {
        std::fputs(
            "meshgate: stdin holds no private key (44 characters of base64, "
            "as `meshgate genkey` writes)\n",
            stderr);
        return ExitCode::no;
    }
    return write_stdout(to_string(public_key_of(*key)) + "\n") ? ExitCode::done : ExitCode::no;
}

}  // namespace meshgate::cli

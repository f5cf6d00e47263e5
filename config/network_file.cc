// SPDX-License-Identifier: Apache-2.0
#include "config/network_file.h"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "base/assert.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "config/text/read_bounded.h"

namespace meshgate::config {
namespace {

constexpr size_t kSignatureTextLen = 88;         // base64 of 64 bytes
constexpr size_t kMaxSignatureFileBytes = 1024;  // with room for line ends

// Empty when there is no such file. A pipe would make us wait, and a device may do worse.
Result<std::optional<std::string>> read_file(const std::string& path, size_t max_bytes) {
    const std::string name = printable(path);
    const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (file.get() < 0 && errno == ENOENT)
        return std::nullopt;
    if (file.get() < 0)
        return fail(errno, name);
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
        return fail(name + ": not a regular file");
    std::string text;
    if (!read_bounded(file.get(), text, max_bytes))
        return fail(errno, name);
    if (text.size() > max_bytes)
        return fail(name + ": more than " + std::to_string(max_bytes) + " bytes");
    return text;
}

bool write_all(int fd, std::string_view contents) {
    while (!contents.empty()) {
        const ssize_t written = ::write(fd, contents.data(), contents.size());
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        contents.remove_prefix(static_cast<size_t>(written));
    }
    return true;
}

std::string folder_of(const std::string& path) {
    const std::string folder = std::filesystem::path{path}.parent_path().string();
    return folder.empty() ? "." : folder;
}

// Without it the rename itself may be gone after a loss of power.
Result<void> flush_folder(const std::string& path) {
    const std::string folder = folder_of(path);
    const UniqueFd file{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (file.get() < 0 || ::fsync(file.get()) != 0)
        return fail(errno, printable(folder));
    return {};
}

std::optional<Signature> parse_signature(std::string_view base64) {
    Signature signature{};
    size_t len = 0;
    const char* end = nullptr;
    if (base64.size() != kSignatureTextLen ||
        sodium_base642bin(signature.data(), signature.size(), base64.data(), base64.size(), nullptr,
                          &len, &end, sodium_base64_VARIANT_ORIGINAL) != 0)
        return std::nullopt;
    if (len != signature.size() || end != base64.data() + base64.size())
        return std::nullopt;
    return signature;
}

std::optional<uint64_t> parse_version(std::string_view text) {
    uint64_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    const bool whole = error == std::errc{} && end == text.data() + text.size() && version > 0;
    return whole ? std::optional{version} : std::nullopt;
}

std::string_view next_line(std::string_view& rest) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.ends_with('\r'))
        line.remove_suffix(1);
    return line;
}

// The key pair of Ed25519 from its seed; the secret half is wiped at the end.
struct KeyPair {
    AuthorityKey authority;
    std::array<uint8_t, crypto_sign_SECRETKEYBYTES> secret{};

    explicit KeyPair(const SecretKey& seed) noexcept {
        crypto_sign_seed_keypair(authority.bytes.data(), secret.data(), seed.bytes().data());
    }
    KeyPair(const KeyPair&) = delete;
    KeyPair& operator=(const KeyPair&) = delete;
    ~KeyPair() { sodium_memzero(secret.data(), secret.size()); }
};

Diagnostic about_file(const std::string& file, std::string_view code, std::string message,
                      std::string fix) {
    Diagnostic diagnostic;
    diagnostic.code = code;
    diagnostic.file = file;
    diagnostic.message = std::move(message);
    diagnostic.fix = std::move(fix);
    return diagnostic;
}

}  // namespace

bool verify(const SignedNetwork& network, const AuthorityKey& authority) {
    const auto* text = reinterpret_cast<const unsigned char*>(network.text.data());
    return crypto_sign_verify_detached(network.signature.data(), text, network.text.size(),
                                       authority.bytes.data()) == 0;
}

SecretKey generate_authority_secret() {
    MG_ASSERT(sodium_init() >= 0);
    SecretKey secret;
    randombytes_buf(secret.mutable_bytes().data(), kKeyLen);
    return secret;
}

AuthorityKey authority_key_of(const SecretKey& secret) {
    return KeyPair{secret}.authority;
}

Signature sign(std::string_view text, const SecretKey& secret) {
    const KeyPair pair{secret};
    Signature signature{};
    crypto_sign_detached(signature.data(), nullptr,
                         reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                         pair.secret.data());
    return signature;
}

Result<SignatureFile> parse_signature_file(std::string_view text) {
    SignatureFile file;
    const auto signature = parse_signature(next_line(text));
    if (!signature)
        return fail("the first line is no signature, which has 88 characters of base64");
    file.signature = *signature;
    while (!text.empty()) {
        const std::string_view line = next_line(text);
        if (line.starts_with("version ") && !file.version) {
            file.version = parse_version(line.substr(8));
            if (file.version)
                continue;
        }
        if (line.starts_with("authority ") && !file.authority) {
            file.authority = parse_authority_key(line.substr(10));
            if (file.authority)
                continue;
        }
        return fail("after the signature only 'version N' and 'authority KEY' may follow");
    }
    return file;
}

std::string to_string(const SignatureFile& file) {
    std::array<char, kSignatureTextLen + 1> text{};
    sodium_bin2base64(text.data(), text.size(), file.signature.data(), file.signature.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    std::string out = std::string{text.data()} + "\n";
    if (file.version)
        out += "version " + std::to_string(*file.version) + "\n";
    if (file.authority)
        out += "authority " + to_string(*file.authority) + "\n";
    return out;
}

Result<std::optional<SignatureFile>> read_signature_file(const std::string& path) {
    const auto text = read_file(path, kMaxSignatureFileBytes);
    if (!text)
        return propagate(text);
    if (!*text)
        return std::nullopt;
    const auto file = parse_signature_file(**text);
    if (!file)
        return within(printable(path), file.error());
    return *file;
}

Result<std::string> read_network_text(const std::string& path) {
    auto text = read_file(path, kMaxNetworkBytes);
    if (!text)
        return propagate(text);
    if (!*text)
        return fail(ENOENT, printable(path));
    return std::move(**text);
}

Result<SignedNetwork> read_signed_network(const std::string& path) {
    auto text = read_network_text(path);
    if (!text)
        return propagate(text);
    const auto file = read_signature_file(path + ".sig");
    if (!file)
        return propagate(file);
    if (!*file)
        return fail(printable(path) + ".sig: there is no signature beside the network file");
    return SignedNetwork{std::move(*text), (*file)->signature};
}

Result<void> replace_file(const std::string& path, std::string_view contents, unsigned mode) {
    std::string temporary = path + ".XXXXXX";
    const UniqueFd file{::mkostemp(temporary.data(), O_CLOEXEC)};
    if (file.get() < 0)
        return fail(errno, printable(temporary));
    const bool written = write_all(file.get(), contents) && ::fchmod(file.get(), mode) == 0 &&
                         ::fsync(file.get()) == 0;
    if (!written || ::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary.c_str());
        return fail(error, printable(path));
    }
    return flush_folder(path);
}

Result<void> keep_network(const std::string& path, const SignedNetwork& network) {
    std::string contents{network.signature.begin(), network.signature.end()};
    contents += network.text;
    return replace_file(path, contents, 0600);
}

Result<std::optional<SignedNetwork>> load_kept_network(const std::string& path) {
    const auto contents = read_file(path, std::tuple_size_v<Signature> + kMaxNetworkBytes);
    if (!contents)
        return propagate(contents);
    if (!*contents)
        return std::nullopt;
    SignedNetwork network;
    if ((*contents)->size() < network.signature.size())
        return fail(printable(path) + ": too short");
    std::copy_n((*contents)->begin(), network.signature.size(), network.signature.begin());
    network.text = (*contents)->substr(network.signature.size());
    return network;
}

NetworkLoad open_network(SignedNetwork candidate, const AuthorityKey& authority,
                         const std::string& file_name) {
    NetworkLoad load;
    if (!verify(candidate, authority)) {
        load.diagnostics.push_back(about_file(
            file_name, "bad-signature", "the signature does not hold under " + to_string(authority),
            "sign it after the last change (meshgate network sign), with the key that belongs to "
            "network.authority"));
        return load;
    }
    NetworkResult parsed = parse_network(candidate.text, file_name, authority);
    load.diagnostics = std::move(parsed.diagnostics);
    load.network = std::move(parsed.network);
    if (load.network)
        load.signed_network = std::move(candidate);
    return load;
}

NetworkLoad load_network(const Model& model) {
    MG_ASSERT(model.network.has_value());
    const NetworkOptions& options = *model.network;
    auto candidate = read_signed_network(options.file);
    if (!candidate) {
        NetworkLoad load;
        load.diagnostics.push_back(about_file(
            options.file, "unreadable", candidate.error().message,
            "copy both files that `meshgate network sign` leaves: the network file, which "
            "network.file names, and its signature beside it in .sig"));
        return load;
    }
    NetworkLoad load = open_network(std::move(*candidate), options.authority, options.file);
    if (!load)
        return load;
    for (Diagnostic& diagnostic : check_against(model, *load.network))
        load.diagnostics.push_back(std::move(diagnostic));
    if (has_errors(load.diagnostics)) {
        load.network.reset();
        load.signed_network.reset();
    }
    return load;
}

}  // namespace meshgate::config

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "config/load.h"

namespace meshgate::config {

// The bytes 1 to 32; nobody's key.
inline constexpr char kPrivateKey[] = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
inline constexpr char kPublicKey[] = "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=";

inline std::string contents_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

// A folder with key files, good and bad ones, removed at the end.
class KeyFolder {
public:
    KeyFolder() {
        char name[] = "/tmp/meshgate-config-XXXXXX";
        path_ = mkdtemp(name);
        write("berlin.key", std::string{kPrivateKey} + "\n");
        write("alice.psk", "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A=\n");
        write("open.key", std::string{kPrivateKey} + "\n", 0640);
        write("long.key", std::string(100, 'A') + "\n");
        write("garbage.key", "no key at all\n");
        write("zero.key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
        std::filesystem::create_symlink("berlin.key", path_ / "link.key");
        std::filesystem::create_directory(path_ / "folder.key");
    }
    KeyFolder(const KeyFolder&) = delete;
    KeyFolder& operator=(const KeyFolder&) = delete;
    ~KeyFolder() { std::filesystem::remove_all(path_); }

    void write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
        const std::string file = (path_ / name).string();
        std::ofstream(file, std::ios::binary) << text;
        ::chmod(file.c_str(), mode);
    }
    LoadResult load(const std::string& text) const {
        return load_text(text, "meshgate.yaml", path_.string());
    }
    std::string str() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

inline constexpr char kGoodFile[] = R"(node: {name: berlin, private_key_file: berlin.key}
ports:
  - name: wan0
    device: af_packet:eth0
    role: wan
    addresses: 198.51.100.2/24
    gateway: 198.51.100.1
  - name: lan0
    device: af_packet:eth1
    role: lan
    addresses: [10.1.0.1/24, "fd10:1::1/64"]
)";

inline constexpr char kAlice[] = R"(peers:
  - name: alice
    public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    allowed_ips: 10.9.0.2/32
)";

// What a failed expectation about a load should print.
inline std::string explain(const LoadResult& result) {
    return format_text(result.diagnostics);
}

}  // namespace meshgate::config

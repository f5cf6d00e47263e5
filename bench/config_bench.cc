// SPDX-License-Identifier: Apache-2.0
// Reading the largest files that a box is made for, a MiB at a time, beside yaml-cpp alone, which
// makes events of the same text that nobody takes.
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bench/figures.h"
#include "config/load.h"
#include "config/network.h"

namespace meshgate::bench {
namespace {

constexpr unsigned kNbPeers = 16'384;  // as config::Dataplane::max_peers is by default

class NoHandler : public YAML::EventHandler {
public:
    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
};

PublicKey key_number(unsigned number) {
    PublicKey key;
    key.bytes[0] = static_cast<uint8_t>(number);
    key.bytes[1] = static_cast<uint8_t>(number >> 8);
    key.bytes[9] = 1;
    return key;
}

std::string host_of(unsigned number) {
    return std::to_string(number / 256) + "." + std::to_string(number % 256);
}

// Each peer with all that one usually has.
std::string peers() {
    std::string text = "peers:\n";
    for (unsigned i = 0; i < kNbPeers; ++i)
        text += "  - name: laptop-" + std::to_string(i) +
                "\n    public_key: " + to_string(key_number(i)) + "\n    allowed_ips: [10.9." +
                host_of(i) + "/32]\n    endpoint: 198.18." + host_of(i) +
                ":51820\n    persistent_keepalive: 25s\n";
    return text;
}

std::string members() {
    std::string text = "version: 1\nname: large\nmembers:\n";
    for (unsigned i = 0; i < kNbPeers; ++i)
        text += "  - name: site-" + std::to_string(i) +
                "\n    public_key: " + to_string(key_number(i)) + "\n    prefixes: [10." +
                host_of(i) + ".0/24]\n    endpoints: [\"198.18." + host_of(i) +
                ":51820\"]\n    tags: [office]\n";
    return text;
}

// The files, and a folder with what the box file names.
class Files {
public:
    Files() {
        char name[] = "/tmp/meshgate-bench-XXXXXX";
        folder_ = mkdtemp(name);
        const std::string key = folder_ / "own.key";
        std::ofstream{key} << "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n";
        std::filesystem::permissions(key, std::filesystem::perms::owner_read);
    }
    Files(const Files&) = delete;
    Files& operator=(const Files&) = delete;
    ~Files() { std::filesystem::remove_all(folder_); }

    const std::string box =
        "node: {name: berlin, private_key_file: own.key}\n"
        "ports: [{name: wan0, device: \"af_packet:eth0\", role: wan, addresses: "
        "198.51.100.2/24}]\n" +
        peers();
    const std::string network = members();

    config::LoadResult load_box() const { return config::load_text(box, "box", folder_); }
    config::NetworkResult load_network() const { return config::parse_network(network, "network"); }

private:
    std::filesystem::path folder_;
};

Quantity ms_per_mebibyte() {
    Quantity quantity = ms_per("MiB");
    quantity.scale *= double{1 << 20};
    return quantity;
}

Group group() {
    const Lazy<Files> files{[] { return std::make_unique<Files>(); }};
    const auto per_text = [=](std::string name, std::string reference,
                              const std::string Files::*text, auto read) {
        return Run{.figures = {{std::move(name), ms_per_mebibyte(), std::move(reference)}},
                   .body =
                       [=](benchmark::State& state) {
                           for (auto _ : state)
                               if (!read(*files.get()))
                                   return state.SkipWithError("the file is refused");
                           const auto len = static_cast<int64_t>((files.get()->*text).size());
                           state.SetItemsProcessed(state.iterations() * len);
                       },
                   .max_repetitions = 5};
    };
    const auto events = [](const std::string& text) {
        std::istringstream stream{text};
        YAML::Parser parser{stream};
        NoHandler handler;
        return parser.HandleNextDocument(handler);
    };
    return {
        per_text("config/box/16384", "config/box/yaml-cpp", &Files::box,
                 [](const Files& all) { return all.load_box().model.has_value(); }),
        per_text("config/box/yaml-cpp", "", &Files::box,
                 [=](const Files& all) { return events(all.box); }),
        per_text("config/network/16384", "config/network/yaml-cpp", &Files::network,
                 [](const Files& all) { return all.load_network().network.has_value(); }),
        per_text("config/network/yaml-cpp", "", &Files::network,
                 [=](const Files& all) { return events(all.network); }),
    };
}

}  // namespace
}  // namespace meshgate::bench

int main(int argc, char** argv) {
    return meshgate::bench::run_bench(argc, argv, {meshgate::bench::group()});
}

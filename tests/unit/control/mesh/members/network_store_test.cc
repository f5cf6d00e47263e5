// SPDX-License-Identifier: Apache-2.0
#include "control/mesh/members/network_store.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config/network_file.h"

namespace meshgate::mesh {
namespace {

class MeshNetworkStore : public testing::Test {
protected:
    MeshNetworkStore() {
        std::string name = std::filesystem::temp_directory_path() / "meshgate-store-XXXXXX";
        folder = mkdtemp(name.data());
        options.file = folder / "network.yaml";
        options.authority = authority;
        model.network = options;
        model.node.public_key = box;
    }
    ~MeshNetworkStore() override { std::filesystem::remove_all(folder); }

    config::SignedNetwork version(uint64_t number, const std::string& name = "acme") const {
        config::SignedNetwork result;
        result.text = "version: " + std::to_string(number) + "\nname: " + name +
                      "\nmembers:\n  - {name: berlin, public_key: \"" + to_string(box) + "\"}\n";
        result.signature = config::sign(result.text, secret);
        return result;
    }
    void install(const config::SignedNetwork& network) const {
        std::ofstream{options.file} << network.text;
        std::ofstream{options.file + ".sig"}
            << config::to_string(config::SignatureFile{.signature = network.signature});
    }

    std::filesystem::path folder;
    const SecretKey secret = config::generate_authority_secret();
    const config::AuthorityKey authority = config::authority_key_of(secret);
    const PublicKey box = public_key_of(generate_private_key());
    config::NetworkOptions options;
    config::Model model;
    std::vector<config::Diagnostic> diagnostics;
};

TEST_F(MeshNetworkStore, TakesOnlyWhatIsSignedAndNewer) {
    install(version(5));
    NetworkStore store{authority, folder / "kept"};
    ASSERT_TRUE(store.load(model, diagnostics));
    EXPECT_EQ(store.network().version, 5U);

    EXPECT_FALSE(store.offer(version(5), "test"));
    EXPECT_FALSE(store.offer(version(4), "test"));
    EXPECT_FALSE(store.offer(version(9, "other"), "test")) << "another network";
    auto forged = version(9);
    forged.text += "# more\n";
    EXPECT_FALSE(store.offer(forged, "test"));
    config::SignedNetwork wrong{.text = "version: 9\n", .signature = {}};
    wrong.signature = config::sign(wrong.text, secret);
    EXPECT_FALSE(store.offer(wrong, "test")) << "signed, but no network";
    EXPECT_EQ(store.network().version, 5U);

    const auto offer = store.offer(version(6), "test");
    ASSERT_TRUE(offer);
    EXPECT_TRUE(offer->warning.empty()) << offer->warning;
    EXPECT_EQ(store.network().version, 6U);
}

TEST_F(MeshNetworkStore, KeepsTheLastGoodOneOverARestart) {
    install(version(5));
    {
        NetworkStore store{authority, folder / "kept"};
        ASSERT_TRUE(store.load(model, diagnostics));
        ASSERT_TRUE(store.offer(version(8), "test"));
    }
    NetworkStore store{authority, folder / "kept"};
    ASSERT_TRUE(store.load(model, diagnostics));
    EXPECT_EQ(store.network().version, 8U);
    // A newer one that was installed by hand wins, and a broken one is no reason not to start.
    install(version(9));
    ASSERT_TRUE(store.load(model, diagnostics));
    EXPECT_EQ(store.network().version, 9U);
    std::ofstream{options.file} << "version: broken";
    ASSERT_TRUE(store.load(model, diagnostics));
    EXPECT_EQ(store.network().version, 8U);
    EXPECT_FALSE(diagnostics.empty());
}

TEST_F(MeshNetworkStore, DoesNotStartWithoutAGoodOne) {
    NetworkStore store{authority, folder / "kept"};
    EXPECT_FALSE(store.load(model, diagnostics));
    EXPECT_FALSE(diagnostics.empty());
    std::ofstream{folder / "kept"} << "rubbish";
    EXPECT_FALSE(store.load(model, diagnostics));
}

TEST_F(MeshNetworkStore, TakesAFileThatCannotBeKeptAndSaysSo) {
    install(version(5));
    NetworkStore store{authority, folder / "no" / "such" / "folder" / "kept"};
    ASSERT_TRUE(store.load(model, diagnostics));
    const auto offer = store.offer(version(6), "test");
    ASSERT_TRUE(offer);
    EXPECT_FALSE(offer->warning.empty());
}

}  // namespace
}  // namespace meshgate::mesh

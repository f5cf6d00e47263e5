// SPDX-License-Identifier: Apache-2.0
// What the API says of the mesh, and how a network file comes to it.
#include <gtest/gtest.h>
#include <sodium.h>

#include <nlohmann/json.hpp>

#include "config/network.h"
#include "tests/unit/control/api/answer_fixture.h"
#include "tests/unit/control/api/servers.h"

namespace meshgate::control {
namespace {

std::string base64(const std::string& bytes) {
    std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
    sodium_bin2base64(text.data(), text.size(),
                      reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                      sodium_base64_VARIANT_ORIGINAL);
    text.pop_back();
    return text;
}

std::string piece(const std::string& bytes) {
    return R"({"verb":"network piece","bytes":")" + base64(bytes) + "\"}";
}

std::string push(const std::string& signature) {
    return R"({"verb":"network push","signature":")" + base64(signature) + "\"}";
}

class MeshAnswer : public AnswerTest {
protected:
    MeshAnswer() { state.join_network(); }
};

TEST_F(MeshAnswer, LinksHaveThisShape) {
    EXPECT_EQ(ask(R"({"verb":"show links"})"),
              R"({"ok":true,"schema":1,"result":{"links":[)"
              R"({"peer":"vienna","port":"wan0","remote":"192.0.2.44:51820","state":"up",)"
              R"("in_use":true,"metered":false,"rtt_p50_ms":9.123,"jitter_ms":0.4,)"
              R"("loss_ratio":0.013,"cost":105,"age_s":0.16,"probe_interval_ms":200,)"
              R"("origin":"network file"},)"
              R"({"peer":"leipzig","port":"wan1","remote":"[2001:db8::7]:51820","state":"down",)"
              R"("in_use":false,"metered":true,"rtt_p50_ms":null,"jitter_ms":null,)"
              R"("loss_ratio":1.0,"cost":null,"age_s":null,"probe_interval_ms":4000,)"
              R"("origin":"candidate"}]}})"
              "\n");
}

TEST_F(MeshAnswer, PathsHaveThisShape) {
    EXPECT_EQ(
        ask(R"({"verb":"show paths","name":"leipzig"})"),
        R"({"ok":true,"schema":1,"result":{"paths":[)"
        R"({"peer":"leipzig","kind":"relay","port":"wan0","relay":"vienna",)"
        R"("remote":"192.0.2.44:51820","metric":210,"since_s":12.0,"mtu_bytes":1420,"mtu_origin":"probe",)"
        R"("session":"up"}]}})"
        "\n");
    const Json none = result(R"({"verb":"show paths","name":"hamburg"})")["paths"][0];
    EXPECT_EQ(none["kind"], "none");
    for (const char* key : {"port", "relay", "remote", "metric"})
        EXPECT_TRUE(none[key].is_null()) << key;
}

TEST_F(MeshAnswer, MembersHaveThisShape) {
    EXPECT_EQ(ask(R"({"verb":"show members","name":"vienna"})"),
              R"({"ok":true,"schema":1,"result":{"members":[)"
              R"({"name":"vienna","public_key":"BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=",)"
              R"("node_address":"fd08:fe4a:69ab::4","self":false,"relay":true,)"
              R"("prefixes":["10.4.0.0/16"],)"
              R"("endpoints":["192.0.2.44:51820","vienna.example.net:51820"],"tags":[],)"
              R"("state":"up","network_version":11}]}})"
              "\n");
    EXPECT_EQ(result(R"({"verb":"show members","name":"fd08:fe4a:69ab::5"})")["members"][0]["name"],
              "hamburg");
}

TEST_F(MeshAnswer, RelaysHaveThisShape) {
    EXPECT_EQ(ask(R"({"verb":"show relays","name":"leipzig"})"),
              R"({"ok":true,"schema":1,"result":{"relays":[)"
              R"({"role":"using","from":"berlin","to":"leipzig","index":2753011,"via":"vienna",)"
              R"("state":"asking","expires_s":171.5}]}})"
              "\n");
    EXPECT_EQ(result(R"({"verb":"show relays","name":"vienna"})")["relays"].size(), 2U);
}

TEST_F(MeshAnswer, StatusNamesTheNetwork) {
    EXPECT_EQ(result(R"({"verb":"status"})")["network"].dump(),
              R"({"name":"acme","version":12,)"
              R"("authority":"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",)"
              R"("members":3,"clients":1,"others":2,"others_up":1,"alarms":2})");
}

TEST_F(MeshAnswer, ExplainsAPeer) {
    const Json view = result(R"({"verb":"explain","name":"leipzig"})");
    EXPECT_EQ(view["peer"], "leipzig");
    EXPECT_EQ(view["verdict"], "relayed");
    EXPECT_EQ(view["path"]["relay"], "vienna");
    EXPECT_EQ(view["links"][0]["state"], "down");
    EXPECT_EQ(view["relays"].dump(),
              R"([{"name":"vienna","metric":210,"to_all":false,"avoided":false},)"
              R"({"name":"graz\u001b[2J","metric":null,"to_all":true,"avoided":true}])");
    EXPECT_EQ(view["cause"], "never_answered");
    EXPECT_EQ(view["cures"].dump(), R"(["open_port","keep_source_port","use_ipv6"])");
    EXPECT_EQ(code(R"({"verb":"explain","name":"atlantis"})"), "not-found");
    EXPECT_EQ(code(R"({"verb":"explain"})"), "bad-request");
}

TEST_F(MeshAnswer, SaysWhatIsNotThere) {
    for (const char* noun : {"links", "paths", "members", "relays"})
        EXPECT_EQ(code(std::string{R"({"verb":"show )"} + noun + R"(","name":"atlantis"})"),
                  "not-found");
}

TEST_F(MeshAnswer, OfABoxWithoutNetworkIsEmpty) {
    FakeState alone;
    for (const char* noun : {"links", "paths", "members", "relays"})
        EXPECT_EQ(answer(std::string{R"({"verb":"show )"} + noun + "\"}", connection, alone),
                  std::string{R"({"ok":true,"schema":1,"result":{")"} + noun + "\":[]}}\n");
}

TEST_F(MeshAnswer, ANetworkFileArrivesWholeInPieces) {
    std::string text;
    for (int i = 0; i < 256 * 300; ++i)
        text += static_cast<char>(i);
    const std::string signature(64, '\x07');
    for (size_t at = 0; at < text.size(); at += 30'000)
        EXPECT_EQ(result(piece(text.substr(at, 30'000)))["received"],
                  std::min(at + 30'000, text.size()));
    const Json report = result(push(signature));
    EXPECT_EQ(report.dump(), R"({"accepted":true,"version":13,"errors":[]})");
    EXPECT_EQ(state.pushed_text, text);
    EXPECT_EQ(state.pushed_signature, signature);
    EXPECT_EQ(state.last_caller.pid, 42);
    EXPECT_EQ(budget->used_bytes, 0U);
}

TEST_F(MeshAnswer, APushLeavesNothingForTheNextOne) {
    result(piece("version: 1"));
    result(push(std::string(64, 'x')));
    state.pushed_text.clear();
    EXPECT_EQ(code(push(std::string(64, 'x'))), "bad-request");
    EXPECT_EQ(state.pushed_text, "");
}

TEST_F(MeshAnswer, RefusesWhatIsNoPieceOrNoSignature) {
    for (const char* line :
         {R"({"verb":"network piece"})", R"({"verb":"network piece","bytes":""})",
          R"({"verb":"network piece","bytes":"%%%%"})", R"({"verb":"network piece","bytes":7})",
          R"({"verb":"network piece","bytes":"AAA"})", R"({"verb":"network push"})",
          R"({"verb":"network push","signature":"AAAA"})"})
        EXPECT_EQ(code(line), "bad-request") << line;
    result(piece("version: 1"));
    EXPECT_EQ(code(push("short")), "bad-request");
    EXPECT_EQ(code(push(std::string(64, 'x'))), "bad-request") << "the text must be gone";
    EXPECT_EQ(state.pushed_text, "");
}

TEST_F(MeshAnswer, MayNotPushOnceRestricted) {
    result(R"({"verb":"restrict","to":"read"})");
    EXPECT_EQ(code(piece("version: 1")), "forbidden");
    EXPECT_EQ(code(push(std::string(64, 'x'))), "forbidden");
    EXPECT_EQ(result(R"({"verb":"show links"})")["links"].size(), 2U);
}

TEST_F(MeshAnswer, OfOneConnectionHoldsOneNetworkFileAtMost) {
    const std::string line = piece(std::string(size_t{1} << 20, 'x'));
    for (size_t i = 0; i < config::kMaxNetworkBytes >> 20; ++i)
        result(line);
    EXPECT_EQ(code(piece("x")), "too-long");
    EXPECT_EQ(budget->used_bytes, 0U);
    result(piece("y"));
    result(push(std::string(64, 'x')));
    EXPECT_EQ(state.pushed_text, "y");
}

TEST_F(MeshAnswer, OfAllConnectionsHoldsSoMuchAtMost) {
    budget->max_bytes = 100;
    result(piece(std::string(60, 'x')));
    {
        ApiConnection other{.caller = {}, .upload = Upload{budget}};
        EXPECT_NE(answer(piece(std::string(60, 'x')), other, state).find("\"busy\""),
                  std::string::npos);
        EXPECT_NE(answer(piece(std::string(40, 'x')), other, state).find("\"ok\":true"),
                  std::string::npos);
        EXPECT_EQ(budget->used_bytes, 100U);
    }
    EXPECT_EQ(budget->used_bytes, 60U) << "the end of a connection gives back its share";
}

using MeshSocket = Sockets;

TEST_F(MeshSocket, TakesANetworkFileOfTheLargestSize) {
    state.join_network();
    ASSERT_EQ(create_api(folder / "api.sock"), "");
    const RawClient client = RawClient::unix_socket(folder / "api.sock");
    const std::string text(config::kMaxNetworkBytes, '\n');
    const std::string line = piece(std::string(size_t{32} << 10, '\n')) + "\n";
    ASSERT_LE(line.size(), kMaxRequestBytes);
    for (size_t at = 0; at < text.size(); at += size_t{32} << 10) {
        ASSERT_TRUE(client.send(line));
        ASSERT_NE(client.receive_until("\n").find("\"ok\":true"), std::string::npos);
    }
    ASSERT_TRUE(client.send(push(std::string(64, 'x')) + "\n"));
    EXPECT_NE(client.receive_until("\n").find("\"accepted\":true"), std::string::npos);
    EXPECT_EQ(state.pushed_text, text);
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "control/api/server.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "control/api/answer.h"
#include "tests/unit/control/api/servers.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;

class Echo final : public RequestHandler {
public:
    Reply answer(std::string_view request) override {
        if (request == "big")
            return {std::string(size_t{40} << 20, 'x'), AfterReply::keep_open};
        return {std::string{request} + "!", AfterReply::keep_open};
    }
};

UnixServerOptions impatient(const std::string& path) {
    UnixServerOptions options;
    options.path = path;
    options.max_request_bytes = 100;
    options.max_connections = 4;
    options.timeout = 200ms;
    options.busy_answer = "busy";
    options.too_long_answer = "too long";
    return options;
}

std::unique_ptr<RequestHandler> make_echo(const Caller&) {
    return std::make_unique<Echo>();
}

using ApiSocket = Sockets;
using UnixServerTest = Sockets;

TEST_F(ApiSocket, AnswersRequestsInOrderOnOneConnection) {
    ASSERT_EQ(create_api(folder / "run/api.sock"), "");
    const RawClient client = RawClient::unix_socket(folder / "run/api.sock");
    ASSERT_TRUE(client.connected());
    ASSERT_TRUE(client.send("{\"verb\":\"status\"}\n{\"verb\":\"show drops\"}\nwhat\n"));
    client.finish_sending();
    const std::string answers = client.receive_all();
    const size_t status = answers.find("\"name\":\"berlin\"");
    const size_t drops = answers.find("\"reason\":\"bad_tag\"");
    const size_t refusal = answers.find("\"code\":\"bad-request\"");
    EXPECT_LT(status, drops);
    EXPECT_LT(drops, refusal);
    EXPECT_NE(refusal, std::string::npos);
}

TEST_F(ApiSocket, AnswersALastLineWithoutNewline) {
    ASSERT_EQ(create_api(folder / "api.sock"), "");
    const RawClient client = RawClient::unix_socket(folder / "api.sock");
    ASSERT_TRUE(client.send("{\"verb\":\"status\"}"));
    client.finish_sending();
    EXPECT_EQ(client.receive_all().substr(0, 10), "{\"ok\":true");
}

TEST_F(ApiSocket, LetsTheUserOfTheWebPageReadOnly) {
    ASSERT_EQ(create_api(folder / "api.sock", getuid()), "");
    const RawClient client = RawClient::unix_socket(folder / "api.sock");
    ASSERT_TRUE(client.send("{\"verb\":\"reload\"}\n{\"verb\":\"status\"}\n"));
    client.finish_sending();
    const std::string answers = client.receive_all();
    EXPECT_NE(answers.find("\"code\":\"forbidden\""), std::string::npos) << answers;
    EXPECT_NE(answers.find("\"name\":\"berlin\""), std::string::npos) << answers;
}

TEST_F(ApiSocket, TellsTheProviderWhoAsks) {
    ASSERT_EQ(create_api(folder / "api.sock"), "");
    const RawClient client = RawClient::unix_socket(folder / "api.sock");
    ASSERT_TRUE(client.send("{\"verb\":\"reload\"}\n"));
    EXPECT_NE(client.receive_until("\n").find("applied"), std::string::npos);
    EXPECT_EQ(state.last_caller.pid, ::getpid());
    EXPECT_EQ(state.last_caller.uid, static_cast<int64_t>(::geteuid()));
}

TEST_F(ApiSocket, IsClosedToOthers) {
    ASSERT_EQ(create_api(folder / "run/api.sock"), "");
    struct stat status {};
    ASSERT_EQ(::stat((folder / "run/api.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0660U);
    ASSERT_EQ(::stat((folder / "run").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0755U);
}

TEST_F(ApiSocket, SaysThatALineIsTooLongAndCloses) {
    ASSERT_EQ(create_api(folder / "api.sock"), "");
    const RawClient client = RawClient::unix_socket(folder / "api.sock");
    client.send(std::string(kMaxRequestBytes + 1, 'x'));
    EXPECT_NE(client.receive_all().find("\"code\":\"too-long\""), std::string::npos);
}

TEST_F(ApiSocket, SurvivesBytesOfAllKinds) {
    ASSERT_EQ(create_api(folder / "api.sock"), "");
    uint32_t random = 1;
    for (int i = 0; i < 300; ++i) {
        std::string bytes;
        for (int n = 0; n < i; ++n) {
            random = random * 1664525 + 1013904223;
            bytes += static_cast<char>(random >> 24);
        }
        RawClient::unix_socket(folder / "api.sock").send(bytes + "\n");
    }
    const RawClient client = RawClient::unix_socket(folder / "api.sock");
    ASSERT_TRUE(client.send("{\"verb\":\"status\"}\n"));
    EXPECT_NE(client.receive_until("\n").find("\"ok\":true"), std::string::npos);
    EXPECT_EQ(state.nb_reloads, 0);
}

TEST_F(UnixServerTest, CutsSilentClients) {
    ASSERT_EQ(create(impatient(folder / "s"), make_echo), "");
    const RawClient silent = RawClient::unix_socket(folder / "s");
    const RawClient dribbling = RawClient::unix_socket(folder / "s");
    EXPECT_FALSE(silent.closes_within(100ms));
    EXPECT_TRUE(dribbling.send("a"));
    EXPECT_TRUE(silent.closes_within(10s));
    EXPECT_TRUE(dribbling.closes_within(10s));
}

TEST_F(UnixServerTest, CutsClientsThatDoNotRead) {
    ASSERT_EQ(create(impatient(folder / "s"), make_echo), "");
    const RawClient client = RawClient::unix_socket(folder / "s");
    ASSERT_TRUE(client.send("big\n"));
    std::this_thread::sleep_for(600ms);
    EXPECT_LT(client.receive_all().size(), size_t{40} << 20);
}

TEST_F(UnixServerTest, DoesNotHoldMoreUnreadAnswersThanItMay) {
    UnixServerOptions options = impatient(folder / "s");
    options.timeout = 5s;
    ASSERT_EQ(create(options, make_echo), "");
    const RawClient first = RawClient::unix_socket(folder / "s");
    const RawClient second = RawClient::unix_socket(folder / "s");
    ASSERT_TRUE(first.send("big\n"));
    std::this_thread::sleep_for(100ms);
    ASSERT_TRUE(second.send("big\n"));
    EXPECT_EQ(second.receive_all(), "busy");
}

TEST_F(UnixServerTest, AnswersBusyAboveItsNumberOfConnections) {
    UnixServerOptions options = impatient(folder / "s");
    options.timeout = 20s;
    ASSERT_EQ(create(options, make_echo), "");
    std::vector<RawClient> clients;
    for (int i = 0; i < 4; ++i)
        clients.push_back(RawClient::unix_socket(folder / "s"));
    EXPECT_EQ(RawClient::unix_socket(folder / "s").receive_all(), "busy");
    clients.clear();
    std::this_thread::sleep_for(300ms);
    const RawClient next = RawClient::unix_socket(folder / "s");
    ASSERT_TRUE(next.send("hi\n"));
    EXPECT_EQ(next.receive_until("!"), "hi!");
}

TEST_F(UnixServerTest, TakesOverAStaleSocketButNoLiveOneAndNoFile) {
    ASSERT_EQ(create(impatient(folder / "s"), make_echo), "");
    EXPECT_NE(create(impatient(folder / "s"), make_echo).find("another process"),
              std::string::npos);
    // What a killed daemon leaves behind: a file that nobody listens on.
    std::filesystem::rename(folder / "s", folder / "stale");
    destroy_servers();
    std::filesystem::rename(folder / "stale", folder / "s");
    EXPECT_EQ(create(impatient(folder / "s"), make_echo), "");
    std::ofstream{folder / "file"} << "precious";
    EXPECT_NE(create(impatient(folder / "file"), make_echo).find("no socket"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(folder / "file"));
    EXPECT_NE(create(impatient(folder / std::string(120, 'x')), make_echo), "");
}

TEST_F(UnixServerTest, RemovesItsFileAndClosesItsConnections) {
    ASSERT_EQ(create(impatient(folder / "s"), make_echo), "");
    const RawClient client = RawClient::unix_socket(folder / "s");
    ASSERT_TRUE(client.send("hi\n"));
    EXPECT_EQ(client.receive_until("!"), "hi!");
    destroy_servers();
    EXPECT_TRUE(client.closes_within(10s));
    EXPECT_FALSE(std::filesystem::exists(folder / "s"));
}

TEST_F(UnixServerTest, LetsAHandlerIdle) {
    class Patient final : public RequestHandler {
        Reply answer(std::string_view) override { return {"!", AfterReply::keep_open}; }
        bool may_idle() const override { return true; }
    };
    ASSERT_EQ(
        create(impatient(folder / "s"), [](const Caller&) { return std::make_unique<Patient>(); }),
        "");
    const RawClient client = RawClient::unix_socket(folder / "s");
    EXPECT_FALSE(client.closes_within(500ms));
    ASSERT_TRUE(client.send("hi\n"));
    EXPECT_EQ(client.receive_until("!"), "!");
    EXPECT_FALSE(client.closes_within(500ms));
}

TEST_F(ApiSocket, RefusesReloadOnARestrictedConnection) {
    ASSERT_EQ(create_api(folder / "api.sock"), "");
    const RawClient web = RawClient::unix_socket(folder / "api.sock");
    ASSERT_TRUE(web.send("{\"verb\":\"restrict\",\"to\":\"read\"}\n"));
    EXPECT_NE(web.receive_until("\n").find("\"ok\":true"), std::string::npos);
    ASSERT_TRUE(web.send("{\"verb\":\"reload\"}\n"));
    EXPECT_NE(web.receive_until("\n").find("forbidden"), std::string::npos);
    EXPECT_EQ(state.nb_reloads, 0);
}

// ---- the socket of wg(8) ----

using WgSocket = Sockets;

TEST_F(WgSocket, AnswersGet) {
    ASSERT_EQ(create_wg(folder / "mg0.sock"), "");
    const RawClient client = RawClient::unix_socket(folder / "mg0.sock");
    ASSERT_TRUE(client.send("get=1\n\n"));
    EXPECT_EQ(client.receive_until("\n\n"),
              "listen_port=51820\n"
              "public_key=0202020202020202020202020202020202020202020202020202020202020202\n"
              "protocol_version=1\n"
              "endpoint=192.0.2.7:51820\n"
              "last_handshake_time_sec=1700000100\n"
              "last_handshake_time_nsec=500\n"
              "tx_bytes=2960\n"
              "rx_bytes=1480\n"
              "persistent_keepalive_interval=25\n"
              "allowed_ip=10.9.0.2/32\n"
              "allowed_ip=fd10:9::2/128\n"
              "public_key=0303030303030303030303030303030303030303030303030303030303030303\n"
              "protocol_version=1\n"
              "last_handshake_time_sec=0\n"
              "last_handshake_time_nsec=0\n"
              "tx_bytes=0\n"
              "rx_bytes=0\n"
              "persistent_keepalive_interval=0\n"
              "allowed_ip=10.2.0.0/16\n"
              "errno=0\n\n");
    ASSERT_TRUE(client.send("get=1\n\n"));
    EXPECT_EQ(client.receive_until("\n\n").substr(0, 18), "listen_port=51820\n");
}

TEST(WgAnswer, RefusesToSetAndWhatItDoesNotKnow) {
    FakeState state;
    EXPECT_EQ(wg_answer("set=1", state), "errno=-1\n\n");
    EXPECT_EQ(wg_answer("set=1\nlisten_port=7", state), "errno=-1\n\n");
    for (const char* request : {"", "get=2", "get=1\nx=y", "set=10", "\n", "GET / HTTP/1.1"})
        EXPECT_EQ(wg_answer(request, state), "errno=-71\n\n") << request;
}

TEST_F(WgSocket, IsBounded) {
    ASSERT_EQ(create_wg(folder / "mg0.sock"), "");
    const RawClient client = RawClient::unix_socket(folder / "mg0.sock");
    client.send(std::string(kMaxWgRequestBytes + 2, 'x'));
    EXPECT_EQ(client.receive_all(), "errno=-90\n\n");
    struct stat status {};
    ASSERT_EQ(::stat((folder / "mg0.sock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
}

// The stock tool against our socket. Needs root, as wg(8) itself does; run without it, this fails.
TEST_F(WgSocket, IsReadByTheStockTool) {
    const std::string name = "mgapi" + std::to_string(::getpid() % 100000);
    ASSERT_EQ(create_wg("/var/run/wireguard/" + name + ".sock"), "");
    state.peer_views[0].latest_handshake_unix_s = 0;
    EXPECT_EQ(run_command("wg show " + name + " dump 2>&1"),
              "(none)\t(none)\t51820\toff\n"
              "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\t(none)\t192.0.2.7:51820\t"
              "10.9.0.2/32,fd10:9::2/128\t0\t1480\t2960\t25\n"
              "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\t(none)\t(none)\t10.2.0.0/16\t"
              "0\t0\t0\toff\n"
              "exit 0");
    EXPECT_EQ(run_command("wg show " + name + " 2>&1"),
              "interface: " + name +
                  "\n  listening port: 51820\n\n"
                  "peer: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
                  "  endpoint: 192.0.2.7:51820\n"
                  "  allowed ips: 10.9.0.2/32, fd10:9::2/128\n"
                  "  transfer: 1.45 KiB received, 2.89 KiB sent\n"
                  "  persistent keepalive: every 25 seconds\n\n"
                  "peer: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n"
                  "  allowed ips: 10.2.0.0/16\n"
                  "exit 0");
    EXPECT_NE(run_command("wg set " + name + " listen-port 7 2>&1").find("exit 1"),
              std::string::npos);
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/control/api/answer_fixture.h"

namespace meshgate::control {
namespace {

using Answer = AnswerTest;

TEST_F(Answer, StatusHasThisShape) {
    EXPECT_EQ(
        ask(R"({"verb":"status"})"),
        R"({"ok":true,"schema":1,"result":{"name":"berlin","version":"0.1.0","uptime_s":93784,)"
        R"("healthy":true,"ready":true,"readiness":"ready","problems":[],)"
        R"("config":{"file":"/etc/meshgate/meshgate.yaml","applied_unix_s":1700000000,)"
        R"("last_reload_unix_s":1700000000,"last_reload_ok":true},"http":"127.0.0.1:9586",)"
        R"("wireguard":{"public_key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",)"
        R"("listen_port":51820,"peers_up":1,"peers_total":2,"clients_up":4,"keys_used_twice":0,"sessions":1,)"
        R"("handshakes":{"completed":7,"bad_mac1":2}},"routes":3,)"
        R"("disabled":{"ports":0,"peers":0,"routes":0},"vm_forks":0,"vm_fork_notice":"no_device",)"
        R"("dataplane":{"aead_engine":"ipsec-mb/avx512",)"
        R"("aead_reason":"fastest that passed the self-test","memory":"256 MiB in hugepages",)"
        R"("workers":1,"mbufs_in_use":600,"mbufs_total":32768},"network":null}})"
        "\n");
}

TEST_F(Answer, APeerHasThisShape) {
    EXPECT_EQ(
        ask(R"({"verb":"show peers","name":"alice-laptop"})"),
        R"({"ok":true,"schema":1,"result":{"peers":[{"name":"alice-laptop",)"
        R"("enabled":true,"public_key":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=",)"
        R"("has_preshared_key":true,"endpoint":"192.0.2.7:51820","endpoint_name":null,"path":"direct wan0",)"
        R"("session":"up","latest_handshake_unix_s":1700000100,)"
        R"("allowed_ips":["10.9.0.2/32","fd10:9::2/128"],"rx_packets":10,"rx_bytes":1480,)"
        R"("tx_packets":20,"tx_bytes":2960,"persistent_keepalive_s":25,"mtu_bytes":1440,"mtu_origin":"port",)"
        R"("handshakes":{"initiations_sent":1,"initiations_received":3,"completed":3,)"
        R"("given_up":0}}]}})"
        "\n");
}

TEST_F(Answer, ARouteHasThisShape) {
    EXPECT_EQ(
        ask(R"({"verb":"show routes","name":"10.1.8.0/21"})"),
        R"({"ok":true,"schema":1,"result":{"routes":[{"prefix":"10.1.8.0/21",)"
        R"("enabled":true,"kind":"gateway","peer":null,"port":"lan0","next_hop":"10.1.0.254",)"
        R"("origin":"routes"}]}})"
        "\n");
}

TEST_F(Answer, APortHasThisShape) {
    EXPECT_EQ(
        ask(R"({"verb":"show ports","name":"lan0"})"),
        R"({"ok":true,"schema":1,"result":{"ports":[{"name":"lan0","enabled":true,"device":"tap:mg0",)"
        R"("driver":"net_af_packet","role":"lan","up":false,"link_changes":1,)"
        R"("mac":"02:00:00:00:00:01","vlan":10,"priority":0,"mtu_bytes":1500,)"
        R"("addresses":["198.51.100.2/24"],"gateway":null,"rx_queues":1,"tx_queues":1,)"
        R"("offloads":["rss"],"rx_packets":30,"rx_bytes":4000,"tx_packets":20,)"
        R"("tx_bytes":3000,"rx_missed":0,"rx_errors":0,"rx_nombuf":0,"tx_errors":0,)"
        R"("rebinds":0,"offload_repairs":0,"problem":null,)"
        R"("kernel_shut_out":true,"kernel_repairs":0,"kernel_addresses":[],)"
        R"("twin":"lan0","to_host_packets":6,"from_host_packets":5}]}})"
        "\n");
}

TEST_F(Answer, DropsHaveThisShape) {
    EXPECT_EQ(
        ask(R"({"verb":"show drops","name":"bad_tag"})"),
        R"({"ok":true,"schema":1,"result":{"drops":[{"reason":"bad_tag","stage":"open",)"
        R"("total":3,"help":"the packet was forged or damaged"}],)"
        R"("punts":{"handshake":7,"arp":2},"conservation":{"rx":100,"injected":10,"from_host":4,)"
        R"("originated":1,"tx":99,"to_host":4,"drops":3,"punts":9}}})"
        "\n");
}

TEST_F(Answer, AWorkerHasThisShape) {
    EXPECT_EQ(ask(R"({"verb":"show workers","name":"0"})"),
              R"({"ok":true,"schema":1,"result":{"workers":[{"id":0,"core":2,"asleep":false,)"
              R"("busy_ratio":0.38,"busy_cycles":400,"idle_cycles":600,"turns":1000,)"
              R"("sleeps":5,"rx_packets":100,"tx_packets":99,"handover_out_packets":0,)"
              R"("handover_in_packets":0,"stages":[)"
              R"({"stage":"rx","batches":10,"packets":100,"cycles":2000},)"
              R"({"stage":"open","batches":4,"packets":50,"cycles":30000},)"
              R"({"stage":"route","batches":0,"packets":0,"cycles":0}]}]}})"
              "\n");
}

TEST_F(Answer, AReloadHasThisShapeAndNamesItsCaller) {
    connection.caller = {.pid = 42, .uid = 1000};
    EXPECT_EQ(ask(R"({"verb":"reload"})"),
              R"({"ok":true,"schema":1,"result":{"outcome":"applied",)"
              R"("changes":["+ peers[bob]"],"needs_restart":[],"errors":[]}})"
              "\n");
    EXPECT_EQ(state.nb_reloads, 1);
    EXPECT_EQ(state.last_caller.pid, 42);
    EXPECT_EQ(state.last_caller.uid, 1000);
}

TEST_F(Answer, ListsAllWithoutAName) {
    EXPECT_EQ(result(R"({"verb":"show peers"})")["peers"].size(), 2U);
    EXPECT_EQ(result(R"({"verb":"show routes"})")["routes"].size(), 3U);
    EXPECT_EQ(result(R"({"verb":"show ports"})")["ports"].size(), 2U);
    EXPECT_EQ(result(R"({"verb":"show drops"})")["drops"].size(), 2U);
    EXPECT_EQ(result(R"({"verb":"show workers"})")["workers"].size(), 1U);
    state.peer_views.clear();
    EXPECT_TRUE(result(R"({"verb":"show peers"})")["peers"].empty());
}

TEST_F(Answer, FindsAPeerByItsKey) {
    const Json peers =
        result(R"({"verb":"show peers","name":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="})");
    EXPECT_EQ(peers["peers"][0]["name"], "munich");
    EXPECT_EQ(peers["peers"][0]["endpoint"], nullptr);
}

TEST_F(Answer, FindsTheRouteThatAnAddressTakes) {
    const auto prefix_for = [&](const std::string& address) {
        const Json routes = result(R"({"verb":"show routes","name":")" + address + R"("})");
        return routes["routes"].size() == 1 ? routes["routes"][0]["prefix"] : Json{};
    };
    EXPECT_EQ(prefix_for("10.1.9.1"), "10.1.8.0/21");
    EXPECT_EQ(prefix_for("10.2.255.255"), "10.2.0.0/16");
    state.route_views.push_back(state.route_views[2]);
    state.route_views.back().prefix = *parse_prefix("10.2.7.0/24");
    EXPECT_EQ(prefix_for("10.2.7.9"), "10.2.7.0/24");
    EXPECT_EQ(code(R"({"verb":"show routes","name":"192.0.2.1"})"), "not-found");
}

TEST_F(Answer, SaysWhatIsNotThere) {
    for (const char* noun : {"peers", "routes", "ports", "drops", "workers"})
        EXPECT_EQ(code(R"({"verb":"show )" + std::string{noun} + R"(","name":"x"})"), "not-found")
            << noun;
    EXPECT_EQ(message(R"({"verb":"show peers","name":"bob"})"), "there is no peer 'bob'");
}

TEST_F(Answer, MayOnlyReadOnceRestricted) {
    EXPECT_EQ(result(R"({"verb":"restrict","to":"read"})")["access"], "read");
    EXPECT_EQ(code(R"({"verb":"reload"})"), "forbidden");
    EXPECT_EQ(state.nb_reloads, 0);
    EXPECT_EQ(result(R"({"verb":"status"})")["name"], "berlin");
    EXPECT_EQ(code(R"({"verb":"restrict","to":"full"})"), "bad-request");
    EXPECT_EQ(code(R"({"verb":"restrict"})"), "bad-request");
    EXPECT_EQ(code(R"({"verb":"reload"})"), "forbidden");
}

TEST_F(Answer, GuessesWhatATypoMeant) {
    EXPECT_EQ(code(R"({"verb":"show peer"})"), "unknown-verb");
    EXPECT_EQ(message(R"({"verb":"show peer"})"),
              "'show peer' is not a verb; did you mean 'show peers'?");
    EXPECT_EQ(message(R"({"verb":"frobnicate"})"), "'frobnicate' is not a verb");
}

TEST_F(Answer, SaysWhatIsWrongWithGarbage) {
    EXPECT_EQ(message("hello"),
              "not JSON: the error is at byte 1; a request is one line such as "
              "{\"verb\":\"status\"}");
    for (const std::string& line : {
             std::string{},
             std::string{"\xff\xfe"},
             std::string{"{\"verb\":\"sta"},
             std::string("\0\0\0", 3),
             std::string{"{}"},
             std::string{"[]"},
             std::string{"7"},
             std::string{"null"},
             std::string{"\"status\""},
             std::string{"{\"verb\":7}"},
             std::string{"{\"verb\":null}"},
             std::string{"{\"verb\":\"\"}"},
             std::string{"{\"verb\":{\"verb\":\"reload\"}}"},
             std::string{"{\"verb\":\"reload\",\"force\":\"yes\"}"},
             std::string{"{\"verb\":\"reload\",\"name\":[]}"},
             std::string{"{\"verb\":\"reload\"} {}"},
             std::string{"{\"verb\":\"\xed\xa0\x80\"}"},
             std::string{"{\"x\":1e999999}"},
             std::string{"GET / HTTP/1.1\r"},
             std::string(65536, '['),
             std::string(65536, '{'),
             std::string(65536, '"'),
         })
        EXPECT_EQ(code(line), "bad-request") << line.substr(0, 60);
    EXPECT_EQ(state.nb_reloads, 0);
}

TEST_F(Answer, StaysOneLineOfValidUtf8WhateverTheNamesHold) {
    state.peer_views[0].name = "a\"b\\c\nd\x1b[31m\xff<script>";
    state.status_view.problems = {"line\nbreak"};
    for (const char* verb : {"status", "show peers"}) {
        const std::string text = ask(std::string{"{\"verb\":\""} + verb + "\"}");
        EXPECT_EQ(text.find('\n'), text.size() - 1);
        EXPECT_TRUE(Json::accept(text));
        EXPECT_EQ(text.find('\x1b'), std::string::npos);
    }
    const std::string shown = message("{\"verb\":\"\\u001b[2J\\n" + std::string(500, 'x') + "\"}");
    EXPECT_EQ(shown.find('\x1b'), std::string::npos);
    EXPECT_LT(shown.size(), 200U);
}

TEST_F(Answer, RefusesToGrowWithoutBound) {
    state.peer_views[0].name = std::string(kMaxAnswerBytes, 'x');
    EXPECT_EQ(code(R"({"verb":"show peers"})"), "too-large");
}

TEST_F(Answer, ServesMetricsAsText) {
    const std::string text = result(R"({"verb":"metrics"})")["text"];
    EXPECT_NE(text.find("meshgate_peer_up{peer=\"alice-laptop\"} 1\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace meshgate::control

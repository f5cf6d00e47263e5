// SPDX-License-Identifier: Apache-2.0
#include "control/api/metrics.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>

#include "tests/unit/control/api/fake_state.h"

namespace meshgate::control {
namespace {

// The exit status of `promtool check metrics`, the referee that Prometheus itself ships; 127 when
// it is not installed, which fails the test.
int promtool_status(const std::string& text) {
    FILE* pipe = ::popen("promtool check metrics 1>&2", "w");
    if (pipe == nullptr)
        return 127;
    const size_t written = std::fwrite(text.data(), 1, text.size(), pipe);
    const int status = ::pclose(pipe);
    return written == text.size() && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, SatisfyPromtool) {
    FakeState state;
    EXPECT_EQ(promtool_status(metrics_text(state)), 0) << metrics_text(state);
}

TEST(Metrics, SatisfyPromtoolWithHostileNames) {
    FakeState state;
    state.peer_views[0].name = "a\"b\\c\nd{}=,";
    state.peer_views[1].path = PathKind::direct;
    state.peer_views[1].via = "w\"an\n0";
    state.port_views[0].name = "p\\";
    state.status_view.name = "\"} 1\nmeshgate_forged 1\n";
    const std::string text = metrics_text(state);
    EXPECT_EQ(promtool_status(text), 0) << text;
    EXPECT_FALSE(has_line(text, "meshgate_forged 1"));
    EXPECT_TRUE(has_line(text, R"(meshgate_peer_up{peer="a\"b\\c\nd{}=,"} 1)")) << text;
}

TEST(Metrics, SatisfyPromtoolWithAnEmptyBox) {
    FakeState state;
    state.peer_views.clear();
    state.port_views.clear();
    state.route_views.clear();
    state.worker_views.clear();
    state.drops_view = {};
    state.status_view.handshakes.clear();
    EXPECT_EQ(promtool_status(metrics_text(state)), 0) << metrics_text(state);
}

TEST(Metrics, ShowWhatTheViewsHold) {
    FakeState state;
    const std::string text = metrics_text(state);
    for (const char* line : {
             R"(meshgate_build_info{version="0.1.0",node="berlin"} 1)",
             R"(meshgate_config_last_reload_success 1)",
             R"(meshgate_config_applied_timestamp_seconds 1700000000)",
             R"(meshgate_ready 1)",
             R"(meshgate_problems 0)",
             R"(meshgate_sessions 1)",
             R"(meshgate_mempool_available 32168)",
             R"(meshgate_handshake_messages_total{result="bad_mac1"} 2)",
             R"(meshgate_peer_up{peer="munich"} 0)",
             R"(meshgate_peer_path{peer="alice-laptop",path="direct",wan="wan0",relay=""} 1)",
             R"(meshgate_peer_path{peer="munich",path="none",wan="",relay=""} 1)",
             R"(meshgate_peer_receive_bytes_total{peer="alice-laptop"} 1480)",
             R"(meshgate_peer_transmit_packets_total{peer="alice-laptop"} 20)",
             R"(meshgate_peer_handshakes_total{peer="alice-laptop",result="completed"} 3)",
             R"(meshgate_peer_last_handshake_timestamp_seconds{peer="alice-laptop"} 1700000100)",
             R"(meshgate_drops_total{reason="bad_tag",stage="open"} 3)",
             R"(meshgate_drops_total{reason="no_route",stage="route"} 0)",
             R"(meshgate_punts_total{reason="handshake"} 7)",
             R"(meshgate_port_up{port="lan0"} 0)",
             R"(meshgate_port_receive_bytes_total{port="wan0"} 4000)",
             R"(meshgate_port_kernel_shut_out{port="lan0"} 1)",
             R"(meshgate_port_kernel_addresses{port="wan0"} 1)",
             R"(meshgate_port_kernel_repairs_total{port="wan0"} 0)",
             R"(meshgate_worker_busy_cycles_total{worker="0"} 400)",
             R"(meshgate_stage_packets_total{worker="0",stage="open"} 50)",
             R"(meshgate_routes{kind="peer"} 1)",
         })
        EXPECT_TRUE(has_line(text, line)) << line << "\nis not in\n" << text;
}

TEST(Metrics, ShowTheMeshOfABoxInANetworkOnly) {
    FakeState state;
    EXPECT_EQ(metrics_text(state).find("meshgate_network"), std::string::npos);
    state.join_network();
    const std::string text = metrics_text(state);
    EXPECT_EQ(promtool_status(text), 0) << text;
    for (const char* line : {
             R"(meshgate_network_info{network="acme",authority=)"
             R"("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="} 1)",
             R"(meshgate_network_version 12)",
             R"(meshgate_members{state="up"} 1)",
             R"(meshgate_link_up{peer="vienna",port="wan0",remote="192.0.2.44:51820"} 1)",
             R"(meshgate_link_up{peer="leipzig",port="wan1",remote="[2001:db8::7]:51820"} 0)",
             R"(meshgate_link_in_use{peer="vienna",port="wan0",remote="192.0.2.44:51820"} 1)",
             R"(meshgate_link_rtt_seconds{peer="vienna",port="wan0",remote="192.0.2.44:51820"} )"
             R"(0.00912345)",
             R"(meshgate_link_loss_ratio{peer="leipzig",port="wan1",remote="[2001:db8::7]:51820"} )"
             R"(1)",
             R"(meshgate_link_cost{peer="leipzig",port="wan1",remote="[2001:db8::7]:51820"} 65535)",
             R"(meshgate_peer_path{peer="leipzig",path="relay",wan="wan0",relay="vienna"} 1)",
             R"(meshgate_peer_path{peer="hamburg",path="none",wan="",relay=""} 1)",
             R"(meshgate_peer_path{peer="alice-laptop",path="direct",wan="wan0",relay=""} 1)",
             R"(meshgate_relay_entries{role="serving"} 1)",
             R"(meshgate_relay_entries{role="using"} 1)",
         })
        EXPECT_TRUE(has_line(text, line)) << line << "\nis not in\n" << text;
    EXPECT_EQ(text.find(R"(meshgate_link_rtt_seconds{peer="leipzig")"), std::string::npos);
}

// promtool lets it pass; Prometheus drops what it meets for the second time.
TEST(Metrics, HaveNoSampleTwice) {
    FakeState state;
    state.join_network();
    state.link_views.push_back(state.link_views[0]);
    state.path_views.push_back(state.path_views[0]);
    state.path_views[0].peer = "alice-laptop";
    std::istringstream lines{metrics_text(state)};
    std::set<std::string> seen;
    for (std::string line; std::getline(lines, line);)
        EXPECT_TRUE(seen.insert(line.substr(0, line.rfind(' '))).second || line[0] == '#') << line;
}

TEST(Metrics, KeepCountersExactAboveFourThousandMillion) {
    FakeState state;
    state.peer_views[0].rx_bytes = 1234567890123456;
    EXPECT_TRUE(has_line(metrics_text(state),
                         R"(meshgate_peer_receive_bytes_total{peer="alice-laptop"} )"
                         R"(1234567890123456)"))
        << metrics_text(state);
}

}  // namespace
}  // namespace meshgate::control

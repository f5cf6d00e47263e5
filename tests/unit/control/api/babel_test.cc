// SPDX-License-Identifier: Apache-2.0
// What the API, the metrics and the command say of routers of other makes.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "control/api/answer.h"
#include "control/api/metrics.h"
#include "tests/unit/control/api/fake_state.h"

namespace meshgate::control {
namespace {

class BabelAnswer : public testing::Test {
protected:
    BabelAnswer() { state.speak_babel(); }
    std::string ask(std::string_view line) { return answer(line, connection, state); }

    FakeState state;
    ApiConnection connection;
};

TEST_F(BabelAnswer, HasThisShape) {
    EXPECT_EQ(ask(R"({"verb":"show babel","name":"lan0"})"),
              R"({"ok":true,"schema":1,"result":{"router_id":"0123456789abcdef","seqno":7,)"
              R"("routes":3,"unreachable":1,"places":[)"
              R"({"name":"lan0","kind":"port","up":true,"address":"fe80::1","authenticated":true,)"
              R"("prefixes_refused":2,"last_refused":"10.2.0.0/16",)"
              R"("last_reason":"it is member munich's","neighbors":[)"
              R"({"address":"fe80::7","state":"up","cost":96,"rxcost":96,"txcost":96,)"
              R"("rtt_p50_ms":0.457,"jitter_ms":0.1,"loss_ratio":0.013,"age_s":1.25,)"
              R"("hello_interval_ms":4000,"routes":3}]}],)"
              R"("refused":{"member":2},"counters":{"packets_sent":12}}})"
              "\n");
}

TEST_F(BabelAnswer, NamesWhatIsNotThere) {
    EXPECT_NE(ask(R"({"verb":"show babel","name":"lan9"})").find("not-found"), std::string::npos);
    state.babel_view.places[0].neighbors[0].cost = 65535;
    state.babel_view.places[0].neighbors[0].rtt_p50_ms.reset();
    const auto json = nlohmann::json::parse(ask(R"({"verb":"show babel"})"));
    const auto& places = json["result"]["places"];
    ASSERT_EQ(places.size(), 2U);
    EXPECT_TRUE(places[0]["neighbors"][0]["cost"].is_null());
    EXPECT_TRUE(places[0]["neighbors"][0]["rtt_p50_ms"].is_null());
    EXPECT_TRUE(places[1]["last_refused"].is_null());
}

TEST_F(BabelAnswer, IsInTheMetrics) {
    const std::string text = metrics_text(state);
    for (const char* line :
         {"meshgate_babel_neighbor_up{place=\"lan0\",neighbor=\"fe80::7\"} 1\n",
          "meshgate_babel_neighbor_cost{place=\"lan0\",neighbor=\"fe80::7\"} 96\n",
          "meshgate_babel_routes 3\n", "meshgate_babel_unreachable_routes 1\n",
          "meshgate_babel_prefixes_refused_total{reason=\"member\"} 2\n",
          "meshgate_babel_events_total{event=\"packets_sent\"} 12\n"})
        EXPECT_NE(text.find(line), std::string::npos) << line << text;
    state.babel_view.places.clear();
    EXPECT_EQ(metrics_text(state).find("meshgate_babel"), std::string::npos) << "not spoken";
}

}  // namespace
}  // namespace meshgate::control

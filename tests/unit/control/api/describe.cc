// SPDX-License-Identifier: Apache-2.0
// Prints what the API, the metrics and the drop counters look like, as one JSON object, from which
// tests/check/reference.py makes pages of docs/reference/: the code that answers is what is
// described.
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "control/api/answer.h"
#include "control/api/metrics.h"
#include "dataplane/api/drop.h"
#include "tests/unit/control/api/fake_state.h"

namespace meshgate::control {
namespace {

using Json = nlohmann::ordered_json;

Json drops() {
    Json rows = Json::array();
    for (size_t i = 0; i < kNbDrops; ++i) {
        const auto reason = static_cast<Drop>(i);
        rows.push_back({{"reason", to_string(reason)},
                        {"stage", to_string(usual_stage(reason))},
                        {"help", help_for(reason)}});
    }
    return rows;
}

Json punts() {
    Json names = Json::array();
    for (size_t i = 0; i < kNbPunts; ++i)
        names.push_back(to_string(static_cast<Punt>(i)));
    return names;
}

// Each request, with the object it is described by: what a list holds, where it holds one kind.
Json answers(FakeState& state) {
    constexpr std::array<const char*, 14> kVerbs = {
        "status",       "show peers", "show routes", "show ports",  "show drops",
        "show workers", "show babel", "show links",  "show paths",  "show members",
        "show relays",  "explain",    "reload",      "network push"};
    Json all = Json::object();
    for (const char* verb : kVerbs) {
        ApiConnection connection;
        Json request{{"verb", verb}};
        if (request["verb"] == "explain")
            request["name"] = "vienna";
        if (request["verb"] == "network push") {
            answer(R"({"verb":"network piece","bytes":"YQ=="})", connection, state);
            request["signature"] = std::string(86, 'A') + "==";
        }
        all[verb] = Json::parse(answer(request.dump(), connection, state)).at("result");
    }
    return all;
}

}  // namespace
}  // namespace meshgate::control

int main() {
    using namespace meshgate::control;
    FakeState state;
    state.speak_babel();
    state.join_network();
    state.status_view.problems = {"wan0  link is down for 38 s"};
    state.network_view->events = {{"relay_opens_accepted", 1}};
    state.reload_report.needs_restart = {"dataplane.workers 1 -> 2"};
    state.reload_report.errors =
        state.push_report.errors = {"meshgate.yaml:1:1: error[bad-role]: ..."};
    const Json all{{"drops", drops()},
                   {"punts", punts()},
                   {"answers", answers(state)},
                   {"metrics", metrics_text(state)}};
    return std::puts(all.dump(1).c_str()) < 0 ? 1 : 0;
}

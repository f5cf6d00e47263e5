// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "control/api/answer.h"
#include "tests/unit/control/api/fake_state.h"

namespace meshgate::control {

using Json = nlohmann::ordered_json;

// Asks as a client of the socket does, and takes the answer apart.
class AnswerTest : public testing::Test {
protected:
    std::string ask(std::string_view line) { return answer(line, connection, state); }
    Json result(std::string_view line) {
        const Json json = Json::parse(ask(line));
        EXPECT_EQ(json["ok"], true) << json;
        return json.at("result");
    }
    Json error(std::string_view line) {
        const Json json = Json::parse(ask(line));
        EXPECT_EQ(json["ok"], false) << json;
        return json.at("error");
    }
    std::string code(std::string_view line) { return error(line).at("code"); }
    std::string message(std::string_view line) { return error(line).at("message"); }

    FakeState state;
    std::shared_ptr<UploadBudget> budget = std::make_shared<UploadBudget>();
    ApiConnection connection{.caller = {.pid = 42, .uid = 1000}, .upload = Upload{budget}};
};

}  // namespace meshgate::control

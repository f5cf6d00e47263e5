// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/unit/control/api/servers.h"

namespace meshgate::control {

// The meshgate program itself (its path comes in MESHGATE) against the API socket of a made-up box.
class Cli : public Sockets {
protected:
    void SetUp() override {
        ASSERT_NE(std::getenv("MESHGATE"), nullptr) << "set MESHGATE to the meshgate program";
        ASSERT_EQ(create_api(folder / "api.sock"), "");
    }
    // Output, stderr included, then "exit N".
    std::string meshgate(const std::string& arguments) {
        return run_command("MESHGATE_SOCKET='" + (folder / "api.sock") + "' \"$MESHGATE\" " +
                           arguments + " 2>&1");
    }
    static std::string exit_of(const std::string& output) {
        return output.substr(output.rfind("exit "));
    }
    static nlohmann::ordered_json json_of(const std::string& output) {
        return nlohmann::ordered_json::parse(output.substr(0, output.rfind("exit ")));
    }
    void write(const std::string& name, const std::string& text) {
        std::ofstream{folder / name} << text;
        ::chmod((folder / name).c_str(), 0600);
    }
};

inline bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace meshgate::control

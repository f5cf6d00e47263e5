// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"
#include "config/model.h"

namespace spdlog {
class logger;
}

namespace meshgate::control {

// The daemon's log on standard error, one line per event: text for people, or one JSON object. What
// the network can cause is limited: the same event of the same subject is written a few times per
// minute at most, and how often it was withheld stands in its next line. It waits for nobody: what
// standard error does not take is lost, and `log-lost` says how much.
class Log {
public:
    using Level = config::LogLevel;
    enum class Cause : uint8_t {
        network,       // anybody may repeat it at will
        administrator  // every one is wanted
    };
    // Of what happened; all fields but the text are for filters.
    struct Event {
        Level level = Level::info;
        std::string_view name;     // stable: "link-down"
        std::string_view subject;  // peer, port; may be empty
        std::string text;
        Cause cause = Cause::network;
    };

    explicit Log(const config::Log& options);
    ~Log();

    void configure(const config::Log& options);
    void write(const Event& event);
    void write(const Event& event, Time now);

private:
    struct Quota {
        Time since{};
        unsigned nb_written = 0;
        uint64_t nb_withheld = 0;
    };

    void emit(const Event& event, uint64_t nb_withheld);
    void log_line(const Event& event, uint64_t nb_withheld);

    std::shared_ptr<spdlog::logger> logger_;
    config::LogFormat format_ = config::LogFormat::text;
    std::map<std::pair<std::string, std::string>, Quota> quotas_;
};

}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "control/log/log.h"

#include <poll.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace meshgate::control {

namespace {

constexpr auto kQuotaPeriod = std::chrono::minutes{1};  // per event and subject
constexpr unsigned kLinesPerPeriod = 5;  // of one event about one subject; the rest are counted
// Subjects come from the box file, but endpoints and addresses from the network.
constexpr size_t kMaxQuotas = 4096;

spdlog::level::level_enum level_of(Log::Level level) noexcept {
    switch (level) {
        case Log::Level::trace:
            return spdlog::level::trace;
        case Log::Level::debug:
            return spdlog::level::debug;
        case Log::Level::info:
            return spdlog::level::info;
        case Log::Level::warning:
            return spdlog::level::warn;
        case Log::Level::error:
            break;
    }
    return spdlog::level::err;
}

std::string as_text(const Log::Event& event, uint64_t nb_withheld) {
    std::string line{event.name};
    if (!event.subject.empty())
        line += " [" + printable(event.subject) + "]";
    line += ": " + printable(event.text);
    if (nb_withheld > 0)
        line += " (" + std::to_string(nb_withheld) + " like this withheld)";
    return line;
}

// spdlog's pattern closes the object around it.
std::string as_json(const Log::Event& event, uint64_t nb_withheld) {
    nlohmann::ordered_json object{{"event", event.name}, {"message", event.text}};
    if (!event.subject.empty())
        object["subject"] = event.subject;
    if (nb_withheld > 0)
        object["withheld"] = nb_withheld;
    const std::string text =
        object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    return text.substr(1);
}

// Standard error may be a pipe whose reader has stopped, or a file on a disk that is full: the
// control thread must not wait for it. Lines that do not fit are lost, and counted.
class StderrSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
public:
    uint64_t nb_lost = 0;

protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        if (!write({line.data(), line.size()}))
            ++nb_lost;
    }
    void flush_() override {}

private:
    // A pipe that is ready takes PIPE_BUF bytes without waiting; longer lines go in such pieces.
    static bool write(std::string_view text) {
        while (!text.empty()) {
            pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
            if (::poll(&ready, 1, 0) != 1)
                return false;
            const ssize_t len =
                ::write(STDERR_FILENO, text.data(), std::min<size_t>(text.size(), PIPE_BUF));
            if (len <= 0)
                return false;
            text.remove_prefix(static_cast<size_t>(len));
        }
        return true;
    }
};

}  // namespace

Log::Log(const config::Log& options)
    : logger_{std::make_shared<spdlog::logger>("meshgated", std::make_shared<StderrSink>())} {
    logger_->flush_on(spdlog::level::trace);
    configure(options);
}

Log::~Log() = default;

void Log::configure(const config::Log& options) {
    format_ = options.format;
    logger_->set_level(level_of(options.level));
    if (format_ == config::LogFormat::json)
        logger_->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v)",
                             spdlog::pattern_time_type::utc);
    else
        logger_->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
}

void Log::write(const Event& event) {
    write(event, std::chrono::steady_clock::now());
}

void Log::write(const Event& event, Time now) {
    if (!logger_->should_log(level_of(event.level)))
        return;
    if (quotas_.size() >= kMaxQuotas)
        quotas_.clear();
    if (event.cause == Cause::administrator)
        return emit(event, 0);
    Quota& quota = quotas_[{std::string{event.name}, std::string{event.subject}}];
    if (quota.since == Time{} || now - quota.since >= kQuotaPeriod)
        quota = {.since = now, .nb_written = 0, .nb_withheld = quota.nb_withheld};
    if (quota.nb_written >= kLinesPerPeriod) {
        ++quota.nb_withheld;
        return;
    }
    ++quota.nb_written;
    emit(event, std::exchange(quota.nb_withheld, 0));
}

void Log::emit(const Event& event, uint64_t nb_withheld) {
    auto& sink = static_cast<StderrSink&>(*logger_->sinks().front());
    if (const uint64_t nb_lost = sink.nb_lost; nb_lost > 0) {
        log_line(
            {Level::warning, "log-lost", "",
             std::to_string(nb_lost) + " lines were lost: nobody read them, or the disk is full"},
            0);
        sink.nb_lost = sink.nb_lost > nb_lost ? nb_lost : 0;
    }
    log_line(event, nb_withheld);
}

void Log::log_line(const Event& event, uint64_t nb_withheld) {
    logger_->log(level_of(event.level), "{}",
                 format_ == config::LogFormat::json ? as_json(event, nb_withheld)
                                                    : as_text(event, nb_withheld));
}

}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
#include "web/api_client.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <vector>

namespace meshgate::web {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr size_t kMaxAnswerBytes = size_t{64} << 20;     // above what the daemon ever answers
constexpr auto kPatience = std::chrono::seconds{5};      // with the daemon, for an answer
constexpr auto kFresh = std::chrono::milliseconds{500};  // how long an answer serves all who ask
// Of questions about one peer: so many at once, and so many a second.
constexpr double kNamedBurst = 20;
constexpr double kNamedPerSecond = 10;  // ... a second
constexpr const char* kRestrict = R"({"verb":"restrict","to":"read"})";

}  // namespace

class ApiClient::Connection : public std::enable_shared_from_this<Connection> {
public:
    explicit Connection(asio::io_context& io) : socket_{io}, patience_{io} {}

    Result<void> open(const std::string& path) {
        constexpr size_t kMaxPathLen = 107;  // sun_path, less its end
        if (path.empty() || path.size() > kMaxPathLen)
            return fail("a socket path has 1 to 107 bytes");
        error_code error;
        socket_.connect(asio::local::stream_protocol::endpoint{path}, error);
        if (error)
            return fail(path + ": " + error.message());
        read();
        return {};
    }

    void ask(const ApiClient::Question& question, Done done);
    // Sends a line as it is, outside of any cache.
    void ask_line(std::string line, Done done);
    void close() {
        error_code ignored;
        socket_.close(ignored);
        patience_.cancel();
        lost_ = nullptr;
    }
    void on_lost(std::function<void()> lost) { lost_ = std::move(lost); }

private:
    struct Waiting {
        std::string line;
        std::vector<Done> waiting;
    };
    struct Known {
        Answer answer;
        Clock::time_point since;
    };

    bool is_known(const std::string& line) const;
    bool take_named_token();
    void refuse(Done done);
    void send_next();
    void read();
    void on_answer(error_code error, size_t len);
    void give_up();
    void lose();

    asio::local::stream_protocol::socket socket_;
    asio::steady_timer patience_;
    std::deque<Waiting> questions_;       // the first one is at the daemon
    std::map<std::string, Known> known_;  // by line; what is not fresh goes with the next answer
    double named_tokens_ = kNamedBurst;
    Clock::time_point named_at_ = Clock::now();
    std::string received_;
    std::function<void()> lost_;
    bool busy_ = false;
    bool failed_ = false;
};

bool ApiClient::Connection::is_known(const std::string& line) const {
    const auto known = known_.find(line);
    return known != known_.end() && Clock::now() - known->second.since < kFresh;
}

bool ApiClient::Connection::take_named_token() {
    const auto now = Clock::now();
    const std::chrono::duration<double> passed = now - named_at_;
    named_at_ = now;
    named_tokens_ = std::min(kNamedBurst, named_tokens_ + passed.count() * kNamedPerSecond);
    if (named_tokens_ < 1)
        return false;
    named_tokens_ -= 1;
    return true;
}

void ApiClient::Connection::refuse(Done done) {
    asio::post(socket_.get_executor(), [done = std::move(done)] { done(nullptr); });
}

void ApiClient::Connection::ask(const ApiClient::Question& question, Done done) {
    if (question.name.empty())
        return ask_line(R"({"verb":")" + question.verb + "\"}", std::move(done));
    std::string line = R"({"verb":")" + question.verb + R"(","name":")" + question.name + "\"}";
    if (!is_known(line) && !take_named_token())
        return refuse(std::move(done));
    ask_line(std::move(line), std::move(done));
}

void ApiClient::Connection::ask_line(std::string line, Done done) {
    if (is_known(line)) {
        const Answer answer = known_.at(line).answer;
        asio::post(socket_.get_executor(), [answer, done = std::move(done)] { done(answer); });
        return;
    }
    if (failed_)
        return refuse(std::move(done));
    for (Waiting& question : questions_) {
        if (question.line == line)
            return question.waiting.push_back(std::move(done));
    }
    questions_.push_back({std::move(line), {}});
    questions_.back().waiting.push_back(std::move(done));
    if (!busy_)
        send_next();
}

void ApiClient::Connection::send_next() {
    if (questions_.empty() || failed_)
        return;
    busy_ = true;
    patience_.expires_after(kPatience);
    patience_.async_wait([weak = weak_from_this()](error_code error) {
        const auto self = weak.lock();
        if (!error && self)
            self->give_up();
    });
    // Should it fail, the read fails as well, and does what there is to do.
    const auto line = std::make_shared<std::string>(questions_.front().line + "\n");
    asio::async_write(socket_, asio::buffer(*line),
                      [line, self = shared_from_this()](error_code, size_t) {});
}

// Always under way, so that the end of the daemon is seen at once.
void ApiClient::Connection::read() {
    asio::async_read_until(
        socket_, asio::dynamic_buffer(received_, kMaxAnswerBytes), '\n',
        [self = shared_from_this()](error_code error, size_t len) { self->on_answer(error, len); });
}

void ApiClient::Connection::on_answer(error_code error, size_t len) {
    patience_.cancel();
    if (error || !busy_)  // an answer that nobody asked for would be taken for the next one
        return lose();
    auto answer = std::make_shared<const std::string>(received_.substr(0, len));
    received_.erase(0, len);
    Waiting question = std::move(questions_.front());
    questions_.pop_front();
    busy_ = false;
    std::erase_if(known_,
                  [](const auto& entry) { return Clock::now() - entry.second.since >= kFresh; });
    known_[question.line] = {answer, Clock::now()};
    send_next();
    read();
    for (const Done& done : question.waiting)
        done(answer);
}

// The daemon is slow: those who wait are told so, but the answer is still awaited, since what comes
// next on the connection would otherwise be taken for the answer to another question.
void ApiClient::Connection::give_up() {
    std::vector<Done> disappointed;
    for (Waiting& question : questions_) {
        for (Done& done : question.waiting)
            disappointed.push_back(std::move(done));
        question.waiting.clear();
    }
    for (const Done& done : disappointed)
        done(nullptr);
}

void ApiClient::Connection::lose() {
    failed_ = true;
    give_up();
    questions_.clear();
    if (lost_)
        std::exchange(lost_, nullptr)();
}

ApiClient::ApiClient(std::shared_ptr<Connection> connection) noexcept
    : connection_{std::move(connection)} {}

ApiClient::~ApiClient() {
    connection_->close();
}

Result<std::unique_ptr<ApiClient>> ApiClient::connect(asio::io_context& io,
                                                      const std::string& socket_path) {
    auto connection = std::make_shared<Connection>(io);
    if (const auto opened = connection->open(socket_path); !opened)
        return fail(opened.error().message);
    bool answered = false;
    Answer answer;
    connection->ask_line(kRestrict, [&](Answer text) {
        answered = true;
        answer = std::move(text);
    });
    while (!answered && io.run_one() > 0) {
    }
    io.restart();
    constexpr std::string_view kOk = "{\"ok\":true,";
    if (!answer || answer->compare(0, kOk.size(), kOk) != 0) {
        connection->close();
        return fail(socket_path + ": meshgated does not let this connection read");
    }
    return std::unique_ptr<ApiClient>{new ApiClient{std::move(connection)}};
}

void ApiClient::ask(const Question& question, Done done) {
    connection_->ask(question, std::move(done));
}

void ApiClient::on_lost(std::function<void()> lost) {
    connection_->on_lost(std::move(lost));
}

}  // namespace meshgate::web

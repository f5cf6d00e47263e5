// SPDX-License-Identifier: Apache-2.0
#include "web/http_server.h"

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/span_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <ctime>
#include <list>
#include <optional>

#include "base/accept_loop.h"
#include "web/api_client.h"
#include "web/content.h"
#include "web/policy.h"

namespace meshgate::web {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kMaxSessions = 64;                       // connections at once
constexpr uint32_t kMaxHeaderBytes = 8192;                // of a request
constexpr auto kReadTimeout = std::chrono::seconds{10};   // for a whole request
constexpr auto kWriteTimeout = std::chrono::seconds{30};  // for a client to take an answer

using Parser = http::request_parser<http::empty_body>;
using Response = http::response<http::span_body<const char>>;

std::string http_date() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    std::array<char, 64> text{};
    ::gmtime_r(&now, &parts);
    return {text.data(),
            std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

std::string_view view_of(beast::string_view text) {
    return {text.data(), text.size()};
}

// All values of a repeated header, so that the second one cannot slip past the rules.
std::optional<std::string> header_of(const Parser::value_type& request, http::field name) {
    std::optional<std::string> value;
    const auto [first, last] = request.equal_range(name);
    for (auto field = first; field != last; ++field)
        value = (value ? *value + ", " : std::string{}) + std::string{view_of(field->value())};
    return value;
}

std::optional<std::string> header_of(const Parser::value_type& request, const char* name) {
    std::optional<std::string> value;
    const auto [first, last] = request.equal_range(name);
    for (auto field = first; field != last; ++field)
        value = (value ? *value + ", " : std::string{}) + std::string{view_of(field->value())};
    return value;
}

Decision decide(const Parser& parser, std::string_view listen_host) {
    const auto& request = parser.get();
    const auto host = header_of(request, http::field::host);
    const auto origin = header_of(request, http::field::origin);
    const auto site = header_of(request, "Sec-Fetch-Site");
    RequestHead head;
    head.method = view_of(request.method_string());
    head.target = view_of(request.target());
    head.host = host;
    head.origin = origin;
    head.sec_fetch_site = site;
    head.has_body = parser.chunked() || parser.content_length().value_or(0) > 0;
    return web::decide(head, listen_host);
}

}  // namespace

class HttpServer::Listener : public std::enable_shared_from_this<Listener> {
public:
    Listener(tcp::acceptor acceptor, std::string listen_host, ApiClient& api)
        : listen_host_{std::move(listen_host)},
          api_{api},
          accept_loop_{std::move(acceptor),
                       [this](tcp::socket socket) { admit(std::move(socket)); }} {}

    void start() { accept_loop_.start(); }
    void stop();
    bool stopped() const noexcept { return accept_loop_.stopped(); }
    const std::string& listen_host() const noexcept { return listen_host_; }
    ApiClient& api() noexcept { return api_; }

    // Sessions that wait for their client to send or to take something, the longest waiting first.
    using Place = std::list<Session*>::iterator;
    Place start_waiting(Session* session) { return waiting_.insert(waiting_.end(), session); }
    void stop_waiting(Place place) { waiting_.erase(place); }
    void session_ended() { --nb_sessions_; }

private:
    void admit(tcp::socket socket);

    std::string listen_host_;
    ApiClient& api_;
    std::list<Session*> waiting_;
    size_t nb_sessions_ = 0;
    AcceptLoop<tcp> accept_loop_;
};

class HttpServer::Session : public std::enable_shared_from_this<Session> {
public:
    Session(std::shared_ptr<Listener> listener, tcp::socket socket)
        : listener_{std::move(listener)}, stream_{std::move(socket)} {}
    ~Session() {
        stop_waiting();
        listener_->session_ended();
    }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void read();
    void close() {
        stop_waiting();
        stream_.close();
    }

private:
    void stop_waiting() {
        if (place_)
            listener_->stop_waiting(*place_);
        place_.reset();
    }
    void on_read(error_code error);
    void serve(const Decision& decision);
    void serve_answer(Resource resource, const ApiClient::Answer& answer);
    void send(Content content);
    void on_sent(error_code error);

    std::shared_ptr<Listener> listener_;
    std::optional<Listener::Place> place_;
    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{size_t{2} * kMaxHeaderBytes};
    std::optional<Parser> parser_;
    Content content_;
    std::optional<Response> response_;
    std::optional<http::response_serializer<http::span_body<const char>>> serializer_;
};

void HttpServer::Session::read() {
    response_.reset();
    serializer_.reset();
    content_ = {};
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    place_ = listener_->start_waiting(this);
    stream_.expires_after(kReadTimeout);
    http::async_read_header(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) { self->on_read(error); });
}

void HttpServer::Session::on_read(error_code error) {
    stop_waiting();
    if (listener_->stopped() || error == asio::error::operation_aborted)
        return;
    if (error == http::error::header_limit || error == http::error::buffer_overflow)
        return send(plain_content(431, "the request's header is longer than 8192 bytes"));
    if (error && error.category() == http::make_error_code(http::error::bad_method).category() &&
        error != http::error::end_of_stream && error != http::error::partial_message)
        return send(plain_content(400, "not HTTP: " + error.message()));
    if (error)
        return close();
    serve(decide(*parser_, listener_->listen_host()));
}

void HttpServer::Session::serve(const Decision& decision) {
    if (decision.status != 200)
        return send(plain_content(decision.status, decision.message));
    if (decision.resource == Resource::page)
        return send(page_content());
    stream_.expires_never();  // the API client answers in bounded time
    listener_->api().ask(
        {.verb = decision.verb, .name = decision.name},
        [self = shared_from_this(), resource = decision.resource](const ApiClient::Answer& answer) {
            self->serve_answer(resource, answer);
        });
}

void HttpServer::Session::serve_answer(Resource resource, const ApiClient::Answer& answer) {
    if (listener_->stopped())
        return;
    send(answer_content(resource, answer));
}

void HttpServer::Session::send(Content content) {
    content_ = std::move(content);
    // Whatever could not be understood may be followed by more of its kind.
    const bool keep_open = content_.status == 200 && parser_->keep_alive();
    response_.emplace(http::int_to_status(content_.status), parser_->get().version());
    response_->set(http::field::date, http_date());
    response_->set(http::field::content_type, content_.type);
    response_->set(http::field::cache_control, "no-store");
    response_->set("Content-Security-Policy", content_.policy);
    response_->set("X-Content-Type-Options", "nosniff");
    response_->set("X-Frame-Options", "DENY");
    response_->set("Referrer-Policy", "no-referrer");
    response_->set("Cross-Origin-Resource-Policy", "same-origin");
    if (content_.status == 405)
        response_->set(http::field::allow, "GET, HEAD");
    response_->keep_alive(keep_open);
    response_->content_length(content_.body().size());
    response_->body() = {content_.body().data(), content_.body().size()};
    serializer_.emplace(*response_);
    place_ = listener_->start_waiting(this);
    stream_.expires_after(kWriteTimeout);
    const auto sent = [self = shared_from_this()](error_code error, size_t) {
        self->on_sent(error);
    };
    if (parser_->get().method() == http::verb::head)
        http::async_write_header(stream_, *serializer_, sent);
    else
        http::async_write(stream_, *serializer_, sent);
}

void HttpServer::Session::on_sent(error_code error) {
    stop_waiting();
    if (!error && response_->keep_alive() && !listener_->stopped())
        return read();
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    close();
}

void HttpServer::Listener::admit(tcp::socket socket) {
    if (nb_sessions_ >= kMaxSessions) {
        if (waiting_.empty())
            return;  // all wait for the daemon, which takes seconds at most: the newcomer goes
        waiting_.front()->close();
    }
    ++nb_sessions_;
    std::make_shared<Session>(shared_from_this(), std::move(socket))->read();
}

void HttpServer::Listener::stop() {
    accept_loop_.stop();
    while (!waiting_.empty())
        waiting_.front()->close();
}

HttpServer::HttpServer(std::shared_ptr<Listener> listener) noexcept
    : listener_{std::move(listener)} {}

HttpServer::~HttpServer() {
    listener_->stop();
}

Result<std::unique_ptr<HttpServer>> HttpServer::create(asio::io_context& io, const Endpoint& listen,
                                                       ApiClient& api) {
    error_code error;
    const std::string host = to_string(listen.address);
    const tcp::endpoint endpoint{asio::ip::make_address(host, error), listen.port};
    tcp::acceptor acceptor{io};
    if (!error)
        acceptor.open(endpoint.protocol(), error);
    if (!error)
        acceptor.set_option(tcp::acceptor::reuse_address{true}, error);
    if (!error)
        acceptor.bind(endpoint, error);
    if (!error)
        acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error)
        return fail("listen on " + to_string(listen) + ": " + error.message());
    auto listener = std::make_shared<Listener>(std::move(acceptor), host, api);
    listener->start();
    return std::unique_ptr<HttpServer>{new HttpServer{std::move(listener)}};
}

}  // namespace meshgate::web

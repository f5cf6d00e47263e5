// SPDX-License-Identifier: Apache-2.0
#include "control/api/unix_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/accept_loop.h"
#include "base/unique_fd.h"

namespace meshgate::control {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::local::stream_protocol::socket;
using Acceptor = asio::local::stream_protocol::acceptor;

// Over all connections of a server.
constexpr size_t kMaxPendingBytes = size_t{64} << 20;

int new_socket() {
    return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

Result<void> make_folder_of(const std::string& path) {
    const std::filesystem::path folder = std::filesystem::path{path}.parent_path();
    std::error_code error;
    if (folder.empty() || !std::filesystem::create_directories(folder, error)) {
        if (error)
            return fail("folder " + folder.string() + ": " + error.message());
        return {};
    }
    if (::chmod(folder.c_str(), 0755) != 0)
        return fail(errno, "folder " + folder.string());
    return {};
}

// A socket file outlives a daemon that was killed. One that somebody still answers is left alone,
// and so is everything that is no socket.
Result<void> remove_stale(const sockaddr_un& address) {
    struct stat status {};
    if (::lstat(address.sun_path, &status) != 0)
        return {};
    if (!S_ISSOCK(status.st_mode))
        return fail("there is a file of that name, and it is no socket");
    const UniqueFd probe{new_socket()};
    if (::connect(probe.get(), generic(address), sizeof(address)) == 0 || errno == EAGAIN)
        return fail("another process listens on it");
    if (errno != ECONNREFUSED)
        return fail(errno, "probe");
    if (::unlink(address.sun_path) != 0 && errno != ENOENT)
        return fail(errno, "remove the old socket");
    return {};
}

// Binds without a moment in which the file has a wider mode than `mode`: bind() takes the mode of
// the socket's own inode, which fchmod sets before there is a file, and the umask only narrows it.
Result<int> listen_at(const std::string& path, unsigned mode) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path))
        return fail("a socket path has 1 to 107 bytes");
    std::memcpy(address.sun_path, path.data(), path.size());
    if (const auto folder = make_folder_of(path); !folder)
        return fail(folder.error().message);
    if (const auto removed = remove_stale(address); !removed)
        return fail(removed.error().message);
    UniqueFd fd{new_socket()};
    if (fd.get() < 0 || ::fchmod(fd.get(), mode) != 0)
        return fail(errno, "socket");
    if (::bind(fd.get(), generic(address), sizeof(address)) != 0)
        return fail(errno, "bind");
    if (::chmod(address.sun_path, mode) != 0 || ::listen(fd.get(), SOMAXCONN) != 0)
        return fail(errno, "listen");
    return fd.release();
}

Caller caller_of(int fd) {
    ucred credentials{};
    socklen_t len = sizeof(credentials);
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) != 0)
        return {};
    return {.pid = credentials.pid, .uid = credentials.uid};
}

}  // namespace

// Connections keep the listener alive, not the other way round; stop() breaks them off.
class UnixServer::Listener : public std::enable_shared_from_this<Listener> {
public:
    Listener(asio::io_context& io, int fd, UnixServerOptions options, MakeHandler make_handler)
        : options_{std::move(options)},
          make_handler_{std::move(make_handler)},
          accept_loop_{Acceptor{io, asio::local::stream_protocol{}, fd},
                       [this](Socket socket) { admit(std::move(socket)); }} {
        struct stat status {};
        if (::lstat(options_.path.c_str(), &status) == 0)
            inode_ = status.st_ino;
    }

    void start() { accept_loop_.start(); }
    void stop();
    bool stopped() const noexcept { return accept_loop_.stopped(); }
    const UnixServerOptions& options() const noexcept { return options_; }

    void forget(Connection* connection) { connections_.erase(connection); }
    bool reserve(size_t nb_bytes) {
        if (pending_bytes_ + nb_bytes > kMaxPendingBytes)
            return false;
        pending_bytes_ += nb_bytes;
        return true;
    }
    void release(size_t nb_bytes) { pending_bytes_ -= nb_bytes; }

private:
    void admit(Socket socket);

    UnixServerOptions options_;
    MakeHandler make_handler_;
    std::set<Connection*> connections_;
    size_t pending_bytes_ = 0;
    ino_t inode_ = 0;
    AcceptLoop<asio::local::stream_protocol> accept_loop_;
};

class UnixServer::Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(std::shared_ptr<Listener> listener, Socket socket,
               std::unique_ptr<RequestHandler> handler)
        : listener_{std::move(listener)},
          socket_{std::move(socket)},
          timer_{socket_.get_executor()},
          handler_{std::move(handler)} {}
    ~Connection() {
        listener_->release(reserved_bytes_);
        listener_->forget(this);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void read();
    void close() {
        error_code ignored;
        socket_.close(ignored);
        timer_.cancel();
    }

private:
    void arm_timer();
    void on_read(error_code error, size_t request_len);
    void reply(Reply reply);

    std::shared_ptr<Listener> listener_;
    Socket socket_;
    asio::steady_timer timer_;
    std::unique_ptr<RequestHandler> handler_;
    std::string received_;
    std::string to_send_;
    size_t reserved_bytes_ = 0;
};

void UnixServer::Connection::arm_timer() {
    timer_.expires_after(listener_->options().timeout);
    timer_.async_wait([self = weak_from_this()](error_code error) {
        const auto connection = self.lock();
        if (!error && connection)
            connection->close();
    });
}

void UnixServer::Connection::read() {
    if (handler_->may_idle())
        timer_.cancel();
    else
        arm_timer();
    asio::async_read_until(
        socket_, asio::dynamic_buffer(received_, listener_->options().max_request_bytes),
        listener_->options().terminator,
        [self = shared_from_this()](error_code error, size_t len) { self->on_read(error, len); });
}

void UnixServer::Connection::on_read(error_code error, size_t request_len) {
    if (listener_->stopped() || error == asio::error::operation_aborted)
        return;
    const UnixServerOptions& options = listener_->options();
    if (error == asio::error::not_found)
        return reply({options.too_long_answer, AfterReply::close});
    if (error == asio::error::eof && !received_.empty()) {  // a last request without terminator
        Reply last = handler_->answer(received_);
        last.after = AfterReply::close;
        return reply(std::move(last));
    }
    if (error)
        return close();
    const size_t len = request_len - options.terminator.size();
    Reply next = handler_->answer(std::string_view{received_}.substr(0, len));
    received_.erase(0, request_len);
    reply(std::move(next));
}

void UnixServer::Connection::reply(Reply reply) {
    if (!listener_->reserve(reply.text.size()))
        reply = {listener_->options().busy_answer, AfterReply::close};
    else
        reserved_bytes_ = reply.text.size();
    to_send_ = std::move(reply.text);
    arm_timer();
    asio::async_write(socket_, asio::buffer(to_send_),
                      [self = shared_from_this(), after = reply.after](error_code error, size_t) {
                          self->listener_->release(std::exchange(self->reserved_bytes_, 0));
                          self->to_send_ = {};
                          if (error || after == AfterReply::close || self->listener_->stopped())
                              return self->close();
                          self->read();
                      });
}

void UnixServer::Listener::admit(Socket socket) {
    error_code ignored;
    if (connections_.size() >= options_.max_connections) {
        socket.non_blocking(true, ignored);
        socket.send(asio::buffer(options_.busy_answer), 0, ignored);
        return;
    }
    auto handler = make_handler_(caller_of(socket.native_handle()));
    const auto connection =
        std::make_shared<Connection>(shared_from_this(), std::move(socket), std::move(handler));
    connections_.insert(connection.get());
    connection->read();
}

void UnixServer::Listener::stop() {
    accept_loop_.stop();
    for (Connection* connection : connections_)
        connection->close();
    struct stat status {};
    const bool still_ours = ::lstat(options_.path.c_str(), &status) == 0 && status.st_ino == inode_;
    if (still_ours)
        ::unlink(options_.path.c_str());
}

UnixServer::UnixServer(std::shared_ptr<Listener> listener) noexcept
    : listener_{std::move(listener)} {}

UnixServer::~UnixServer() {
    listener_->stop();
}

Result<std::unique_ptr<UnixServer>> UnixServer::create(asio::io_context& io,
                                                       UnixServerOptions options,
                                                       MakeHandler make_handler) {
    const Result<int> fd = listen_at(options.path, options.mode);
    if (!fd)
        return within("socket " + options.path, fd.error());
    auto listener =
        std::make_shared<Listener>(io, *fd, std::move(options), std::move(make_handler));
    listener->start();
    return std::unique_ptr<UnixServer>{new UnixServer{std::move(listener)}};
}

}  // namespace meshgate::control

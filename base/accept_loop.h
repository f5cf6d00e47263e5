// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <utility>

namespace meshgate {

// Accepts connections of `Protocol` on the acceptor's io_context and hands each to `admit`, until
// stop(). When accept() fails, most likely for want of file descriptors, it backs off: the
// connection stays in the queue, so an immediate retry would fail again and spin.
template <typename Protocol>
class AcceptLoop {
public:
    using Acceptor = typename Protocol::acceptor;
    using Socket = typename Protocol::socket;
    using Admit = std::function<void(Socket)>;

    AcceptLoop(Acceptor acceptor, Admit admit)
        : state_{std::make_shared<State>(std::move(acceptor), std::move(admit))} {}
    ~AcceptLoop() { stop(); }
    AcceptLoop(const AcceptLoop&) = delete;
    AcceptLoop& operator=(const AcceptLoop&) = delete;

    void start() { accept(state_); }

    // Closes the acceptor; `admit` is not called any more. On the io_context's thread.
    void stop() {
        state_->stopped = true;
        boost::system::error_code ignored;
        state_->acceptor.close(ignored);
        state_->retry.cancel();
    }

    bool stopped() const noexcept { return state_->stopped; }

private:
    // Before the next accept() when the process is out of descriptors.
    static constexpr auto kRetryAfter = std::chrono::milliseconds{100};

    // Shared with the pending completion, which may outlive the loop.
    struct State {
        State(Acceptor its_acceptor, Admit its_admit)
            : acceptor{std::move(its_acceptor)},
              retry{acceptor.get_executor()},
              admit{std::move(its_admit)} {}

        Acceptor acceptor;
        boost::asio::steady_timer retry;
        Admit admit;
        bool stopped = false;
    };

    static void accept(const std::shared_ptr<State>& state) {
        state->acceptor.async_accept([state](boost::system::error_code error, Socket socket) {
            if (state->stopped)
                return;
            if (error) {
                retry_later(state);
                return;
            }
            state->admit(std::move(socket));
            accept(state);
        });
    }

    static void retry_later(const std::shared_ptr<State>& state) {
        state->retry.expires_after(kRetryAfter);
        // A stopped loop's acceptor is closed: that accept() fails at once and ends the loop.
        state->retry.async_wait([state](boost::system::error_code) { accept(state); });
    }

    std::shared_ptr<State> state_;
};

}  // namespace meshgate

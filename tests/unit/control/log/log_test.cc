// SPDX-License-Identifier: Apache-2.0
#include "control/log/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

namespace meshgate::control {
namespace {

// Standard error is a pipe that is full for as long as this lives.
class FullPipe {
public:
    FullPipe() : stderr_{::dup(STDERR_FILENO)} {
        EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0);
        capacity_ = static_cast<size_t>(::fcntl(ends_[1], F_GETPIPE_SZ));
        const std::string filling(capacity_, '.');
        EXPECT_EQ(::write(ends_[1], filling.data(), filling.size()),
                  static_cast<ssize_t>(filling.size()));
        ::dup2(ends_[1], STDERR_FILENO);
    }
    ~FullPipe() {
        ::dup2(stderr_, STDERR_FILENO);
        for (const int fd : {stderr_, ends_[0], ends_[1]})
            ::close(fd);
    }
    FullPipe(const FullPipe&) = delete;
    FullPipe& operator=(const FullPipe&) = delete;

    std::string read() {
        std::string text(capacity_, '\0');
        text.resize(static_cast<size_t>(::read(ends_[0], text.data(), text.size())));
        return text;
    }

private:
    int stderr_;
    std::array<int, 2> ends_{};
    size_t capacity_ = 0;
};

TEST(LogTest, WaitsForNobodyWhoDoesNotReadIt) {
    FullPipe pipe;
    Log log{config::Log{}};
    const auto say = [&log](const char* text) {
        log.write({Log::Level::warning, "link-down", text, "silent", Log::Cause::administrator});
    };
    for (const char* text : {"one", "two", "three"})
        say(text);  // does not return where it waits
    EXPECT_EQ(pipe.read().find_first_not_of('.'), std::string::npos);
    say("four");
    const std::string text = pipe.read();
    EXPECT_NE(text.find("log-lost: 3 lines were lost"), std::string::npos) << text;
    EXPECT_NE(text.find("[four]"), std::string::npos) << text;
    EXPECT_EQ(text.find("[three]"), std::string::npos) << text;
    say("five");
    EXPECT_EQ(pipe.read().find("log-lost"), std::string::npos) << "said once";
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0
// The meshgate-web program itself (its path comes in MESHGATE_WEB) between the API socket of a
// made-up box and raw TCP clients.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "tests/unit/control/api/servers.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

uint16_t free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof(address);
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), len), 0);
    EXPECT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &len), 0);
    ::close(fd);
    return ntohs(address.sin_port);
}

struct HttpAnswer {
    unsigned status = 0;
    std::string head;
    std::string body;
    bool has(const std::string& line) const { return head.find(line) != std::string::npos; }
};

HttpAnswer parse_answer(const std::string& text) {
    HttpAnswer answer;
    const size_t end = text.find("\r\n\r\n");
    if (text.rfind("HTTP/1.", 0) != 0 || end == std::string::npos)
        return answer;
    answer.status = static_cast<unsigned>(std::atoi(text.c_str() + 9));
    answer.head = text.substr(0, end + 2);
    answer.body = text.substr(end + 4);
    return answer;
}

class Web : public Sockets {
protected:
    void SetUp() override {
        ASSERT_NE(std::getenv("MESHGATE_WEB"), nullptr) << "set MESHGATE_WEB to meshgate-web";
        ASSERT_EQ(create_api(folder / "api.sock"), "");
        start(folder / "api.sock");
    }
    void TearDown() override { stop(); }

    void start(const std::string& socket) {
        port = free_port();
        std::string listen = "127.0.0.1:" + std::to_string(port);
        std::string path = socket;
        std::string program = std::getenv("MESHGATE_WEB");
        std::string socket_option = "--socket";
        std::string listen_option = "--listen";
        char* arguments[] = {program.data(),       socket_option.data(), path.data(),
                             listen_option.data(), listen.data(),        nullptr};
        ASSERT_EQ(::posix_spawn(&pid, program.c_str(), nullptr, nullptr, arguments, environ), 0);
        for (int i = 0; i < 2000 && !RawClient::tcp(port).connected(); ++i)
            std::this_thread::sleep_for(10ms);
    }
    void stop() {
        if (pid > 0)
            ::kill(pid, SIGTERM);
        wait();
    }
    // The exit status; -1 when a signal ended it.
    int wait() {
        int exit_status = 0;
        if (pid > 0)
            ::waitpid(pid, &exit_status, 0);
        pid = 0;
        return WIFEXITED(exit_status) ? WEXITSTATUS(exit_status) : -1;
    }

    HttpAnswer ask(const std::string& request) const {
        const RawClient client = RawClient::tcp(port);
        client.send(request);
        return parse_answer(client.receive_all());
    }
    HttpAnswer get(const std::string& target, const std::string& headers = "") const {
        return ask("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" +
                   headers + "\r\n");
    }
    std::string proc(const std::string& name) const {
        std::ifstream file{"/proc/" + std::to_string(pid) + "/" + name};
        std::stringstream text;
        text << file.rdbuf();
        return text.str();
    }

    uint16_t port = 0;
    pid_t pid = 0;
};

TEST_F(Web, ServesTheApi) {
    for (const char* noun : {"peers", "routes", "ports", "drops", "workers"}) {
        const HttpAnswer answer = get(std::string{"/api/v1/"} + noun);
        EXPECT_EQ(answer.status, 200U) << noun;
        EXPECT_TRUE(answer.has("Content-Type: application/json\r\n"));
        EXPECT_TRUE(Json::parse(answer.body)["result"].contains(noun)) << answer.body;
    }
    EXPECT_EQ(Json::parse(get("/api/v1/status").body)["result"]["name"], "berlin");
}

TEST_F(Web, ServesMetrics) {
    const HttpAnswer answer = get("/metrics");
    EXPECT_EQ(answer.status, 200U);
    EXPECT_TRUE(answer.has("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    EXPECT_NE(answer.body.find("\nmeshgate_ready 1\n"), std::string::npos);
}

TEST_F(Web, TellsMonitorsHowItIs) {
    EXPECT_EQ(get("/healthz").status, 200U);
    EXPECT_EQ(get("/healthz").body, "ok\n");
    EXPECT_EQ(get("/readyz").status, 200U);
    state.status_view.problems = {"wan0  link is down"};
    state.status_view.readiness = control::Readiness::leaving;
    std::this_thread::sleep_for(600ms);  // answers are kept for half a second
    EXPECT_EQ(get("/healthz").status, 200U);
    EXPECT_EQ(get("/healthz").body, "ok, but:\nwan0  link is down\n");
    EXPECT_EQ(get("/readyz").status, 503U);
    EXPECT_EQ(get("/readyz").body, "not ready: leaving\n");
}

TEST_F(Web, ServesOnePageThatNeedsNothingFromElsewhere) {
    const HttpAnswer answer = get("/");
    EXPECT_EQ(answer.status, 200U);
    EXPECT_TRUE(answer.has("Content-Type: text/html; charset=utf-8\r\n"));
    EXPECT_FALSE(std::regex_search(answer.body, std::regex{"(src|href)\\s*=|@import|url\\("}));
    EXPECT_EQ(answer.body.find("innerHTML"), std::string::npos);
    EXPECT_EQ(answer.body.find("://"), std::string::npos);
}

// What a script reads as NOUN.field.field stands in the answer of that noun, up to what is no
// object there: behind an array or a text come JavaScript's own members.
void expect_field(const Json& object, const std::string& path) {
    const Json* at = &object;
    std::stringstream fields{path};
    for (std::string field; at->is_object() && std::getline(fields, field, '.');
         at = &at->at(field))
        ASSERT_TRUE(at->contains(field)) << path << " is not in " << *at;
}

TEST_F(Web, ThePageReadsWhatTheApiSays) {
    state.join_network();
    const std::string page = get("/").body;
    const std::regex read{
        "\\b(status|network|member|path|link|relay|peer|port|drop|explain)\\.([a-z_0-9]+(\\.[a-z_0-"
        "9]+)*)"};
    const auto answer_of = [this](const std::string& noun) {
        const Json status = Json::parse(get("/api/v1/status").body).at("result");
        if (noun == "status" || noun == "network")
            return noun == "status" ? status : status.at(noun);
        if (noun == "explain")
            return Json(Json::parse(get("/api/v1/explain?name=leipzig").body).at("result"));
        return Json::parse(get("/api/v1/" + noun + "s").body).at("result").at(noun + "s").at(0);
    };
    std::map<std::string, Json> answers;
    std::map<std::string, size_t> nb_fields;
    for (std::sregex_iterator at{page.begin(), page.end(), read}; at != std::sregex_iterator{};
         ++at) {
        const std::string noun = (*at)[1];
        if (answers.count(noun) == 0)
            answers[noun] = answer_of(noun);
        expect_field(answers[noun], (*at)[2]);
        ++nb_fields[noun];
    }
    for (const char* noun : {"status", "network", "member", "path", "link", "relay", "peer", "port",
                             "drop", "explain"})
        EXPECT_GE(nb_fields[noun], 4U) << noun;
}

// A cause or a cure that is added has a sentence on the page too.
TEST_F(Web, ThePageHasASentenceForEachCauseAndCure) {
    using control::ExplainView;
    const std::string page = get("/").body;
    for (size_t i = 1; i < static_cast<size_t>(ExplainView::Cause::nb_causes); ++i) {
        const std::string name = to_string(static_cast<ExplainView::Cause>(i));
        EXPECT_NE(page.find("\n  " + name + ": \""), std::string::npos) << name;
    }
    for (size_t i = 0; i < static_cast<size_t>(ExplainView::Cure::nb_cures); ++i) {
        const std::string name = to_string(static_cast<ExplainView::Cure>(i));
        EXPECT_TRUE(std::regex_search(page, std::regex{"\n  " + name + ": (explain|\\(\\)) =>"}))
            << name;
    }
}

TEST_F(Web, ThePageHasThePartsThatItsScriptNames) {
    const std::string page = get("/").body;
    const std::regex named{"(?:byId|table)\\(\"([a-z-]+)\""};
    size_t nb_parts = 0;
    for (std::sregex_iterator at{page.begin(), page.end(), named}; at != std::sregex_iterator{};
         ++at, ++nb_parts) {
        EXPECT_NE(page.find(" id=\"" + std::string{(*at)[1]} + "\""), std::string::npos)
            << at->str();
        const bool is_table = at->str()[0] == 't';
        EXPECT_EQ(is_table,
                  page.find(" id=\"" + std::string{(*at)[1]} + "-more\"") != std::string::npos)
            << at->str();
    }
    EXPECT_GE(nb_parts, 20U);
}

TEST_F(Web, ExplainsAMember) {
    state.join_network();
    const HttpAnswer answer = get("/api/v1/explain?name=leipzig");
    EXPECT_EQ(answer.status, 200U);
    EXPECT_EQ(Json::parse(answer.body)["result"]["verdict"], "relayed");
    EXPECT_EQ(get("/api/v1/explain?name=atlantis").status, 404U);
    EXPECT_EQ(get("/api/v1/explain").status, 400U);
}

// Each name is a question of its own, which no answer that is kept can serve.
TEST_F(Web, AsksAboutMembersAtABoundedRate) {
    state.join_network();
    const auto before = std::chrono::steady_clock::now();
    int nb_answered = 0;
    for (int i = 0; i < 300; ++i)
        nb_answered += get("/api/v1/explain?name=nobody" + std::to_string(i)).status == 404;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
    EXPECT_GE(nb_answered, 20);
    EXPECT_LE(nb_answered, 21 + 10 * took.count());
    EXPECT_EQ(get("/api/v1/members").status, 200U);
}

TEST_F(Web, SetsTheHeadersThatKeepBrowsersInBounds) {
    for (const char* target : {"/", "/metrics", "/api/v1/status", "/nothing"}) {
        const HttpAnswer answer = get(target);
        EXPECT_TRUE(answer.has("Content-Security-Policy: default-src 'none'; ")) << target;
        EXPECT_TRUE(answer.has("frame-ancestors 'none'\r\n")) << target;
        EXPECT_FALSE(answer.has("unsafe-inline")) << target;
        EXPECT_TRUE(answer.has("X-Frame-Options: DENY\r\n")) << target;
        EXPECT_TRUE(answer.has("X-Content-Type-Options: nosniff\r\n")) << target;
        EXPECT_TRUE(answer.has("Cache-Control: no-store\r\n")) << target;
        EXPECT_FALSE(answer.has("Access-Control-Allow-Origin")) << target;
    }
}

// The hash is what lets the page's own script run.
TEST_F(Web, AllowsItsOwnScriptByHash) {
    const HttpAnswer answer = get("/");
    for (const std::string tag : {"script", "style"}) {
        const size_t begin = answer.body.find("<" + tag + ">") + tag.size() + 2;
        const size_t end = answer.body.find("</" + tag + ">");
        ASSERT_LT(begin, end);
        std::array<uint8_t, crypto_hash_sha256_BYTES> hash{};
        crypto_hash_sha256(
            hash.data(), reinterpret_cast<const uint8_t*>(answer.body.data() + begin), end - begin);
        const std::string text = to_string(PublicKey{hash});  // base64 of 32 bytes
        EXPECT_TRUE(answer.has(tag + "-src 'sha256-" + text + "'")) << answer.head << text;
    }
}

TEST_F(Web, AnswersHeadWithoutBody) {
    const HttpAnswer answer =
        ask("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(answer.status, 200U);
    EXPECT_EQ(answer.body, "");
    EXPECT_FALSE(answer.has("Content-Length: 0\r\n"));
}

TEST_F(Web, KeepsConnectionsOpen) {
    const RawClient client = RawClient::tcp(port);
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(client.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
        EXPECT_EQ(parse_answer(client.receive_until("ok\n")).status, 200U);
    }
}

TEST_F(Web, RefusesStrangersRequests) {
    EXPECT_EQ(get("/metrics", "Origin: http://evil.example\r\n").status, 403U);
    EXPECT_EQ(get("/metrics", "Sec-Fetch-Site: cross-site\r\n").status, 403U);
    EXPECT_EQ(get("/metrics", "Host: evil.example\r\n").status, 403U);  // a second Host
    EXPECT_EQ(ask("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").status, 403U);
    EXPECT_EQ(ask("GET / HTTP/1.1\r\n\r\n").status, 400U);
    EXPECT_EQ(ask("GET / HTTP/1.0\r\n\r\n").status, 400U);
    const HttpAnswer post =
        ask("POST /api/v1/status HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nabcde");
    EXPECT_EQ(post.status, 405U);
    EXPECT_TRUE(post.has("Allow: GET, HEAD\r\n"));
    EXPECT_EQ(get("/", "Content-Length: 5\r\n").status, 413U);
    EXPECT_EQ(get("/", "Transfer-Encoding: chunked\r\n").status, 413U);
    EXPECT_EQ(get("/../../../etc/passwd").status, 404U);
    EXPECT_EQ(get("/api/v1/reload").status, 404U);
    EXPECT_EQ(state.nb_reloads, 0);
}

TEST_F(Web, SurvivesWhatIsNotHttp) {
    for (const std::string& bytes :
         {std::string{"\r\n\r\n"}, std::string{"hello\r\n\r\n"}, std::string(9000, '\0'),
          std::string{"GET / HTTP/9.9\r\n\r\n"}, std::string{"GET /\x01 HTTP/1.1\r\n\r\n"},
          std::string{"GET / HTTP/1.1\r\nHost : x\r\n\r\n"},
          std::string{"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"},
          std::string{"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"},
          std::string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS"}}) {
        const HttpAnswer answer = ask(bytes);
        EXPECT_TRUE(answer.status == 0 || answer.status == 400) << bytes << answer.status;
    }
    EXPECT_EQ(get("/healthz").status, 200U);
}

TEST_F(Web, EndsLongHeaders) {
    EXPECT_EQ(get("/", "X: " + std::string(8000, 'x') + "\r\n").status, 200U);
    EXPECT_EQ(get("/", "X: " + std::string(8192, 'x') + "\r\n").status, 431U);
    const RawClient client = RawClient::tcp(port);
    EXPECT_FALSE(client.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " +
                             std::string(size_t{10} << 20, 'x')));
    EXPECT_EQ(get("/healthz").status, 200U);
}

TEST_F(Web, ServesOthersBesideAThousandSlowClients) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    std::vector<RawClient> slow;
    for (int i = 0; i < 1000; ++i) {
        slow.push_back(RawClient::tcp(port));
        slow.back().send("GET / HTTP/1.1\r\nX");
        if (i % 100 == 99) {
            EXPECT_EQ(get("/healthz").status, 200U) << i;
        }
    }
    for (int i = 0; i < 20; ++i)
        EXPECT_EQ(get("/api/v1/status").status, 200U) << i;
    EXPECT_EQ(
        std::count_if(slow.begin(), slow.end(),
                      [](const RawClient& client) { return client.closes_within(0ms); }) >= 900,
        true);
}

TEST_F(Web, AsksTheDaemonSeldomWhateverItsClientsDo) {
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < 500; ++i)
        ASSERT_EQ(get("/api/v1/status").status, 200U);
    const auto took = std::chrono::steady_clock::now() - before;
    EXPECT_LE(state.nb_status_calls, took / 500ms + 2);
}

TEST_F(Web, HasNoPrivileges) {
    ASSERT_EQ(::geteuid(), 0U) << "run as root";
    ASSERT_EQ(get("/").status, 200U);  // privileges go after the port is bound, but before this
    const std::string status = proc("status");
    EXPECT_NE(status.find("\nUid:\t65534\t65534\t65534\t65534\n"), std::string::npos) << status;
    EXPECT_NE(status.find("\nGid:\t65534\t65534\t65534\t65534\n"), std::string::npos);
    EXPECT_NE(status.find("\nGroups:\t \n"), std::string::npos) << status;
    EXPECT_NE(status.find("\nNoNewPrivs:\t1\n"), std::string::npos);
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
        EXPECT_NE(status.find(std::string{"\n"} + set + ":\t0000000000000000\n"),
                  std::string::npos);
    EXPECT_NE(proc("limits").find("Max core file size        0                    0"),
              std::string::npos)
        << proc("limits");
}

TEST_F(Web, EndsWithTheDaemon) {
    destroy_servers();
    EXPECT_EQ(wait(), 1);
}

TEST_F(Web, StaysWhileTheDaemonIsSilentForLong) {
    std::this_thread::sleep_for(11s);  // beyond the API socket's timeout
    EXPECT_EQ(get("/api/v1/status").status, 200U);
}

TEST_F(Web, SaysThatTheDaemonIsLate) {
    stop();
    class Late final : public RequestHandler {
        Reply answer(std::string_view request) override {
            if (request.find("restrict") != std::string_view::npos)
                return {"{\"ok\":true,\"schema\":1}\n", AfterReply::keep_open};
            return {"", AfterReply::keep_open};
        }
        bool may_idle() const override { return true; }
    };
    UnixServerOptions options;
    options.path = folder / "late.sock";
    ASSERT_EQ(create(options, [](const Caller&) { return std::make_unique<Late>(); }), "");
    start(folder / "late.sock");
    const RawClient client = RawClient::tcp(port);
    ASSERT_TRUE(client.send("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"));
    std::this_thread::sleep_for(1s);
    EXPECT_EQ(parse_answer(client.receive_all()).status, 503U);
}

TEST_F(Web, DoesNotStartWithoutItsDaemon) {
    const std::string web = "\"$MESHGATE_WEB\" ";
    EXPECT_EQ(run_command(web + "2>/dev/null"), "exit 2");
    EXPECT_EQ(run_command(web + "--listen 127.0.0.1:1 2>/dev/null"), "exit 2");
    EXPECT_EQ(run_command(web + "--socket /none 2>/dev/null"), "exit 3");
    EXPECT_EQ(run_command(web + "--socket x --listen name:80 2>/dev/null"), "exit 2");
    EXPECT_EQ(run_command(web + "--socket /none --listen 127.0.0.1:1 2>/dev/null"), "exit 3");
    EXPECT_EQ(run_command(web + "--socket " + (folder / "api.sock") +
                          " --listen 127.0.0.1:" + std::to_string(port) + " 2>/dev/null"),
              "exit 1");
}

TEST_F(Web, AsksTheDaemonWhereToListen) {
    const std::string web = "\"$MESHGATE_WEB\" --socket " + (folder / "api.sock") + " 2>/dev/null";
    state.status_view.http =
        "127.0.0.1:" + std::to_string(port);  // taken, by the one that runs already
    EXPECT_EQ(run_command(web), "exit 1");
    state.status_view.http = "";
    EXPECT_EQ(run_command(web), "exit 0");
}

}  // namespace
}  // namespace meshgate::control

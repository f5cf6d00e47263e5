// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/table.h"
#include "tests/unit/cli/fixture.h"

namespace meshgate::control {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::ordered_json;

TEST_F(Cli, StatusIsOneScreen) {
    const std::string out = meshgate("status");
    EXPECT_TRUE(contains(out, "berlin · meshgate 0.1.0 · up 1 d 2 h · config applied ")) << out;
    EXPECT_TRUE(contains(out, "OK  nothing needs attention\n")) << out;
    EXPECT_TRUE(contains(out, "\nwan0  wan   up     198.51.100.2/24  3.9 KiB  2.9 KiB\n")) << out;
    EXPECT_TRUE(contains(out, "PEERS    1 of 2 up, 4 clients, 1 session, 3 routes\n")) << out;
    EXPECT_TRUE(contains(out, "CPU      1 worker, 38% busy, batch 10.0\n")) << out;
    EXPECT_TRUE(contains(out, "DROPS    2.609% of all packets")) << out;
    EXPECT_EQ(exit_of(out), "exit 0");
}

TEST_F(Cli, StatusSaysNoWhenSomethingIsWrong) {
    state.status_view.problems = {"wan0  link is down"};
    const std::string out = meshgate("status");
    EXPECT_TRUE(contains(out, "DEGRADED  1 thing needs attention\n  ! wan0  link is down\n"))
        << out;
    EXPECT_EQ(exit_of(out), "exit 1");
    EXPECT_EQ(exit_of(meshgate("status --json")), "exit 1");
}

TEST_F(Cli, ShowsTables) {
    EXPECT_EQ(meshgate("show peers munich"),
              "munich\n"
              "  public key     AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n"
              "  preshared key  no\n"
              "  session        none\n"
              "  path           none\n"
              "  endpoint       - (gw.munich.example.net:51820)\n"
              "  allowed ips    10.2.0.0/16\n"
              "  handshake      never; 0 initiated, 0 answered, 0 completed, 0 given up\n"
              "  received       0 B in 0 datagrams\n"
              "  sent           0 B in 0 datagrams\n"
              "  keepalive      off\n"
              "  mtu            0\n"
              "exit 0");
    EXPECT_EQ(meshgate("show routes"),
              "PREFIX       KIND       VIA         PORT  ORIGIN\n"
              "10.1.0.0/24  connected  -           lan0  address\n"
              "10.1.8.0/21  gateway    10.1.0.254  lan0  routes\n"
              "10.2.0.0/16  peer       munich      -     allowed_ips\n"
              "exit 0");
    EXPECT_EQ(meshgate("show drops"),
              "REASON   STAGE  TOTAL  HELP\n"
              "bad_tag  open   3      the packet was forged or damaged\n"
              "\n"
              "in   100 received, 10 from control, 4 from the host, 1 made here\n"
              "out  99 sent, 4 to the host, 3 dropped, 9 to control\n"
              "exit 0");
    EXPECT_TRUE(contains(meshgate("show drops --all"), "no_route  route  0 "));
    EXPECT_EQ(meshgate("show workers"),
              "WORKER  CORE  STATE  BUSY  RX   TX  HANDED OVER  BATCH\n"
              "0       2     awake  38%   100  99  0            10.0\n"
              "\n"
              "WORKER  STAGE  PACKETS  BATCH  CYCLES/PACKET\n"
              "0       rx     100      10.0   20.0\n"
              "0       open   50       12.5   600.0\n"
              "exit 0");
    const std::string peers = meshgate("show peers");
    EXPECT_TRUE(contains(peers, "alice-laptop  up       direct wan0  192.0.2.7:51820  ")) << peers;
    EXPECT_TRUE(contains(peers, "munich        none     none         -                -  "))
        << peers;
    EXPECT_TRUE(contains(meshgate("show ports wan0"), "af_packet:eth0"));
}

TEST_F(Cli, ShowsNeighborsOfBabel) {
    EXPECT_EQ(meshgate("show babel"),
              "Babel is not spoken: the box file has no entry of babel\nexit 0");
    control::BabelNeighborView neighbor;
    neighbor.address = *parse_address("fe80::7");
    neighbor.rtt_p50_ms = 0.5;
    neighbor.age_s = 1.25;
    neighbor.routes = 3;
    control::BabelPlaceView lan;
    lan.name = "lan\x1b[2J0";
    lan.prefixes_refused = 2;
    lan.last_refused = *parse_prefix("10.2.0.0/16");
    lan.last_reason = "it is member munich's";
    lan.neighbors = {neighbor};
    control::BabelPlaceView down;
    down.name = "lan1";
    down.up = false;
    state.babel_view.places = {lan, down};
    state.babel_view.routes = 3;
    EXPECT_EQ(meshgate("show babel"),
              "PLACE        NEIGHBOR      STATE  COST  RTT     LOSS  HEARD  ROUTES\n"
              "lan\\x1b[2J0  fe80::7       down   -     0.5 ms  0.0%  1.2 s  3\n"
              "lan1         link is down  -      -     -       -     -      -\n"
              "\n"
              "3 routes learned, 0 unreachable\n"
              "refused at lan\\x1b[2J0: 2, the last 10.2.0.0/16 (it is member munich's)\n"
              "exit 0");
}

TEST_F(Cli, GivesJsonForEveryReadingVerb) {
    for (const char* verb : {"status", "show peers", "show routes", "show ports", "show drops",
                             "show workers", "show babel", "show links", "show paths",
                             "show members", "show relays", "show peers munich", "reload"}) {
        const std::string out = meshgate(std::string{verb} + " --json");
        EXPECT_EQ(json_of(out)["schema"], 1) << out;
        EXPECT_EQ(exit_of(out), "exit 0") << out;
    }
    EXPECT_EQ(json_of(meshgate("--json show peers munich"))["peers"][0]["name"], "munich");
}

TEST_F(Cli, EscapesWhatNamesHold) {
    state.peer_views[0].name = "evil\x1b[2J\r\nname";
    state.status_view.problems = {"\x1b]0;title\a"};
    for (const char* arguments : {"show peers", "status", "show peers 'x\x1b[31m'"}) {
        const std::string out = meshgate(arguments);
        EXPECT_FALSE(contains(out, "\x1b")) << out;
        EXPECT_FALSE(contains(out, "\r")) << out;
    }
    EXPECT_TRUE(contains(meshgate("show peers"), "evil\\x1b[2J\\x0d\\x0aname"));
}

TEST_F(Cli, ExitsByTheOutcomeOfAReload) {
    EXPECT_EQ(meshgate("reload"), "+ peers[bob]\napplied\nexit 0");
    state.reload_report = {.outcome = ReloadOutcome::unchanged};
    EXPECT_EQ(meshgate("reload"), "nothing to change\nexit 0");
    state.reload_report = {.outcome = ReloadOutcome::needs_restart,
                           .needs_restart = {"dataplane.workers 1 -> 2"}};
    EXPECT_EQ(exit_of(meshgate("reload")), "exit 8");
    state.reload_report = {.outcome = ReloadOutcome::refused,
                           .errors = {"meshgate.yaml:1:1: error[x]: bad\n  1 | x\x1b"}};
    EXPECT_EQ(meshgate("reload"),
              "meshgate.yaml:1:1: error[x]: bad\n  1 | x\\x1b\nrefused: nothing was changed\n"
              "exit 78");
    EXPECT_EQ(exit_of(meshgate("reload --json")), "exit 78");
}

TEST_F(Cli, ExitsBy2OnWrongUsage) {
    EXPECT_TRUE(contains(meshgate("stauts"), "'stauts' is not a verb; did you mean 'status'?"));
    EXPECT_TRUE(contains(meshgate("--socket x stauts"), "'stauts' is not a verb"));
    EXPECT_TRUE(contains(meshgate("show peer"), "did you mean 'peers'?"));
    for (const char* arguments :
         {"", "stauts", "show", "show nonsense", "--bogus", "status extra", "status --bogus",
          "status --timeout x", "status --timeout 0", "status --timeout -1s", "check",
          "check --format xml f", "--socket '' status", "status --socket"})
        EXPECT_EQ(exit_of(meshgate(arguments)), "exit 2") << arguments;
}

TEST_F(Cli, ExitsBy3WhenNobodyListens) {
    EXPECT_EQ(exit_of(meshgate("status --socket " + (folder / "none.sock"))), "exit 3");
    destroy_servers();
    EXPECT_EQ(exit_of(meshgate("status")), "exit 3");
    EXPECT_EQ(json_of(run_command(
                  "\"$MESHGATE\" status --json --socket /none 2>/dev/null"))["error"]["exit_code"],
              3);
}

TEST_F(Cli, ExitsBy4WhenThereIsNoSuchThing) {
    for (const char* noun : {"peers", "routes", "ports", "drops", "workers"})
        EXPECT_EQ(exit_of(meshgate("show " + std::string{noun} + " x")), "exit 4") << noun;
}

// Root may open everything, hence another user; the test needs root to become one.
TEST_F(Cli, ExitsBy5WithoutPermission) {
    ASSERT_EQ(::geteuid(), 0U) << "run as root";
    std::filesystem::permissions(folder / ".", std::filesystem::perms{0755});
    std::filesystem::copy(std::getenv("MESHGATE"), folder / "meshgate");
    EXPECT_EQ(exit_of(run_command("setpriv --reuid 65534 --regid 65534 --clear-groups '" +
                                  (folder / "meshgate") + "' status --socket '" +
                                  (folder / "api.sock") + "' 2>&1")),
              "exit 5");
}

TEST_F(Cli, ExitsBy6WhenTheAnswerIsLate) {
    class Silent final : public RequestHandler {
        Reply answer(std::string_view) override { return {}; }
    };
    UnixServerOptions options;
    options.path = folder / "silent.sock";
    ASSERT_EQ(create(options, [](const Caller&) { return std::make_unique<Silent>(); }), "");
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(exit_of(meshgate("status --timeout 300ms --socket " + (folder / "silent.sock"))),
              "exit 6");
    const auto took = std::chrono::steady_clock::now() - before;
    EXPECT_GE(took, 300ms);
    EXPECT_LT(took, 15s);
}

TEST_F(Cli, SurvivesAnswersOfAnotherVersion) {
    class Foreign final : public RequestHandler {
    public:
        explicit Foreign(std::string text) : text_{std::move(text)} {}
        Reply answer(std::string_view) override { return {text_ + "\n", AfterReply::keep_open}; }

    private:
        std::string text_;
    };
    int n = 0;
    for (const char* text :
         {"", "x", "{}", "[]", R"({"ok":true})", R"({"ok":"yes"})",
          R"({"ok":true,"schema":1,"result":7})",
          R"({"ok":true,"schema":1,"result":{"peers":[7]}})", R"({"ok":false,"error":7})"}) {
        UnixServerOptions options;
        options.path = folder / (std::to_string(++n) + ".sock");
        ASSERT_EQ(create(options, [=](const Caller&) { return std::make_unique<Foreign>(text); }),
                  "");
        for (const char* verb : {"status", "show peers", "reload"})
            EXPECT_EQ(exit_of(meshgate(std::string{verb} + " --socket " + options.path)), "exit 1")
                << text;
    }
}

TEST_F(Cli, MakesKeysAsWgDoes) {
    EXPECT_EQ(run_command("umask 077; \"$MESHGATE\" genkey > " + (folder / "k")), "exit 0");
    EXPECT_EQ(run_command("wg pubkey < " + (folder / "k")), meshgate("pubkey < " + (folder / "k")));
    const std::string psk = run_command("\"$MESHGATE\" genpsk");
    EXPECT_EQ(psk.size(), std::string{"exit 0"}.size() + 45);
    EXPECT_NE(psk, run_command("\"$MESHGATE\" genpsk"));
    EXPECT_TRUE(contains(meshgate("pubkey </dev/null"), "no private key"));
    for (const char* input : {"''", "short", "'6KCjwHK2fgUcmHRkIm9+5ZmV2h0xBa1aXy2dZ3rTt0o= x'"})
        EXPECT_EQ(
            exit_of(run_command("echo " + std::string{input} + " | \"$MESHGATE\" pubkey 2>&1")),
            "exit 1")
            << input;
    EXPECT_TRUE(contains(run_command("umask 022; \"$MESHGATE\" genkey 2>&1 >" + (folder / "open")),
                         "warning"));
    EXPECT_EQ(run_command("umask 077; \"$MESHGATE\" genkey 2>&1 >" + (folder / "closed")),
              "exit 0");
}

TEST_F(Cli, SaysSoWhenTheAnswerCannotBeWritten) {
    EXPECT_EQ(exit_of(meshgate("status > /dev/full")), "exit 1");
    EXPECT_EQ(exit_of(meshgate("genkey > /dev/full")), "exit 1");
}

// ---- check ----

TEST_F(Cli, ChecksAGoodFile) {
    run_command("umask 077; \"$MESHGATE\" genkey > " + (folder / "box.key"));
    write("box.yaml",
          "node: {name: berlin, private_key_file: box.key}\n"
          "ports:\n"
          "  - {name: wan0, device: 'af_packet:eth0', role: wan, addresses: [198.51.100.2/24]}\n");
    EXPECT_EQ(exit_of(meshgate("check " + (folder / "box.yaml"))), "exit 0")
        << meshgate("check " + (folder / "box.yaml"));
    EXPECT_EQ(json_of(meshgate("check --json " + (folder / "box.yaml"))), Json::array());
}

TEST_F(Cli, ExitsBy78OnABadFile) {
    write("box.yaml", "nod: {name: berlin}\n");
    const std::string text = meshgate("check " + (folder / "box.yaml"));
    EXPECT_TRUE(contains(text, "box.yaml:1:1: error[unknown-key]")) << text;
    EXPECT_EQ(exit_of(text), "exit 78");
    const std::string gcc = meshgate("check --format gcc " + (folder / "box.yaml"));
    EXPECT_TRUE(contains(gcc, "box.yaml:1:1: error: ")) << gcc;
    EXPECT_EQ(exit_of(gcc), "exit 78");
    const std::string json = meshgate("check --json " + (folder / "box.yaml"));
    EXPECT_EQ(json_of(json)[0]["code"], "unknown-key") << json;
    EXPECT_EQ(exit_of(json), "exit 78");
    EXPECT_EQ(exit_of(meshgate("check " + (folder / "missing.yaml"))), "exit 78");
}

TEST(HumanText, IsShort) {
    EXPECT_EQ(cli::human_bytes(0), "0 B");
    EXPECT_EQ(cli::human_bytes(1023), "1023 B");
    EXPECT_EQ(cli::human_bytes(1536), "1.5 KiB");
    EXPECT_EQ(cli::human_bytes(UINT64_MAX), "16384.0 PiB");
    EXPECT_EQ(cli::human_count(18201), "18 201");
    EXPECT_EQ(cli::human_count(1000000), "1 000 000");
    EXPECT_EQ(cli::human_count(999), "999");
    EXPECT_EQ(cli::human_duration(-5), "0 s");
    EXPECT_EQ(cli::human_duration(59), "59 s");
    EXPECT_EQ(cli::human_duration(60), "1 min");
    EXPECT_EQ(cli::human_duration(3661), "1 h 1 min");
    EXPECT_EQ(cli::human_duration(90000), "1 d 1 h");
    EXPECT_EQ(cli::human_age(0, 100), "-");
}

}  // namespace
}  // namespace meshgate::control

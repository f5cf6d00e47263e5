// SPDX-License-Identifier: Apache-2.0
// meshgate network ..., and the tables of the mesh.
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <sstream>

#include "tests/unit/cli/fixture.h"

namespace meshgate::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kNetwork[] = R"(version: 12
name: acme
members:
  - name: berlin
    public_key: +OCEDpsQKdFyx9wuxm7lA1/AQrQJumtEe7fcV9zT/x4=
    prefixes: [10.1.0.0/16, "fd10:1::/48"]
    endpoints: 198.51.100.2:51820
    relay: true
  - name: munich
    public_key: F3+2R+7sLPJptOcdgOtjPQ5LOspU5ms3JtfyYW4WiHI=
    prefixes: 10.2.0.0/16
    published: berlin
clients:
  - {name: alice, public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=, address: 10.9.0.2/32}
)";

std::string with_version(unsigned version) {
    std::string text = kNetwork;
    return text.replace(text.find("12"), 2, std::to_string(version));
}

class CliNetwork : public Cli {
protected:
    // `arguments` with @ in place of the folder.
    std::string network(std::string arguments) {
        for (size_t at = 0; (at = arguments.find('@')) != std::string::npos;)
            arguments.replace(at, 1, folder / "");
        return meshgate("network " + arguments);
    }
    void SetUp() override {
        Cli::SetUp();
        const std::string out = network("keygen @authority.key");
        ASSERT_EQ(exit_of(out), "exit 0") << out;
        authority = out.substr(0, 44);
        write("network.yaml", kNetwork);
    }
    std::string contents(const std::string& name) {
        std::ostringstream text;
        text << std::ifstream{folder / name}.rdbuf();
        return text.str();
    }
    // Nobody may ever see it.
    std::string secret() { return contents("authority.key").substr(8, 44); }

    std::string authority;
};

TEST_F(CliNetwork, KeygenWritesASecretThatOnlyItsOwnerReads) {
    struct stat status {};
    ASSERT_EQ(::stat((folder / "authority.key").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    const std::string before = contents("authority.key");
    EXPECT_TRUE(before.starts_with("ed25519:")) << before;
    EXPECT_EQ(before.size(), 8 + 44 + 1U);
    const std::string out = network("keygen @authority.key");
    EXPECT_EQ(exit_of(out), "exit 1");
    EXPECT_TRUE(contains(out, "there is such a file already")) << out;
    EXPECT_EQ(contents("authority.key"), before);
    EXPECT_EQ(exit_of(network("keygen @none/authority.key")), "exit 1");
    std::filesystem::create_symlink(folder / "elsewhere", folder / "link");
    EXPECT_EQ(exit_of(network("keygen @link")), "exit 1");
    EXPECT_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

TEST_F(CliNetwork, SignsWhatItThenVerifies) {
    const std::string out = network("sign @network.yaml --key @authority.key");
    EXPECT_TRUE(contains(
        out, "signed version 12 of acme, 2 members, 1 client\nauthority " + authority + "\nexit 0"))
        << out;
    EXPECT_FALSE(contains(out, secret()));
    const std::string file = contents("network.yaml.sig");
    EXPECT_EQ(file.substr(88), "\nversion 12\nauthority " + authority + "\n");
    EXPECT_TRUE(contains(network("verify @network.yaml --authority " + authority),
                         "network.yaml: good: version 12 of acme, 2 members, 1 client\nexit 0"));
    EXPECT_EQ(json_of(network("verify @network.yaml --json --authority " + authority))["version"],
              12);
    // As any other program would write it.
    write("network.yaml.sig", file.substr(0, 88));
    EXPECT_EQ(exit_of(network("verify @network.yaml --authority " + authority)), "exit 0");
}

TEST_F(CliNetwork, VerifySaysNoToWhatWasChanged) {
    network("sign @network.yaml --key @authority.key");
    const std::string other = network("keygen @other.key").substr(0, 44);
    EXPECT_EQ(exit_of(network("verify @network.yaml --authority " + other)), "exit 1");
    write("network.yaml", std::string{kNetwork} + " ");
    const std::string out = network("verify @network.yaml --authority " + authority);
    EXPECT_EQ(exit_of(out), "exit 1");
    EXPECT_TRUE(contains(out, "the signature does not hold under " + authority)) << out;
    write("network.yaml.sig", "garbage\n");
    EXPECT_EQ(exit_of(network("verify @network.yaml --authority " + authority)), "exit 78");
    std::filesystem::remove(folder / "network.yaml.sig");
    EXPECT_EQ(exit_of(network("verify @network.yaml --authority " + authority)), "exit 78");
    EXPECT_EQ(exit_of(network("verify @network.yaml --authority nonsense")), "exit 2");
}

TEST_F(CliNetwork, RefusesToSignWhatIsWrong) {
    write("network.yaml", std::string{kNetwork} + "policy: []\n");
    std::string out = network("sign @network.yaml --key @authority.key");
    EXPECT_EQ(exit_of(out), "exit 78");
    EXPECT_TRUE(contains(out, "not-available")) << out;
    std::string overlap = kNetwork;
    overlap.replace(overlap.find("10.2.0.0/16"), 11, "10.1.8.0/24");
    write("network.yaml", overlap);
    out = network("sign @network.yaml --key @authority.key");
    EXPECT_EQ(exit_of(out), "exit 78");
    EXPECT_TRUE(contains(out, "10.1.8.0/24 overlaps 10.1.0.0/16 of member berlin")) << out;
    EXPECT_FALSE(std::filesystem::exists(folder / "network.yaml.sig"));
    EXPECT_EQ(exit_of(network("sign @none.yaml --key @authority.key")), "exit 78");
}

TEST_F(CliNetwork, RefusesToSignAPrefixOfTheBoxesOwnAddresses) {
    network("sign @network.yaml --key @authority.key");
    const std::string prefix = json_of(network("show @network.yaml --json"))["node_prefix"];
    std::string text = with_version(13);
    text.replace(text.find("10.2.0.0/16"), 11, "\"" + prefix + "\"");
    write("network.yaml", text);
    const std::string out = network("sign @network.yaml --key @authority.key");
    EXPECT_EQ(exit_of(out), "exit 78");
    EXPECT_TRUE(contains(out, prefix + " is also of the boxes' own addresses")) << out;
}

TEST_F(CliNetwork, SignsAnotherTextOnlyWithAHigherVersion) {
    const std::string sign = "sign @network.yaml --key @authority.key";
    EXPECT_EQ(exit_of(network(sign)), "exit 0");
    EXPECT_EQ(exit_of(network(sign)), "exit 0") << "the same bytes once more change nothing";
    const std::string signed_before = contents("network.yaml.sig");
    for (const unsigned version : {12U, 11U}) {
        write("network.yaml", with_version(version) + "# changed\n");
        const std::string out = network(sign);
        EXPECT_EQ(exit_of(out), "exit 1") << version;
        EXPECT_TRUE(contains(out, "version 12 was signed before")) << out;
        EXPECT_EQ(contents("network.yaml.sig"), signed_before);
    }
    EXPECT_EQ(exit_of(network(sign + " --force")), "exit 0");
    write("network.yaml", with_version(13));
    EXPECT_EQ(exit_of(network(sign)), "exit 0");
    network("keygen @other.key");
    write("network.yaml", with_version(14));
    const std::string out = network("sign @network.yaml --key @other.key");
    EXPECT_EQ(exit_of(out), "exit 1");
    EXPECT_TRUE(contains(out, "another authority's key before: " + authority)) << out;
    write("network.yaml.sig", "not a signature\n");
    EXPECT_EQ(exit_of(network(sign)), "exit 1");
    EXPECT_EQ(exit_of(network(sign + " --force")), "exit 0");
}

TEST_F(CliNetwork, TakesNoOtherKeyForAnAuthoritys) {
    write("box.key", meshgate("genkey").substr(0, 45));
    std::string out = network("sign @network.yaml --key @box.key");
    EXPECT_EQ(exit_of(out), "exit 1");
    EXPECT_TRUE(contains(out, "holds no authority's key")) << out;
    ::chmod((folder / "authority.key").c_str(), 0644);
    out = network("sign @network.yaml --key @authority.key");
    EXPECT_EQ(exit_of(out), "exit 1");
    EXPECT_TRUE(contains(out, "can be read or written by others")) << out;
    EXPECT_FALSE(contains(out, secret()));
    EXPECT_EQ(exit_of(network("sign @network.yaml --key @none.key")), "exit 1");
    write("box.yaml", "node: {name: berlin, private_key_file: authority.key}\n");
    ::chmod((folder / "authority.key").c_str(), 0600);
    out = meshgate("check " + (folder / "box.yaml"));
    EXPECT_TRUE(contains(out, "holds the key of a network, not of a box")) << out;
    EXPECT_FALSE(contains(out, secret()));
}

TEST_F(CliNetwork, ShowsMembersAndTheirAddresses) {
    std::string out = network("show @network.yaml");
    EXPECT_TRUE(contains(out, "acme, version 12; not signed\n\nNAME    NODE ADDRESS  ")) << out;
    EXPECT_TRUE(
        contains(out, "\nCLIENT  ADDRESS      BOXES  TAGS\nalice   10.9.0.2/32  any    -\n"))
        << out;
    network("sign @network.yaml --key @authority.key");
    const Json json = json_of(network("show @network.yaml --json"));
    EXPECT_EQ(json["signature_holds"], true);
    const std::string prefix = json["node_prefix"];
    const std::string address = json["members"][0]["node_address"];
    EXPECT_TRUE(address.starts_with(prefix.substr(0, prefix.find("::")))) << address;
    out = network("show @network.yaml");
    EXPECT_TRUE(contains(out, "acme, version 12; signed by " + authority)) << out;
    EXPECT_TRUE(contains(out, "\nberlin  " + address +
                                  "  yes    10.1.0.0/16, fd10:1::/48  "
                                  "198.51.100.2:51820  -"))
        << out;
    write("network.yaml", with_version(13));
    EXPECT_TRUE(contains(network("show @network.yaml"), "the signature does not hold under"));
    EXPECT_EQ(json_of(network("show @network.yaml --json"))["signature_holds"], false);
    write("network.yaml", "version: 0\nname: acme\nmembers: []\n");
    EXPECT_EQ(exit_of(network("show @network.yaml")), "exit 78");
    EXPECT_EQ(json_of(network("show @network.yaml --json"))[0]["code"], "bad-version");
}

TEST_F(CliNetwork, PushesTextAndSignature) {
    state.join_network();
    write("network.yaml", std::string{kNetwork} + std::string(100'000, '\n'));
    network("sign @network.yaml --key @authority.key");
    EXPECT_EQ(network("push @network.yaml"), "accepted: version 13 is in force\nexit 0");
    EXPECT_EQ(state.pushed_text, contents("network.yaml"));
    EXPECT_EQ(state.pushed_signature.size(), 64U);
    state.push_report = {.accepted = false, .version = 12, .errors = {"older\x1b than 12"}};
    EXPECT_EQ(network("push @network.yaml"),
              "older\\x1b than 12\nrefused: nothing was changed\nexit 1");
    EXPECT_EQ(json_of(network("push @network.yaml --json"))["accepted"], false);
    std::filesystem::remove(folder / "network.yaml.sig");
    EXPECT_EQ(exit_of(network("push @network.yaml")), "exit 78");
    EXPECT_EQ(exit_of(network("push @network.yaml --socket " + (folder / "none.sock"))), "exit 78");
    network("sign @network.yaml --key @authority.key");
    EXPECT_EQ(exit_of(network("push @network.yaml --socket " + (folder / "none.sock"))), "exit 3");
}

TEST_F(CliNetwork, ExitsBy2OnWrongUsage) {
    EXPECT_TRUE(
        contains(network("signn"), "'signn' is not a verb of network; did you mean 'sign'?"));
    for (const char* arguments : {"", "signn", "keygen", "sign f", "sign --key k", "verify f",
                                  "show", "push", "push f extra"})
        EXPECT_EQ(exit_of(network(arguments)), "exit 2") << arguments;
}

TEST_F(Cli, ShowsTheMesh) {
    EXPECT_EQ(meshgate("show links"), "no links\nexit 0");
    EXPECT_EQ(meshgate("show members"), "no members\nexit 0");
    EXPECT_FALSE(contains(meshgate("status"), "NETWORK"));
    state.join_network();
    EXPECT_EQ(
        meshgate("show links"),
        "PEER     PORT            REMOTE               STATE  USED  RTT     JITTER  LOSS    COST  "
        "HEARD  PROBES   ORIGIN\n"
        "vienna   wan0            192.0.2.44:51820     up     yes   9.1 ms  0.4 ms  1.3%    105   "
        "0.2 s  200 ms   network file\n"
        "leipzig  wan1 (metered)  [2001:db8::7]:51820  down   -     -       -       100.0%  -     "
        "never  4000 ms  candidate\n"
        "exit 0");
    EXPECT_EQ(meshgate("show paths"),
              "PEER     PATH          PORT  REMOTE            METRIC  SINCE      MTU           "
              "SESSION\n"
              "vienna   direct        wan0  192.0.2.44:51820  105     1 h 1 min  1420          up\n"
              "leipzig  relay vienna  wan0  192.0.2.44:51820  210     12 s       1420 (probe)  up\n"
              "hamburg  none          -     -                 -       0.0 s      -             "
              "none\n"
              "exit 0");
    EXPECT_EQ(meshgate("show members"),
              "NAME     STATE  NODE ADDRESS       RELAY  VERSION  PREFIXES     ENDPOINTS           "
              "                        TAGS\n"
              "berlin   self   fd08:fe4a:69ab::1  -      12       10.1.0.0/16  -                   "
              "                        office\n"
              "vienna   up     fd08:fe4a:69ab::4  yes    11       10.4.0.0/16  192.0.2.44:51820, "
              "vienna.example.net:51820  -\n"
              "hamburg  down   fd08:fe4a:69ab::5  -      -        -            -                   "
              "                        -\n"
              "\n1 of 2 other members up\n"
              "exit 0");
    EXPECT_EQ(meshgate("show relays"),
              "ROLE     FROM     TO       INDEX       VIA     STATE   EXPIRES\n"
              "serving  hamburg  vienna   0x002a01f3  -       open    2 min 51 s\n"
              "using    berlin   leipzig  0x002a01f3  vienna  asking  -\n"
              "exit 0");
    EXPECT_TRUE(
        contains(meshgate("status"),
                 "\nNETWORK  acme, version 12, 1 of 2 other members up, 1 client, 2 alarms\n"));
}

TEST_F(Cli, ExplainsAPeerInWords) {
    state.join_network();
    EXPECT_EQ(
        meshgate("explain leipzig"),
        "leipzig is RELAYED by vienna, metric 210, 21.4 ms end to end.\n"
        "  direct wan1 -> [2001:db8::7]:51820  down: no answer yet, 100 % lost, metered, never "
        "heard from (candidate)\n"
        "  relay vienna  metric 210\n"
        "  relay graz\\x1b[2J  announces no route any more, avoided: it forwarded nothing\n"
        "Cause   no probe on a direct link was ever answered: a NAT or firewall on one side "
        "lets nobody in.\n"
        "Fix     any one of: open UDP 51820 at one of the two sites and name it in the network "
        "file (endpoints); a NAT that keeps the source port; IPv6 on both sides.\n"
        "Next attempt at a direct link in 12 s.\n"
        "exit 0");
    EXPECT_EQ(json_of(meshgate("explain leipzig --json"))["peer"], "leipzig");
    const std::string out = meshgate("explain atlantis");
    EXPECT_EQ(exit_of(out), "exit 4");
    EXPECT_TRUE(contains(out, "there is no peer 'atlantis'")) << out;
    EXPECT_EQ(exit_of(meshgate("explain")), "exit 2");
    EXPECT_EQ(exit_of(meshgate("show links atlantis")), "exit 4");
}

// A relay that is down is not cured by opening a port for it here.
TEST_F(Cli, ExplainsABoxThatIsSilent) {
    state.join_network();
    state.explain_view.verdict = ExplainView::Verdict::no_path;
    state.explain_view.cause = ExplainView::Cause::box_silent;
    state.explain_view.cures = {ExplainView::Cure::check_box, ExplainView::Cure::check_endpoints};
    state.explain_view.next_try_s.reset();
    const std::string out = meshgate("explain vienna");
    EXPECT_TRUE(contains(out, "vienna has a session, but NO PATH: nothing reaches it.\n")) << out;
    EXPECT_TRUE(contains(out, "Fix     any one of: see whether vienna has power")) << out;
    EXPECT_TRUE(contains(out, "see whether 192.0.2.7:51820 still leads to it")) << out;
    EXPECT_FALSE(contains(out, "open UDP")) << out;
}

// A word that has no sentence would come out as it is, or not at all.
TEST_F(Cli, HasASentenceForEachVerdictCauseAndCure) {
    state.join_network();
    ExplainView& view = state.explain_view;
    std::set<std::string> answers;
    for (size_t i = 0; i < static_cast<size_t>(ExplainView::Verdict::nb_verdicts); ++i) {
        view.verdict = static_cast<ExplainView::Verdict>(i);
        EXPECT_TRUE(answers.insert(meshgate("explain leipzig")).second) << to_string(view.verdict);
    }
    for (size_t i = 0; i < static_cast<size_t>(ExplainView::Cause::nb_causes); ++i) {
        view.cause = static_cast<ExplainView::Cause>(i);
        view.cures.clear();
        EXPECT_TRUE(answers.insert(meshgate("explain leipzig")).second) << to_string(view.cause);
    }
    for (size_t i = 0; i < static_cast<size_t>(ExplainView::Cure::nb_cures); ++i) {
        view.cures = {static_cast<ExplainView::Cure>(i)};
        const std::string name = to_string(view.cures.front());
        EXPECT_FALSE(contains(meshgate("explain leipzig"), name)) << name;
    }
}

}  // namespace
}  // namespace meshgate::control

// SPDX-License-Identifier: Apache-2.0

// Runs every tests/packet/NNN_name/case.txt through the real pipeline, on in-memory ports: once as
// it is without vectors, once with them, where the processor has them.
//
//   # text                     a comment; the first line says what the case shows
//   workers 2                  before anything else; default 1
//   let PEER path none|fixed|mtu=N   the peer has no endpoint, does not roam, or takes no more
//   let PEER session none|expired|unconfirmed|counter=N|renewed (another, in the same memory)
//   let PEER path port_mtu=N|unsummed|fragments  its link is of so narrow a port, makes no UDP
//   checksums, or lets routers cut its datagrams
//   let link NAME ENDPOINT|none [MTU [unsummed]]  a link of wan0 (to a port MTU of 1500 if not
//   said) let relay INDEX LINK|none             a relay entry is installed, moved or removed let
//   relay INDEX refused               ... may not be installed, whatever the link PORT : FIELDS a
//   frame arrives (smac= dmac= vlan= ethertype= around the packet) PEER : FIELDS              a
//   datagram of that peer arrives on wan0, sealed; also counter=
//                              keepalive plain=HEX flip=OFFSET cut_message=N tail_message=N from=
//                              outer_tos= outer_options= outer_tail= outer_udp_len= outer_set=
//                              index= message_type= at=
//                              in pieces: cut_at=OFF,OFF,... (none: a fragment that is all of it)
//                              order=I,J,... (0,1) outer_id= overlap=
//   + PORT|PEER : FIELDS       the same, in one burst with the next
//   one_arm [VLAN]             wan0 is wan and lan: hosts and a router are on its network
//   route PREFIX PEER          one route more
//   route : / seal PEER [LINK] : / frame PORT :   control sends (seal: probe=N, it tries a size)
//   again                      what left wan0 in the last step arrives there
//   expire                     what waits to be put together waits no longer
//   > PORT : FIELDS            what must leave, in order; only the fields given are compared
//   > PEER : FIELDS            ... sealed for that peer; also counter= message_len= outer_tos=
//                              outer_src= outer_dst= keepalive
//   > drop REASON, > punt REASON, > note ..., > handover    what must be counted; xN for N of them
//   > mesh PORT PEER REMOTE LOCAL, > mesh PORT MAC    what control learns of a punt "mesh"
//   relayed LINK packets= bytes=
//   activity PEER rx_bytes= tx_bytes= rx_packets= tx_packets= sized_packets=
//
// Whatever is not expected fails the case; so does a packet that is not accounted for, or leaks.

#include <gtest/gtest.h>
#include <rte_eal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "dataplane/ports/eal.h"
#include "tests/packet/world.h"

namespace meshgate::packet_test {
namespace {

const std::set<std::string> kPorts{"wan0", "lan0", "lan1"};
constexpr const char* kHostMac = "02:00:00:00:00:09";

void put16(Bytes& bytes, uint64_t value) {
    bytes.push_back(static_cast<uint8_t>(value >> 8));
    bytes.push_back(static_cast<uint8_t>(value));
}

// "8,16"; "none" is none.
std::vector<size_t> numbers(const std::string& text) {
    std::vector<size_t> found;
    std::istringstream words{text};
    for (std::string word; text != "none" && std::getline(words, word, ',');)
        found.push_back(std::stoul(word));
    return found;
}

// What must leave, or what left.
struct Output {
    std::string where;  // port or peer
    std::map<std::string, std::string> values;
};

class Case : public testing::Test {
public:
    Case(std::filesystem::path path, World::Headers headers)
        : path_{std::move(path)}, headers_{headers} {}

    void TestBody() override {
        std::ifstream file{path_};
        unsigned nb_workers = 1;
        std::vector<std::string> lines;
        for (std::string line; std::getline(file, line);) {
            line = line.substr(0, line.find('#'));
            if (line.starts_with("workers "))
                nb_workers = static_cast<unsigned>(std::stoul(line.substr(8)));
            lines.push_back(line.starts_with("workers ") ? "" : line);
        }
        world_ = std::make_unique<World>(nb_workers, headers_);
        for (line_ = 0; line_ < lines.size(); ++line_) {
            std::istringstream words{lines[line_]};
            std::string first;
            if (words >> first)
                run_line(first, lines[line_]);
        }
        check_step();
        EXPECT_GT(nb_checks_, 0U) << "a case without expectations";
        EXPECT_EQ(world_->imbalance(), 0) << "rx + injected + originated != tx + drops + punts";
        EXPECT_EQ(world_->unbooked_rx(), 0) << "the rx stage counts what is received";
        EXPECT_EQ(world_->mbufs_in_use(), 0U) << "mbufs leaked";
    }

private:
    void run_line(const std::string& first, const std::string& line);
    void expect_line(const std::string& rest);
    void check_step();
    void arrive(const std::string& where, const Fields& fields);
    void arrive_sealed(const std::string& peer, const Fields& fields);
    void inject(const std::string& port, const Fields& fields, const Bytes& packet);
    void let(const std::string& line);
    void let_link(std::istringstream& words);
    void let_relay(std::istringstream& words);
    void arrive_again();
    void check_activity(const std::string& line);
    void check_relayed(const std::string& line);
    Output describe(const Sent& sent);
    Output describe_underlay(const Sent& sent, std::span<const uint8_t> packet);
    Bytes frame_around(const std::string& port, const Fields& fields, const Bytes& packet);

    std::filesystem::path path_;
    World::Headers headers_;
    std::unique_ptr<World> world_;
    size_t line_ = 0;
    bool step_open_ = false;
    size_t nb_checks_ = 0;
    std::vector<Sent> last_sent_;
    std::vector<Output> expected_;
    std::vector<std::string> expected_events_;
};

std::string after_colon(const std::string& line) {
    const size_t colon = line.find(" :");
    return colon == std::string::npos ? "" : line.substr(colon + 2);
}

void Case::run_line(const std::string& first, const std::string& line) {
    SCOPED_TRACE(path_.string() + ":" + std::to_string(line_ + 1) + ": " + line);
    if (first == ">") {
        expect_line(line.substr(line.find('>') + 1));
        return;
    }
    check_step();
    const Fields fields = Fields::parse(after_colon(line));
    std::istringstream words{line};
    std::string verb, target, link;
    words >> verb >> target >> link;
    if (first == "let") {
        let(line);
    } else if (first == "activity") {
        check_activity(line);
    } else if (first == "relayed") {
        check_relayed(line);
    } else if (first == "expire") {
        world_->expire_fragments();
        step_open_ = true;
    } else if (first == "one_arm") {
        world_->make_one_arm(static_cast<uint16_t>(target.empty() ? kNoVlan : std::stoul(target)));
    } else if (first == "route" && target != ":") {
        world_->add_route(target, link);
    } else if (first == "+") {
        arrive(target, fields);
    } else if (first == "again") {
        arrive_again();
        world_->turn();
        step_open_ = true;
    } else {
        for (uint64_t i = 0; i < fields.number("times", 1); ++i) {
            if (first == "route")
                world_->inject_from_control(Inject::route, "", build_packet(fields));
            else if (first == "seal")
                world_->inject_from_control(
                    Inject::seal, target, fields.has("keepalive") ? Bytes{} : build_packet(fields),
                    link == ":" ? "" : link, static_cast<uint16_t>(fields.number("probe")));
            else if (first == "frame")
                world_->inject_from_control(Inject::frame, target,
                                            frame_around(target, fields, build_packet(fields)));
            else
                arrive(first, fields);
        }
        world_->turn();
        step_open_ = true;
    }
}

void Case::expect_line(const std::string& rest) {
    ++nb_checks_;
    std::istringstream words{rest};
    std::string kind, name, last;
    words >> kind >> name;
    if (kind == "drop" || kind == "punt" || kind == "note" || kind == "mesh") {
        std::string event = kind + " " + name;
        unsigned count = 1;
        while (words >> last) {
            if (last.starts_with("x"))
                count = static_cast<unsigned>(std::stoul(last.substr(1)));
            else
                event += " " + last;
        }
        expected_events_.insert(expected_events_.end(), count, event);
        return;
    }
    if (kind == "handover") {
        expected_events_.push_back(kind);
        return;
    }
    const Fields fields = Fields::parse(after_colon(rest));
    expected_.insert(expected_.end(), fields.number("times", 1), Output{kind, fields.values});
}

void Case::check_step() {
    if (!step_open_)
        return;
    step_open_ = false;
    std::vector<std::string> events = world_->take_events();
    std::sort(events.begin(), events.end());
    std::sort(expected_events_.begin(), expected_events_.end());
    EXPECT_EQ(events, expected_events_) << "before line " << line_ + 1;
    std::vector<Output> outputs;
    last_sent_ = world_->take_sent();
    for (const Sent& sent : last_sent_)
        outputs.push_back(describe(sent));
    EXPECT_EQ(outputs.size(), expected_.size()) << "packets sent, before line " << line_ + 1;
    for (size_t i = 0; i < outputs.size(); ++i) {
        std::string text;
        for (const auto& [name, value] : outputs[i].values)
            text += " " + name + (value.empty() ? "" : "=" + value);
        SCOPED_TRACE("sent to " + outputs[i].where + ":" + text);
        EXPECT_FALSE(outputs[i].values.contains("wrong"));
        if (i >= expected_.size())
            continue;
        EXPECT_EQ(outputs[i].where, expected_[i].where);
        for (const auto& [name, value] : expected_[i].values) {
            if (name == "times")
                continue;
            const bool absent = name.starts_with("no_");
            const auto found = outputs[i].values.find(absent ? name.substr(3) : name);
            EXPECT_EQ(found != outputs[i].values.end(), !absent) << name;
            if (found != outputs[i].values.end()) {
                EXPECT_EQ(found->second, value) << name;
            }
        }
    }
    expected_.clear();
    expected_events_.clear();
}

Bytes Case::frame_around(const std::string& port, const Fields& fields, const Bytes& packet) {
    const PortView& view = world_->view(port);
    Bytes frame;
    const auto add_mac = [&](const MacAddress& mac) {
        frame.insert(frame.end(), mac.bytes.begin(), mac.bytes.end());
    };
    add_mac(parse_mac(fields.text("dmac", to_string(view.mac))).value());
    add_mac(parse_mac(fields.text("smac", kHostMac)).value());
    const uint64_t vlan = fields.number("vlan", view.vlan);
    if (vlan != 0 || fields.has("priority_tag")) {
        put16(frame, 0x8100);
        put16(frame, vlan);
    }
    const bool v4 = !packet.empty() && packet[0] >> 4 == 4;
    put16(frame, fields.number("ethertype", v4 ? 0x0800 : 0x86dd));
    frame.insert(frame.end(), packet.begin(), packet.end());
    if (fields.has("cut_frame"))
        frame.resize(fields.number("cut_frame"));
    return frame;
}

void Case::arrive(const std::string& where, const Fields& fields) {
    if (!kPorts.contains(where)) {
        arrive_sealed(where, fields);
        return;
    }
    const Bytes packet = fields.has("raw") ? from_hex(fields.text("raw")) : build_packet(fields);
    inject(where, fields, packet);
}

void Case::arrive_sealed(const std::string& name, const Fields& fields) {
    Peer& peer = world_->peer(name);
    Bytes inner;
    if (fields.has("plain"))
        inner = from_hex(fields.text("plain"));
    else if (!fields.has("keepalive"))
        inner = build_packet(fields);
    if (!fields.has("unpadded"))
        inner.resize((inner.size() + 15) / 16 * 16);
    const uint64_t counter = fields.number("counter", peer.next_counter);
    peer.next_counter = counter + 1;
    Bytes message = world_->seal_as(name, inner, counter);
    if (fields.has("flip"))
        message.at(fields.number("flip")) ^= 1;
    if (fields.has("index")) {
        const auto index = static_cast<uint32_t>(fields.number("index"));
        std::memcpy(&message[4], &index, 4);
    }
    if (fields.has("message_type"))
        message[fields.number("at")] = static_cast<uint8_t>(fields.number("message_type"));
    message.resize(fields.number("cut_message", message.size()));
    message.resize(message.size() + fields.number("tail_message", 0), 0xee);
    const Endpoint from =
        parse_endpoint(fields.text("from", to_string(peer.endpoint))).value_or(Endpoint{});
    const bool v6 = from.address.is_v6();
    Fields outer;
    outer.values = {{v6 ? "ip6" : "ip4", ""},
                    {"src", to_string(from.address)},
                    {"dst", fields.text("to", v6 ? "2001:db8:1::2" : "198.51.100.2")},
                    {"udp", ""},
                    {"sport", std::to_string(from.port)},
                    {"dport", fields.text("outer_dport", "51820")},
                    {"tos", fields.text("outer_tos", "0")},
                    {"options", fields.text("outer_options", "0")},
                    {"hex", to_hex(message)}};
    for (const char* name_of : {"udp_len", "ip_len", "tail", "no_checksum", "set", "proto"}) {
        if (fields.has(std::string{"outer_"} + name_of))
            outer.values[name_of] = fields.text(std::string{"outer_"} + name_of);
    }
    inject("wan0", fields, build_packet(outer));
}

void Case::inject(const std::string& port, const Fields& fields, const Bytes& packet) {
    if (!fields.has("cut_at"))
        return world_->inject_frame(port, frame_around(port, fields, packet));
    const std::vector<Bytes> pieces =
        cut_packet(packet, numbers(fields.text("cut_at")),
                   static_cast<uint32_t>(fields.number("outer_id")), fields.number("overlap"));
    for (const size_t i : numbers(fields.text("order", "0,1")))
        world_->inject_frame(port, frame_around(port, fields, pieces.at(i)));
}

Output Case::describe(const Sent& sent) {
    std::span<const uint8_t> packet{sent.frame};
    size_t offset = 14;
    uint16_t ether_type = static_cast<uint16_t>(packet[12] << 8 | packet[13]);
    std::map<std::string, std::string> ethernet{
        {"dmac", to_string(parse_mac("00:00:00:00:00:00").value())}};
    MacAddress destination;
    std::copy_n(packet.begin(), 6, destination.bytes.begin());
    ethernet["dmac"] = to_string(destination);
    if (ether_type == 0x8100) {
        ethernet["vlan"] = std::to_string((packet[14] << 8 | packet[15]) & 0xfff);
        ethernet["priority"] = std::to_string(packet[14] >> 5);
        offset = 18;
    }
    Output output = sent.port == "wan0"
                        ? describe_underlay(sent, packet.subspan(offset))
                        : Output{sent.port, describe_packet(packet.subspan(offset))};
    output.values.merge(ethernet);
    return output;
}

Output Case::describe_underlay(const Sent& sent, std::span<const uint8_t> packet) {
    auto outer = describe_packet(packet);
    const size_t header_len = (packet[0] >> 4 == 4 ? 20 : 40) + 8;
    uint32_t index = 0;
    if (outer.contains("mf") || outer.contains("off"))
        return {sent.port, outer};
    if (packet.size() >= header_len + 32)
        std::memcpy(&index, &packet[header_len + 4], 4);
    const std::string name = world_->peer_with_remote_index(index);
    if (name.empty())
        return {sent.port, outer};
    const Bytes message(packet.begin() + static_cast<ptrdiff_t>(header_len), packet.end());
    uint64_t counter = 0;
    const auto inner = world_->open_as(name, message, counter);
    if (!inner)
        return {sent.port, {{"wrong", "the peer cannot open it"}}};
    Output output{name, {}};
    if (inner->empty()) {
        output.values["keepalive"] = "";
    } else {
        const size_t ip_len = (*inner)[0] >> 4 == 4 ? size_t{(*inner)[2]} << 8 | (*inner)[3]
                                                    : 40 + (size_t{(*inner)[4]} << 8 | (*inner)[5]);
        const bool zeros = std::all_of(inner->begin() + static_cast<ptrdiff_t>(ip_len),
                                       inner->end(), [](uint8_t byte) { return byte == 0; });
        output.values = describe_packet(std::span{*inner}.first(ip_len));
        if (!zeros)
            output.values["wrong"] += " padding";
    }
    output.values["counter"] = std::to_string(counter);
    output.values["message_len"] = std::to_string(message.size());
    output.values["frame_len"] = std::to_string(sent.frame.size());
    for (const auto& [name_of, value] : outer) {
        if (name_of != "wrong" || !value.empty())
            output.values[(name_of == "wrong" ? "" : "outer_") + name_of] = value;
    }
    // The sealed bytes are no counting pattern; the checksum over them is checked all the same.
    output.values.erase("outer_payload");
    return output;
}

void Case::let(const std::string& line) {
    std::istringstream words{line};
    std::string word, peer, what, value;
    words >> word >> peer;
    if (peer == "link")
        return let_link(words);
    if (peer == "relay")
        return let_relay(words);
    words >> what >> value;
    PeerSlot& slot = world_->slot(peer);
    Keypair& keypair = *world_->peer(peer).keypair;
    if (what == "path" && value == "fixed")
        slot.path_is_fixed.store(true);
    else if (what == "path" && value.starts_with("mtu="))
        slot.path_mtu_bytes.store(static_cast<uint16_t>(std::stoul(value.substr(4))));
    else if (what == "path" && value.starts_with("port_mtu="))
        world_->set_path(peer, static_cast<uint16_t>(std::stoul(value.substr(9))));
    else if (what == "path" && value == "unsummed")
        world_->set_path(peer, 1500, UdpChecksum::never);
    else if (what == "path" && value == "fragments")
        world_->set_path(peer, 1500, UdpChecksum::always, OuterFragments::allowed);
    else if (what == "path")
        slot.path.store(nullptr);
    else if (value == "none")
        slot.sending.store(nullptr);
    else if (value == "expired")
        keypair.reject_after_tsc = 1;
    else if (value == "renewed")
        world_->renew_session(peer);
    else if (value == "unconfirmed")
        keypair.confirmed.store(false);
    else
        keypair.send_counter.store(std::stoull(value.substr(value.find('=') + 1)));
}

void Case::let_link(std::istringstream& words) {
    std::string name, remote, unsummed;
    uint16_t port_mtu_bytes = 1500;
    words >> name >> remote >> port_mtu_bytes >> unsummed;
    world_->set_link(name, parse_endpoint(remote), port_mtu_bytes == 0 ? 1500 : port_mtu_bytes,
                     unsummed.empty() ? UdpChecksum::always : UdpChecksum::never);
}

void Case::let_relay(std::istringstream& words) {
    std::string number, link;
    words >> number >> link;
    const auto index = static_cast<uint32_t>(std::stoul(number, nullptr, 0));
    IndexTable& table = world_->index();
    if (link == "none") {
        table.erase(index);
        table.recycle(index);
    } else if (link == "refused") {
        ++nb_checks_;
        EXPECT_FALSE(table.insert(index, IndexEntry::relay(0)));
    } else if (!table.replace(index, IndexEntry::relay(world_->link_id(link)))) {
        EXPECT_TRUE(table.insert(index, IndexEntry::relay(world_->link_id(link))));
    }
}

// As if the next hop had sent it back: the frame is for us now.
void Case::arrive_again() {
    for (Sent& sent : last_sent_) {
        if (sent.port != "wan0")
            continue;
        std::ranges::copy(world_->view("wan0").mac.bytes, sent.frame.begin());
        world_->inject_frame("wan0", sent.frame);
    }
}

void Case::check_relayed(const std::string& line) {
    ++nb_checks_;
    std::istringstream words{line};
    std::string word, link;
    words >> word >> link;
    const Fields fields = Fields::parse(line);
    const Dataplane::LinkActivity activity = world_->link_activity(link);
    EXPECT_EQ(activity.relayed_packets, fields.number("packets"));
    EXPECT_EQ(activity.relayed_bytes, fields.number("bytes"));
}

void Case::check_activity(const std::string& line) {
    ++nb_checks_;
    std::istringstream words{line};
    std::string word, peer;
    words >> word >> peer;
    const Fields fields = Fields::parse(line);
    const Dataplane::Activity activity = world_->activity(peer);
    for (const auto& [name, value] : {std::pair{"rx_bytes", activity.rx_bytes},
                                      {"tx_bytes", activity.tx_bytes},
                                      {"rx_packets", activity.rx_packets},
                                      {"tx_packets", activity.tx_packets},
                                      {"sized_packets", activity.sized_packets}}) {
        if (fields.has(name)) {
            EXPECT_EQ(value, fields.number(name)) << name;
        }
    }
}

void register_cases(const std::filesystem::path& folder) {
    std::set<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator{folder}) {
        if (std::filesystem::exists(entry.path() / "case.txt"))
            paths.insert(entry.path() / "case.txt");
    }
    for (const auto& [suite, headers] :
         {std::pair{"packet", World::Headers::scalar}, {"packet_vector", World::Headers::vector}}) {
        if (headers == World::Headers::vector && !has_avx512())
            continue;
        for (const auto& path : paths)
            testing::RegisterTest(suite, path.parent_path().filename().c_str(), nullptr, nullptr,
                                  path.c_str(), 1, [path, headers = headers]() -> testing::Test* {
                                      return new Case{path, headers};
                                  });
    }
}

}  // namespace
}  // namespace meshgate::packet_test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const auto eal = meshgate::Eal::start({.memory = {.hugepages = false, .memory_mib = 256},
                                           .nb_workers = 1,
                                           .cores = {},
                                           .pci_addresses = {}});
    if (!eal) {
        std::fprintf(stderr, "%s\n", eal.error().message.c_str());
        return 1;
    }
    meshgate::packet_test::register_cases(argc > 1 ? argv[1] : "tests/packet");
    return RUN_ALL_TESTS();
}

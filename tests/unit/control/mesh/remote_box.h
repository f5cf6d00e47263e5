// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <utility>

#include "tests/unit/control/mesh/box_fixture.h"

namespace meshgate::mesh::test {

// A member as our prober sees it: a Babel speaker at the other end of our links.
class RemoteBox {
    uint32_t random_;
    IpAddress our_link_local_;

public:
    RemoteBox(Member& of, const IpAddress& our_link_local)
        : random_{of.node.bytes[15] + 1U},
          our_link_local_{our_link_local},
          member{of},
          speaker{{.fill_random = [this](auto bytes) {
              for (auto& byte : bytes)
                  byte = static_cast<uint8_t>(random_ = random_ * 75 % 65537);
          }}} {
        speaker.originate({of.node, 128}, babel::Scope::everywhere, Time{} + 1h);
    }

    void attach(LinkId link, const LinkKey& key, Time now) {
        keys[link] = key;
        speaker.add_interface(link,
                              babel::InterfaceOptions::tunnel(member.link_local, our_link_local_,
                                                              babel::Announce::everything),
                              {}, now);
    }
    // It forwards to the box with this node address.
    void announce(const IpAddress& node, uint16_t metric, Time now) {
        speaker.originate({node, 128}, babel::Scope::everywhere, now, metric);
    }

    Member& member;
    babel::Speaker speaker;
    std::map<LinkId, LinkKey> keys;
    bool silent = false;
};

// The parts of a box, and members at the other ends of its links.
class RemoteTest : public BoxTest {
protected:
    RemoteBox& remote(const char* name) {
        Member& of = member(name);
        const auto [found, fresh] = remotes.try_emplace(name, of, members.link_local());
        return found->second;
    }
    // A link of ours, with the member's speaker at its other end.
    LinkId connect(const char* name, const char* endpoint, PortId port = kWan0) {
        const LinkId id = add_link(member(name), endpoint, port);
        EXPECT_NE(id, kNoLink);
        remote(name).attach(id, {port, *parse_endpoint(endpoint)}, now);
        return id;
    }
    void probe(const char* name) { prober.review(member(name), true, now); }

    void exchange() {
        for (int rounds = 0; rounds < 8; ++rounds) {
            for (const babel::Outgoing& out : prober.take_packets()) {
                for (auto& [name, box] : remotes) {
                    if (box.keys.contains(out.interface) && !box.silent)
                        box.speaker.receive(
                            {.interface = out.interface, .flow = out.flow, .bytes = out.bytes},
                            now);
                }
            }
            for (auto& [name, box] : remotes) {
                for (const babel::Outgoing& out : box.speaker.take_packets()) {
                    if (!box.silent)
                        prober.receive(box.member, box.keys.at(out.interface), out.flow, out.bytes,
                                       now);
                }
            }
        }
    }
    // `each` after every step of 50 ms.
    void pass(
        Time::duration duration, const std::function<void()>& each = [] {}) {
        for (const Time end = now + duration; now < end;) {
            now += 50ms;
            prober.tick(now);
            for (auto& [name, box] : remotes)
                box.speaker.tick(now);
            exchange();
            each();
        }
    }

    std::map<std::string, RemoteBox> remotes;
};

}  // namespace meshgate::mesh::test

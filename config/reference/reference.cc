// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>

#include "config/load.h"
#include "config/schema/keys.h"
#include "config/schema/network_keys.h"

namespace meshgate::config {
namespace {

constexpr std::string_view kIntroduction = R"(# The box file

`meshgate.yaml` describes one box. The daemon reads it at start (`meshgated --config FILE`) and
again on `meshgate reload` or SIGHUP. `meshgate check FILE` reads it as the daemon would, says all
that is wrong, and needs neither the daemon nor root (only the right to read the key files).

```yaml
node:
  name: berlin
  private_key_file: berlin.key
ports:
  - name: wan0
    device: pci:0000:03:00.0
    role: wan
    addresses: [198.51.100.2/24]
    gateway: 198.51.100.1
  - name: lan0
    device: pci:0000:03:00.1
    role: lan
    addresses: [10.1.0.1/24, "fd10:1::1/64"]
peers:
  - name: alice-laptop
    public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    allowed_ips: 10.9.0.2/32
```

`config/examples/` has a minimal file, one with every key, the two boxes of a pair of offices, and a
network file, which the end of this page describes.

Rules that hold everywhere:

- A key that is unknown, twice in one place, or of the wrong type is an error; nothing is guessed.
  An invalid file changes nothing: the running configuration stays.
- Times and sizes carry their unit (`25s`, `256MiB`). Booleans are `true` or
  `false`, and nothing else.
- Lists may be written as one value where they hold one.
- IPv6 addresses need quotes where they stand in brackets or end in a colon:
  `"[2001:db8::7]:51820"`.
- Keys stand in files of their own, never in the box file. Relative names are looked for beside
  the box file. A key file is a regular file, not a link, with mode 600 (or 400).
- No anchors, aliases, merge keys or tags; one document; at most 8 MiB, which hold the
  16 384 peers of the default `max_peers`, and 8192 bytes in a line.

*Reload* says when a change takes effect: *live* at the reload, without touching what did not
change; *restart* after a restart of the daemon, which `meshgate reload` says with exit status 8.
)";

// Inside a table a bar would end the cell.
std::string cell(std::string_view text) {
    std::string out;
    for (const char c : text)
        out += c == '|' ? std::string{"\\|"} : std::string{c};
    return out;
}

constexpr std::string_view kNetworkIntroduction = R"(
# The network file

One file describes a whole network: its boxes, what is behind each, and who else may connect. It is
the same on every box. [mesh.md](mesh.md) makes one step by step.

```yaml
version: 12
name: acme
members:
  - name: berlin
    public_key: +OCEDpsQKdFyx9wuxm7lA1/AQrQJumtEe7fcV9zT/x4=
    prefixes: [10.1.0.0/16, "fd10:1::/48"]
    endpoints: [198.51.100.2:51820]
    relay: true
  - name: munich
    public_key: F3+2R+7sLPJptOcdgOtjPQ5LOspU5ms3JtfyYW4WiHI=
    prefixes: 10.2.0.0/16
clients:
  - name: alice-laptop
    public_key: xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
    address: 10.9.0.2/32
```

The rules of the box file hold here too: unknown keys are errors, all errors are told at once, no
anchors, and so on. The file has at most 4 MiB.

- The file is signed, byte for byte, with the Ed25519 key of the network's authority, which is on
  none of the boxes. `meshgate network sign FILE --key KEYFILE` checks it and writes the signature
  beside it: `FILE.sig` has 88 characters of base64 in its first line; the lines `version N` and
  `authority KEY` may follow and serve people only.
- A box takes a file whose signature holds under the `network.authority` of its box file and whose
  `version` is higher than that of the one it has. It gives it to the other boxes and keeps it on its
  disk. Everything else it refuses with the reason, and changes nothing.
- Each box has a node address, which follows from keys: the network's /48 is `fd` and 40 bits of
  BLAKE2s of the authority's key, the rest 80 bits of BLAKE2s of the box's key. Prefixes must not
  reach into that /48. `meshgate network show FILE` prints all addresses.
- A member or client that is taken out is cut off everywhere. Its keys cannot come back by an older
  file.
- Prefixes of members must not overlap. A client's address may lie inside of a member's prefix: the
  longer prefix wins, so it is the exception there. (Hosts on the site's own LAN segment would look
  for such a client by ARP and not find it; choose addresses that are on no LAN.)
- `policy:` comes with a later version. Until then a file that has it is refused: its author would
  believe in a protection that is not there.

*Reload* is *live* for all of it: what did not change is not touched.
)";

template <typename Document>
std::string row(const KeyRuleOf<Document>& rule) {
    const std::string fallback = rule.count == Count::required ? "required"
                                 : rule.fallback.empty()       ? "none"
                                                               : "`" + cell(rule.fallback) + "`";
    return "| `" + std::string{rule.name} + "` | " + cell(rule.words) + " | " + fallback + " | " +
           to_string(rule.reload) + " | " + cell(rule.text) + " |\n";
}

constexpr std::string_view kTableHead =
    "| key | value | default | reload | meaning |\n| --- | --- | --- | --- | --- |\n";

template <typename Document>
std::string section(const Schema<Document>& schema, const GroupRuleOf<Document>& group) {
    std::string out = "\n## `" + std::string{group.name} + "`\n\n";
    if (group.shape == Shape::list)
        out += group.count == Count::required ? "A list, required. " : "A list, may be left out. ";
    out += std::string{group.text} + "\n\n" + std::string{kTableHead};
    for (const KeyRuleOf<Document>& rule : schema.keys_of(group.name))
        out += row(rule);
    return out;
}

}  // namespace

std::string reference_markdown() {
    std::string out{kIntroduction};
    const Schema<Model> box{groups(), keys(), nullptr, ""};
    for (const GroupRule& group : groups())
        out += section(box, group);
    out += std::string{kNetworkIntroduction} + "\n## At the top\n\n" + std::string{kTableHead};
    for (const KeyRuleOf<Network>& rule : network_schema().keys_of(""))
        out += row(rule);
    for (const GroupRuleOf<Network>& group : network_schema().groups)
        out += section(network_schema(), group);
    return out;
}

}  // namespace meshgate::config

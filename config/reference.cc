// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <string_view>

#include "config/keys.h"
#include "config/load.h"

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

`config/examples/` has a minimal file, one with every key, and the two boxes of a pair of offices.

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
- No anchors, aliases, merge keys or tags; one document; at most 1 MiB, 8192 bytes in a line.

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

std::string row(const KeyRule& rule) {
    const std::string fallback = rule.count == Count::required ? "required"
                                 : rule.fallback.empty()       ? "none"
                                                               : "`" + cell(rule.fallback) + "`";
    return "| `" + std::string{rule.name} + "` | " + cell(rule.words) + " | " + fallback + " | " +
           to_string(rule.reload) + " | " + cell(rule.text) + " |\n";
}

std::string section(const GroupRule& group) {
    std::string out = "\n## `" + std::string{group.name} + "`\n\n";
    if (group.shape == Shape::list)
        out += group.count == Count::required ? "A list, required. " : "A list, may be left out. ";
    out += std::string{group.text} + "\n\n";
    out += "| key | value | default | reload | meaning |\n| --- | --- | --- | --- | --- |\n";
    for (const KeyRule& rule : keys_of(group.name))
        out += row(rule);
    return out;
}

}  // namespace

std::string reference_markdown() {
    std::string out{kIntroduction};
    for (const GroupRule& group : groups())
        out += section(group);
    return out;
}

}  // namespace meshgate::config

# SPDX-License-Identifier: Apache-2.0
"""Breaks of the other rooms of control/, as mutations.py has them."""

SITE_ROUTERS = "control/site_routers/"

ROWS = [
    ("underlay", "control/underlay/path_mtu_search.cc", "best_ >= present || nb_rounds_ == kRounds",
     "nb_rounds_ == kRounds", "unit_control:PathMtuSearch*"),
    ("underlay", "control/underlay/path_mtu_search.cc", "if (nb_rounds_ == kRounds && best_ == 0) {",
     "if (false) {", "unit_control:PathMtuSearch*"),
    ("underlay", "control/underlay/path_mtu_search.cc", "kSearchAgain * (1U << nb_silent_)",
     "kSearchAgain", "unit_control:PathMtuSearch*"),
    ("underlay", "control/underlay/path_mtu_search.cc",
     "result.fits == most ? ceiling : result.fits", "result.fits", "unit_control:PathMtuSearch*"),
    # Routers that are no Meshgate.
    ("site_routers", SITE_ROUTERS + "policy.cc", "peer == kNoPeer || it->second.peer != peer",
     "peer != kNoPeer && it->second.peer != peer", "unit_control:PolicyTest.*"),
    ("site_routers", SITE_ROUTERS + "policy.cc", "to->second == filter->second.peer", "false",
     "unit_control:PolicyTest.*"),
    ("site_routers", SITE_ROUTERS + "routers.cc", "{{0x33, 0x33, 0, 1, 0, 6}}", "{{0x33, 0x33, 0, 0, 0, 6}}",
     "unit_control:RoutersTest.*"),
    ("site_routers", SITE_ROUTERS + "routers.cc", "        speaker_.retract(after.id(), prefix, now);",
     "        (void)prefix, (void)now;", "unit_control:RoutersTest.*"),
    ("site_routers", SITE_ROUTERS + "routers.cc", "on_link ? change.next_hop : change.via.address",
     "on_link || true ? change.next_hop : change.via.address", "unit_control:RoutersTest.*"),
    ("site_routers", "control/routing/rib.cc", "return std::ranges::binary_search(known, route.prefix);",
     "return (void)route, false;", "unit_control:PublishTest.*"),
    ("network", "control/api/upload.h", "return std::exchange(bytes_, {});", "return bytes_;",
     "unit_api:Mesh*"),
    ("network", "control/api/answer.cc", "    if (connection.access != Access::full)",
     "    if (request.verb == \"reload\" && connection.access != Access::full)", "unit_api:Mesh*"),
    ("network", "control/api/answer.cc",
     "upload.size() + piece->size() > config::kMaxNetworkBytes", "false", "unit_api:Mesh*"),
    ("network", "control/api/upload.h", "~Upload() { take(); }", "~Upload() {}", "unit_api:Mesh*"),
    ("network", "control/api/metrics_mesh.cc", "link.remote).second;", "link.remote).second && false;",
     "unit_api:Metrics*"),
    # The machine's kernel beside us.
    ("kernel", "control/host_interfaces/kernel_settings.cc",
     'Setting{"ipv6", "disable_ipv6", "1"},', 'Setting{"ipv6", "disable_ipv6", "0"},',
     "unit_control:Settings.*"),
    ("kernel", "control/host_interfaces/kernel_settings.cc",
     'word != "boot" || boot != boot_id', 'word != "boot"', "unit_control:FoundInterfaces.*"),
    ("kernel", "control/host_interfaces/kernel_settings.cc",
     "setting.path.find(\"..\") == std::string::npos", "!setting.path.empty()",
     "unit_control:FoundInterfaces.*"),
]

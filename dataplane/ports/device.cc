// SPDX-License-Identifier: Apache-2.0
#include "dataplane/ports/device.h"

#include <net/if.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/assert.h"
#include "dataplane/ports/packet_socket.h"
#include "dataplane/ports/xdp_redirect.h"

namespace meshgate {

namespace {

// af_packet: the kernel's fanout spreads flows over sockets. af_xdp: one, because a veth with two
// queues loses half of the packets to the queue that no socket is bound to. memif: one, because a
// peer with fewer rings would leave our further queues unconnected.
constexpr std::array<DeviceKindTraits, 6> kKinds{{
    {DeviceKind::pci, "pci", "", 64, false, false, "hugepages, and the device bound to vfio-pci",
     false},
    {DeviceKind::af_packet, "af_packet", "net_af_packet", 16, true, false,
     "the capabilities net_raw and net_admin", true},
    {DeviceKind::af_xdp, "af_xdp", "net_af_xdp", 1, true, false,
     "the capabilities net_raw, net_admin, bpf and ipc_lock", true},
    {DeviceKind::tap, "tap", "net_tap", 16, false, true,
     "the capability net_admin and /dev/net/tun", false},
    {DeviceKind::memif, "memif", "net_memif", 1, false, false,
     "a directory for the socket that it may write to", false},
    {DeviceKind::vdev, "vdev", "", 16, false, false, "a device that DPDK knows", true},
}};

bool is_interface_name(std::string_view name) noexcept {
    const auto is_bad = [](char c) { return c == '/' || c == ',' || c == '=' || c <= ' '; };
    return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
           std::none_of(name.begin(), name.end(), is_bad);
}

// "0000:03:00.0" or "03:00.0", as lspci prints it.
bool is_pci_address(std::string_view text) noexcept {
    constexpr std::string_view kForm = "xxxx:xx:xx.x";
    const std::string_view form = text.size() == 7 ? kForm.substr(5) : kForm;
    const auto fits = [](char c, char f) {
        return f == 'x' ? std::isxdigit(static_cast<unsigned char>(c)) != 0 : c == f;
    };
    return text.size() == form.size() && std::equal(text.begin(), text.end(), form.begin(), fits);
}

// "SOCKET[,role=server|client][,id=N]"
Result<std::string> memif_arguments(const PortOptions& options) {
    constexpr const char* kForm =
        "expected memif:SOCKET, with ,role=server or ,role=client and ,id=NUMBER if need be";
    std::string_view rest = options.device_argument;
    const auto next_word = [&rest] {
        const std::string_view word = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(rest.size(), word.size() + 1));
        return word;
    };
    const std::string_view socket = next_word();
    if (socket.empty() || socket.front() != '/')
        return fail("'" + std::string{socket} + "' is not an absolute socket path: " + kForm);
    if (socket.size() >= sizeof(sockaddr_un{}.sun_path))
        return fail("the socket path is longer than the kernel takes (107 bytes)");
    std::string role = "server";
    std::string id = "0";
    while (!rest.empty()) {
        const std::string_view word = next_word();
        const bool is_id = word.starts_with("id=") && word.size() > 3 && word.size() < 9;
        if (word == "role=server" || word == "role=client")
            role = word.substr(5);
        else if (is_id && word.find_first_not_of("0123456789", 3) == std::string_view::npos)
            id = word.substr(3);
        else
            return fail("'" + std::string{word} + "': " + kForm);
    }
    return "role=" + role + ",id=" + id + ",socket=" + std::string{socket} +
           ",socket-abstract=no,mac=" + to_string(derive_mac(options, WireEnd::ours));
}

Result<std::string> xdp_arguments(const std::string& interface, unsigned nb_queues) {
    const Result<std::string> program = xdp_redirect_path();
    if (!program)
        return propagate(program);
    // Without a busy-poll budget the kernel pushes: it wakes us, and is faster on veth.
    return "iface=" + interface + ",start_queue=0,queue_count=" + std::to_string(nb_queues) +
           ",busy_budget=0,xdp_prog=" + *program;
}

Result<std::string> vdev_arguments(const PortOptions& options, unsigned nb_queues) {
    const std::string& argument = options.device_argument;
    switch (options.device) {
        case DeviceKind::af_packet:
            return "iface=" + argument + ",qpairs=" + std::to_string(nb_queues) +
                   packet_ring_arguments();
        case DeviceKind::af_xdp:
            return xdp_arguments(argument, nb_queues);
        case DeviceKind::tap:
            // This is the address of the kernel's end. Ours must be another one.
            return "iface=" + argument + ",mac=" + to_string(derive_mac(options, WireEnd::theirs));
        case DeviceKind::memif:
            return memif_arguments(options);
        case DeviceKind::pci:
        case DeviceKind::vdev:
            break;
    }
    return std::string{};
}

Result<Device> raw_vdev(const std::string& argument) {
    const size_t comma = argument.find(',');
    Device device{argument.substr(0, comma),
                  comma == std::string::npos ? "" : argument.substr(comma + 1)};
    if (!device.name.starts_with("net_") && !device.name.starts_with("virtio_user"))
        return fail("'" + device.name +
                    "' is not a DPDK network device: expected a name such as net_ring0 or "
                    "net_null0, then its arguments behind a comma");
    return device;
}

}  // namespace

const DeviceKindTraits& traits_of(DeviceKind kind) noexcept {
    const DeviceKindTraits& traits = kKinds[static_cast<size_t>(kind)];
    MG_ASSERT(traits.kind == kind);
    return traits;
}

std::string device_text(const PortOptions& options) {
    return std::string{traits_of(options.device).word} + ":" + options.device_argument;
}

Result<Device> make_device(const PortOptions& options, PortId id, unsigned nb_queues) {
    const DeviceKindTraits& traits = traits_of(options.device);
    const std::string& argument = options.device_argument;
    if (options.device == DeviceKind::vdev)
        return raw_vdev(argument);
    if (options.device == DeviceKind::pci) {
        if (!is_pci_address(argument))
            return fail("'" + argument +
                        "' is not a PCI address: expected DOMAIN:BUS:DEVICE.FUNCTION,"
                        " such as 0000:03:00.0");
        return Device{argument.size() == 7 ? "0000:" + argument : argument, ""};
    }
    if ((traits.has_interface || traits.creates_interface) && !is_interface_name(argument))
        return fail("'" + argument +
                    "' is not an interface name (1 to 15 characters, no space, "
                    "slash, comma or equals sign)");
    const Result<std::string> arguments = vdev_arguments(options, nb_queues);
    if (!arguments)
        return propagate(arguments);
    return Device{std::string{traits.driver} + std::to_string(id), *arguments};
}

MacAddress derive_mac(const PortOptions& options, WireEnd end) {
    if (options.mac && end == WireEnd::ours)
        return *options.mac;
    std::array<char, 65> host{};
    gethostname(host.data(), host.size() - 1);
    const std::string seed = std::string{host.data()} + '\n' + device_text(options);
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: spreads well enough over a handful of ports
    for (const char c : seed)
        hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    hash ^= hash >> 32;
    MacAddress mac;
    // 02 and 06: locally administered, unicast.
    mac.bytes[0] = end == WireEnd::ours ? 0x02 : 0x06;
    for (size_t i = 1; i < mac.bytes.size(); ++i)
        mac.bytes[i] = static_cast<uint8_t>(hash >> (8 * (i - 1)));
    return mac;
}

}  // namespace meshgate

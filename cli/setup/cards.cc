// SPDX-License-Identifier: Apache-2.0
#include "cli/setup/cards.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>

#include "base/unique_fd.h"

namespace meshgate::cli {
namespace {

namespace fs = std::filesystem;

std::string first_word(const fs::path& file) {
    std::string word;
    std::ifstream{file} >> word;
    return word;
}

std::string link_name(const fs::path& link) {
    std::error_code error;
    return fs::read_symlink(link, error).filename();
}

bool is_card(const fs::path& folder) {
    std::error_code error;
    return first_word(folder / "type") == std::to_string(ARPHRD_ETHER) &&
           !fs::exists(folder / "bridge", error) && !fs::exists(folder / "tun_flags", error);
}

unsigned prefix_length(const sockaddr* mask) {
    const bool v4 = mask->sa_family == AF_INET;
    const auto* bytes =
        v4 ? reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in*>(mask)->sin_addr)
           : reinterpret_cast<const uint8_t*>(
                 &reinterpret_cast<const sockaddr_in6*>(mask)->sin6_addr);
    unsigned length = 0;
    for (size_t i = 0; i < (v4 ? 4U : 16U); ++i)
        length += static_cast<unsigned>(std::popcount(bytes[i]));
    return length;
}

std::string text_of(const sockaddr* address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text,
                  sizeof text);
    else
        inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, text,
                  sizeof text);
    return text;
}

bool is_link_local(const sockaddr* address) {
    return address->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
}

// Interface -> its addresses.
std::map<std::string, std::vector<std::string>> kernel_addresses() {
    std::map<std::string, std::vector<std::string>> found;
    ifaddrs* all = nullptr;
    if (getifaddrs(&all) != 0)
        return found;
    for (const ifaddrs* entry = all; entry != nullptr; entry = entry->ifa_next) {
        const sockaddr* address = entry->ifa_addr;
        if (address == nullptr || entry->ifa_netmask == nullptr ||
            (address->sa_family != AF_INET && address->sa_family != AF_INET6) ||
            is_link_local(address))
            continue;
        found[entry->ifa_name].push_back(text_of(address) + "/" +
                                         std::to_string(prefix_length(entry->ifa_netmask)));
    }
    freeifaddrs(all);
    return found;
}

// Interface -> those of its addresses that end unless somebody gives them again.
std::map<std::string, std::vector<std::string>> given_addresses() {
    std::map<std::string, std::vector<std::string>> found;
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe{
        ::popen("ip -o address show dynamic 2>/dev/null", "r"), &::pclose};
    if (!pipe)
        return found;
    std::array<char, 512> line{};
    while (std::fgets(line.data(), line.size(), pipe.get()) != nullptr) {
        // "2: eth0    inet 192.0.2.15/24 ..."
        std::istringstream words{line.data()};
        std::string number, name, family, address;
        words >> number >> name >> family >> address;
        found[name].push_back(address);
    }
    return found;
}

// "SSH_CONNECTION=CLIENT PORT SERVER PORT" in the environment of a process; empty without it.
std::string ssh_server(const fs::path& environment) {
    std::ifstream file{environment, std::ios::binary};
    for (std::string entry; std::getline(file, entry, '\0');) {
        constexpr std::string_view kName = "SSH_CONNECTION=";
        if (!entry.starts_with(kName))
            continue;
        std::istringstream words{entry.substr(kName.size())};
        std::string client, client_port, server;
        words >> client >> client_port >> server;
        return server;
    }
    return {};
}

std::string parent_of(const std::string& process) {
    std::ifstream status{"/proc/" + process + "/status"};
    for (std::string word; status >> word;) {
        if (word == "PPid:") {
            status >> word;
            return word;
        }
    }
    return "0";
}

}  // namespace

std::string describe(const Card& card) {
    std::string text = card.name;
    for (const std::string& part : {card.driver, card.pci_address})
        text += part.empty() ? "" : "  " + part;
    text += card.link_up ? "  link up" : "  no link";
    for (const std::string& address : card.addresses)
        text += "  " + address;
    if (!card.gateway_v4.empty() || !card.gateway_v6.empty())
        text += "  (has the default route)";
    if (card.carries_ssh)
        text += "  (carries this ssh session)";
    return text;
}

std::vector<std::string> addresses_on(const std::string& interface) {
    return kernel_addresses()[interface];
}

std::string ssh_address() {
    constexpr int kMaxAncestors = 32;  // processes between a shell and its sshd
    std::string process = std::to_string(getpid());
    for (int i = 0; i < kMaxAncestors && process != "0" && process != "1"; ++i) {
        std::string server = ssh_server("/proc/" + process + "/environ");
        if (!server.empty())
            return server;
        process = parent_of(process);
    }
    return {};
}

std::string gateway_v4(const std::string& routes, const std::string& interface) {
    std::ifstream file{routes};
    for (std::string line; std::getline(file, line);) {
        std::istringstream words{line};
        std::string name, destination, gateway, flags;
        words >> name >> destination >> gateway >> flags;
        if (name != interface || destination != "00000000" || gateway == "00000000")
            continue;
        // As the kernel holds it in memory, printed as a number.
        const in_addr address{static_cast<in_addr_t>(std::strtoul(gateway.c_str(), nullptr, 16))};
        char text[INET_ADDRSTRLEN] = "";
        inet_ntop(AF_INET, &address, text, sizeof text);
        return text;
    }
    return {};
}

std::string gateway_v6(const std::string& routes, const std::string& interface) {
    const std::string nowhere(32, '0');
    std::ifstream file{routes};
    for (std::string line; std::getline(file, line);) {
        std::istringstream in{line};
        const std::vector<std::string> words{std::istream_iterator<std::string>{in}, {}};
        if (words.size() != 10 || words[9] != interface || words[0] != nowhere ||
            words[1] != "00" || words[4] == nowhere || words[4].size() != 32)
            continue;
        in6_addr address{};
        for (size_t i = 0; i < 16; ++i)
            address.s6_addr[i] =
                static_cast<uint8_t>(std::strtoul(words[4].substr(2 * i, 2).c_str(), nullptr, 16));
        char text[INET6_ADDRSTRLEN] = "";
        inet_ntop(AF_INET6, &address, text, sizeof text);
        return text;
    }
    return {};
}

Result<void> blink(const std::string& card, unsigned seconds) {
    const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ifreq request{};
    if (card.size() >= sizeof request.ifr_name)
        return fail("no-such-card: " + card);
    card.copy(request.ifr_name, sizeof request.ifr_name - 1);
    ethtool_value value{.cmd = ETHTOOL_PHYS_ID, .data = seconds};
    request.ifr_data = reinterpret_cast<char*>(&value);
    if (fd && ::ioctl(fd.get(), SIOCETHTOOL, &request) == 0)
        return {};
    if (errno == EOPNOTSUPP)
        return fail("cannot-blink: the driver of " + card +
                    " has no way to: pull its cable instead");
    return fail(errno, "let " + card + " blink");
}

std::vector<Card> find_cards(const CardSources& sources) {
    std::vector<Card> cards;
    const auto addresses = kernel_addresses();
    const auto given = given_addresses();
    std::error_code error;
    for (const auto& entry : fs::directory_iterator{sources.class_net, error}) {
        const fs::path& folder = entry.path();
        if (!is_card(folder))
            continue;
        Card card{.name = folder.filename(),
                  .driver = link_name(folder / "device/driver"),
                  .pci_address = {},
                  .link_up = first_word(folder / "carrier") == "1"};
        // The device of virtio is one below the PCI one.
        const std::string device = fs::canonical(folder / "device", error).string();
        for (const fs::path& part : fs::path{device}) {
            if (part.string().size() == 12 && part.string()[4] == ':' && part.string()[7] == ':')
                card.pci_address = part;
        }
        if (const auto own = addresses.find(card.name); own != addresses.end())
            card.addresses = own->second;
        if (const auto some = given.find(card.name); some != given.end())
            std::ranges::copy_if(some->second, std::back_inserter(card.given),
                                 [&](const std::string& address) {
                                     return std::ranges::count(card.addresses, address) != 0;
                                 });
        card.gateway_v4 = gateway_v4(sources.routes_v4, card.name);
        card.gateway_v6 = gateway_v6(sources.routes_v6, card.name);
        card.carries_ssh = !sources.ssh_address.empty() &&
                           std::ranges::any_of(card.addresses, [&](const std::string& address) {
                               return address.starts_with(sources.ssh_address + "/");
                           });
        cards.push_back(std::move(card));
    }
    std::ranges::sort(cards, {}, &Card::name);
    return cards;
}

}  // namespace meshgate::cli

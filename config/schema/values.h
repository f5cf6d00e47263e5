// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "config/schema/words.h"
#include "config/text/input.h"

namespace meshgate::config {

// How one kind of value is read, shown and described. A value that is refused leaves `out` as it
// is, or holds an empty entry in a list, so that positions stay those of the file.
template <typename T>
struct ValueType {
    std::string_view words;  // for "allowed here" and for the reference
    void (*read)(const Input& in, T& out);
    std::string (*show)(const T& value);
};

// Of names and interfaces: A-Z a-z 0-9 . _ -
bool is_name_char(char c) noexcept;

void read_name(const Input& in, std::string& out);
void read_interface_name(const Input& in, std::string& out);
void read_key_file(const Input& in, std::string& out);
void read_socket(const Input& in, std::string& out);
void read_role(const Input& in, Role& out);
void read_wg_socket(const Input& in, std::string& out);
void read_device(const Input& in, Device& out);
void read_public_key(const Input& in, PublicKey& out);
// `host`, or addresses.
void read_port_addresses(const Input& in, Port& out);
std::string show_port_addresses(const Port& value);
void read_networks(const Input& in, std::vector<Prefix>& out);
void read_network(const Input& in, Prefix& out);
void read_via(const Input& in, std::optional<IpAddress>& out);
void read_gateways(const Input& in, Port& out);
void read_true(const Input& in);
void read_boolean(const Input& in, bool& out);
void read_network_file(const Input& in, std::string& out);
void read_authority(const Input& in, AuthorityKey& out);
void read_mac(const Input& in, std::optional<MacAddress>& out);
void read_endpoint(const Input& in, std::optional<Endpoint>& out);
void read_peer_endpoint(const Input& in, Peer& out);
void read_http(const Input& in, std::optional<Endpoint>& out);
void read_cores(const Input& in, std::vector<unsigned>& out);
void read_keepalive(const Input& in, uint16_t& out);
void read_hello(const Input& in, uint32_t& out);
// As read_networks(), and an empty list is one.
void read_networks_or_none(const Input& in, std::vector<Prefix>& out);
void read_optional_networks(const Input& in, std::optional<std::vector<Prefix>>& out);
void read_memory(const Input& in, uint64_t& out);
std::optional<uint64_t> read_number(const Input& in, std::string_view code, uint64_t min,
                                    uint64_t max);
// The position in `words` of this value; complains with all of them and a guess.
std::optional<size_t> read_word(const Input& in, std::string_view noun, std::string_view code,
                                const std::vector<std::string_view>& words);

// A key with which X25519 gives zero, whatever the private key.
bool is_weak_key(const PublicKey& key) noexcept;

std::string show_text(const std::string& value);
std::string show_path_or_off(const std::string& value);
std::string show_device(const Device& value);
std::string show_public_key(const PublicKey& value);
std::string show_boolean(const bool& value);
std::string show_authority(const AuthorityKey& value);
std::string show_prefix(const Prefix& value);
std::string show_prefixes(const std::vector<Prefix>& value);
std::string show_gateways(const Port& value);
std::string show_keepalive(const uint16_t& value);
std::string show_hello(const uint32_t& value);
std::string show_networks_or_none(const std::vector<Prefix>& value);
std::string show_optional_networks(const std::optional<std::vector<Prefix>>& value);
std::string show_memory(const uint64_t& value);
std::string show_cores(const std::vector<unsigned>& value);
std::string show_endpoint(const std::optional<Endpoint>& value);
std::string show_peer_endpoint(const Peer& value);
std::string show_http(const std::optional<Endpoint>& value);

template <typename T>
std::string show_number(const T& value) {
    return std::to_string(value);
}

template <typename T>
std::string show_optional(const std::optional<T>& value) {
    return value ? to_string(*value) : "";
}

inline std::string show_vlan(const std::optional<uint16_t>& value) {
    return value ? std::to_string(*value) : "";
}

struct NumberRule {
    std::string_view code;
    uint64_t min, max;
};

inline constexpr NumberRule kPortNumbers{"bad-port", 1, 65535};
inline constexpr NumberRule kVlans{"bad-vlan", 1, 4094};
inline constexpr NumberRule kPriorities{"bad-number", 0, 7};
inline constexpr NumberRule kMtus{"bad-mtu", 576, 9000};
inline constexpr NumberRule kWorkerCounts{"bad-number", 1, 32};
inline constexpr NumberRule kCoreIds{"bad-number", 0, 1023};
inline constexpr NumberRule kCostBiases{"bad-number", 0, 4096};
inline constexpr NumberRule kPeerCounts{"bad-number", 1, uint64_t{1} << 20};

template <const NumberRule& kRule, typename T>
void read_number_as(const Input& in, T& out) {
    const auto number = read_number(in, kRule.code, kRule.min, kRule.max);
    if (!number)
        return;
    if constexpr (requires { typename T::value_type; })
        out = static_cast<typename T::value_type>(*number);
    else
        out = static_cast<T>(*number);
}

template <typename E, const auto& kChoices>
void read_choice(const Input& in, E& out) {
    std::vector<std::string_view> words;
    for (const auto& [word, value] : kChoices.words)
        words.push_back(word);
    if (const auto chosen = read_word(in, kChoices.noun, kChoices.code, words))
        out = kChoices.words[*chosen].second;
}

template <const auto& kChoices, typename E>
std::string show_choice(const E& value) {
    return std::string{kChoices.word_of(value)};
}

inline constexpr ValueType<std::string> kNameType{
    "a name: 1 to 63 of A-Z a-z 0-9 . _ -, first a letter or digit", read_name, show_text};
inline constexpr ValueType<std::string> kKeyFileType{
    "a file, mode 600, with one key as wg genkey writes it", read_key_file, show_text};
inline constexpr ValueType<std::string> kSocketType{"an absolute path of 107 bytes at most",
                                                    read_socket, show_text};
inline constexpr ValueType<std::string> kWgSocketType{
    "auto, off, or an absolute path that ends in /INTERFACE.sock (15 characters at most)",
    read_wg_socket, show_path_or_off};
inline constexpr ValueType<Device> kDeviceType{
    "pci:ADDRESS, af_xdp:INTERFACE, af_packet:INTERFACE, tap:INTERFACE, memif:SOCKET, vdev:TEXT",
    read_device, show_device};
inline constexpr ValueType<Role> kRoleType{"wan, lan or [wan, lan]", read_role,
                                           show_choice<kRoles, Role>};
inline constexpr ValueType<PublicKey> kPublicKeyType{
    "a public key: 44 characters of base64, as wg pubkey writes it", read_public_key,
    show_public_key};
inline constexpr ValueType<std::string> kInterfaceNameType{
    "the name of a kernel interface: 1 to 15 of A-Z a-z 0-9 . _ - @", read_interface_name,
    show_text};
inline constexpr ValueType<Port> kPortAddressesType{
    "host, or addresses with their prefix length, such as 10.1.0.1/24 or \"fd10:1::1/64\"; one "
    "or a list",
    read_port_addresses, show_port_addresses};
inline constexpr ValueType<std::vector<Prefix>> kNetworksType{
    "prefixes such as 10.9.0.0/24 or \"fd10:9::/64\", or single addresses; one or a list",
    read_networks, show_prefixes};
inline constexpr ValueType<Prefix> kNetworkType{
    "a prefix such as 10.1.8.0/21 or \"fd10:1:8::/48\", or a single address", read_network,
    show_prefix};
inline constexpr ValueType<std::optional<IpAddress>> kViaType{
    "the address of a host on a network of a lan port", read_via, show_optional<IpAddress>};
inline constexpr ValueType<Port> kGatewaysType{
    "an address on the port's own network; a list holds one of each family at most", read_gateways,
    show_gateways};
inline constexpr ValueType<std::optional<uint16_t>> kVlanType{
    "a whole number from 1 to 4094", read_number_as<kVlans, std::optional<uint16_t>>, show_vlan};
inline constexpr ValueType<uint8_t> kPriorityType{
    "a whole number from 0 to 7", read_number_as<kPriorities, uint8_t>, show_number<uint8_t>};
inline constexpr ValueType<uint16_t> kMtuType{
    "a whole number from 576 to 9000, with IPv6 from 1280", read_number_as<kMtus, uint16_t>,
    show_number<uint16_t>};
inline constexpr ValueType<std::optional<MacAddress>> kMacType{
    "a unicast MAC address such as 02:00:00:00:00:01", read_mac, show_optional<MacAddress>};
inline constexpr ValueType<uint16_t> kPortNumberType{"a whole number from 1 to 65535",
                                                     read_number_as<kPortNumbers, uint16_t>,
                                                     show_number<uint16_t>};
inline constexpr ValueType<unsigned> kWorkersType{
    "a whole number from 1 to 32", read_number_as<kWorkerCounts, unsigned>, show_number<unsigned>};
inline constexpr ValueType<std::vector<unsigned>> kCoresType{
    "a list of 1 to 32 different cores, such as [2, 3]", read_cores, show_cores};
inline constexpr ValueType<UdpChecksum> kUdpChecksumType{"always or never",
                                                         read_choice<UdpChecksum, kUdpChecksums>,
                                                         show_choice<kUdpChecksums, UdpChecksum>};
inline constexpr ValueType<Idle> kIdleType{"busy or adaptive", read_choice<Idle, kIdles>,
                                           show_choice<kIdles, Idle>};
inline constexpr ValueType<Crypto> kCryptoType{"auto, cross-packet, ipsec-mb or libsodium",
                                               read_choice<Crypto, kCryptos>,
                                               show_choice<kCryptos, Crypto>};
inline constexpr ValueType<Hugepages> kHugepagesType{"auto, require or never",
                                                     read_choice<Hugepages, kHugepages>,
                                                     show_choice<kHugepages, Hugepages>};
inline constexpr ValueType<uint64_t> kMemoryType{
    "a size with its unit (MiB or GiB) from 64MiB to 256GiB", read_memory, show_memory};
inline constexpr ValueType<uint32_t> kMaxPeersType{"a whole number from 1 to 1048576",
                                                   read_number_as<kPeerCounts, uint32_t>,
                                                   show_number<uint32_t>};
inline constexpr ValueType<Peer> kPeerEndpointType{
    "an address or a name with a UDP port, such as 192.0.2.7:51820, \"[2001:db8::7]:51820\" or "
    "gw.example.net:51820",
    read_peer_endpoint, show_peer_endpoint};
inline constexpr ValueType<uint16_t> kKeepaliveType{
    "off, or a time with its unit (s, min or h) from 1s to 65535s", read_keepalive, show_keepalive};
inline constexpr ValueType<bool> kBooleanType{"true or false", read_boolean, show_boolean};
inline constexpr ValueType<uint16_t> kCostBiasType{
    "a whole number from 0 to 4096", read_number_as<kCostBiases, uint16_t>, show_number<uint16_t>};
inline constexpr ValueType<std::string> kNetworkFileType{"the name of a file", read_network_file,
                                                         show_text};
inline constexpr ValueType<AuthorityKey> kAuthorityType{
    "a public key: 44 characters of base64, as meshgate network keygen prints it", read_authority,
    show_authority};
inline constexpr ValueType<std::string> kMacKeyFileType{
    "a file, mode 600, with one line: a key of 1 to 64 bytes in hexadecimal", read_key_file,
    show_text};
inline constexpr ValueType<std::vector<Prefix>> kNetworksOrNoneType{
    "prefixes such as 10.9.0.0/24 or \"fd10:9::/64\"; one or a list, which may be empty",
    read_networks_or_none, show_networks_or_none};
inline constexpr ValueType<std::optional<std::vector<Prefix>>> kOptionalNetworksType{
    kNetworksOrNoneType.words, read_optional_networks, show_optional_networks};
inline constexpr ValueType<uint32_t> kHelloType{"a time with its unit (ms or s) from 100ms to 60s",
                                                read_hello, show_hello};
inline constexpr ValueType<Medium> kMediumType{"wired or wireless", read_choice<Medium, kMediums>,
                                               show_choice<kMediums, Medium>};
inline constexpr ValueType<MacAlgorithm> kMacAlgorithmType{
    "hmac-sha256 or blake2s", read_choice<MacAlgorithm, kMacAlgorithms>,
    show_choice<kMacAlgorithms, MacAlgorithm>};
inline constexpr ValueType<std::optional<Endpoint>> kHttpType{
    "off, or an address and a TCP port such as 127.0.0.1:9586 or \"[::1]:9586\"", read_http,
    show_http};
inline constexpr ValueType<LogLevel> kLogLevelType{"trace, debug, info, warning or error",
                                                   read_choice<LogLevel, kLogLevels>,
                                                   show_choice<kLogLevels, LogLevel>};
inline constexpr ValueType<LogFormat> kLogFormatType{
    "text or json", read_choice<LogFormat, kLogFormats>, show_choice<kLogFormats, LogFormat>};

}  // namespace meshgate::config

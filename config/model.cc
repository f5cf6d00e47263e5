// SPDX-License-Identifier: Apache-2.0
#include "config/model.h"

#include "config/schema/words.h"

namespace meshgate::config {

// The words are literals, hence end in a zero byte.
const char* to_string(DeviceKind kind) noexcept {
    return kDeviceKinds.word_of(kind).data();
}
const char* to_string(Role role) noexcept {
    return kRoles.word_of(role).data();
}
const char* to_string(Idle idle) noexcept {
    return kIdles.word_of(idle).data();
}
const char* to_string(Crypto crypto) noexcept {
    return kCryptos.word_of(crypto).data();
}
const char* to_string(Hugepages hugepages) noexcept {
    return kHugepages.word_of(hugepages).data();
}
const char* to_string(Medium medium) noexcept {
    return kMediums.word_of(medium).data();
}
const char* to_string(MacAlgorithm algorithm) noexcept {
    return kMacAlgorithms.word_of(algorithm).data();
}
const char* to_string(LogLevel level) noexcept {
    return kLogLevels.word_of(level).data();
}
const char* to_string(LogFormat format) noexcept {
    return kLogFormats.word_of(format).data();
}

std::string to_string(const EndpointName& name) {
    return name.host + ":" + std::to_string(name.port);
}

std::string twin_of(const Port& port) {
    if (!port.host)
        return "";
    return port.host_name.empty() ? port.name : port.host_name;
}

std::string to_string(const Device& device) {
    return std::string{to_string(device.kind)} + ":" + device.argument;
}

}  // namespace meshgate::config

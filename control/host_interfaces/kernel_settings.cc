// SPDX-License-Identifier: Apache-2.0
#include "control/host_interfaces/kernel_settings.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/unique_fd.h"

namespace meshgate::control {

namespace {

std::string path_of(const NeededSetting& setting, const std::string& interface) {
    return std::string{setting.family} + "/conf/" + interface + "/" + setting.name;
}

// None: a kernel without that family, or no such interface.
std::optional<std::string> read_value(const std::string& path) {
    std::ifstream file{path};
    std::string value;
    if (!(file >> value))
        return std::nullopt;
    return value;
}

// 0, or an errno.
int write_value(const std::string& path, const std::string& value) {
    const UniqueFd file{open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!file || write(file.get(), value.data(), value.size()) < 0)
        return errno;
    return 0;
}

}  // namespace

std::vector<FoundSetting> KernelSettings::read(const std::string& interface) const {
    std::vector<FoundSetting> found;
    for (const NeededSetting& setting : needed_) {
        const std::string path = path_of(setting, interface);
        if (auto value = read_value(root_ + "/" + path))
            found.push_back({path, *std::move(value)});
    }
    return found;
}

Result<unsigned> KernelSettings::apply(const std::string& interface) const {
    unsigned nb_changed = 0;
    for (const NeededSetting& setting : needed_) {
        const std::string path = root_ + "/" + path_of(setting, interface);
        const auto present = read_value(path);
        if (!present || *present == setting.value)
            continue;
        if (const int status = write_value(path, setting.value); status != 0)
            return fail(status, "cannot set " + path);
        ++nb_changed;
    }
    return nb_changed;
}

void KernelSettings::give_back(const std::vector<FoundSetting>& settings) const {
    for (const FoundSetting& setting : settings)
        write_value(root_ + "/" + setting.path, setting.value);
}

// One line per fact: "boot ID", "interface NAME INDEX", then what belongs to it.
std::string to_text(const std::vector<FoundInterface>& found, const std::string& boot_id) {
    std::ostringstream text;
    text << "boot " << boot_id << '\n';
    for (const FoundInterface& interface : found) {
        text << "interface " << interface.name << ' ' << interface.index << '\n';
        for (const FoundSetting& setting : interface.settings)
            text << "setting " << setting.path << ' ' << setting.value << '\n';
        for (const Prefix& address : interface.addresses)
            text << "address " << to_string(address) << '\n';
    }
    return text.str();
}

std::vector<FoundInterface> parse_found(const std::string& text, const std::string& boot_id) {
    std::vector<FoundInterface> found;
    std::istringstream lines{text};
    std::string word, boot;
    if (!(lines >> word >> boot) || word != "boot" || boot != boot_id)
        return found;
    while (lines >> word) {
        FoundInterface interface;
        FoundSetting setting;
        std::string address;
        if (word == "interface" && lines >> interface.name >> interface.index) {
            found.push_back(std::move(interface));
        } else if (word == "setting" && lines >> setting.path >> setting.value && !found.empty() &&
                   setting.path.find("..") == std::string::npos) {
            found.back().settings.push_back(std::move(setting));
        } else if (word == "address" && lines >> address && !found.empty()) {
            if (const auto prefix = parse_prefix(address))
                found.back().addresses.push_back(*prefix);
        } else {
            break;  // what follows cannot be trusted
        }
    }
    return found;
}

}  // namespace meshgate::control

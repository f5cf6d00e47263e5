// SPDX-License-Identifier: Apache-2.0
#include "control/daemon/instance_mark.h"

#include <sys/stat.h>

#include <fstream>
#include <optional>

#include "control/daemon/state_file.h"

namespace meshgate::control {

namespace {

std::string first_line(const std::string& path) {
    std::ifstream file{path};
    std::string line;
    std::getline(file, line);
    return line;
}

std::optional<Instance> read_mark(const std::string& path) {
    std::ifstream file{path};
    Instance found;
    for (std::string* part : {&found.machine, &found.hardware, &found.folder, &found.key}) {
        if (!std::getline(file, *part))
            return std::nullopt;
    }
    return found;
}

// What is not known on either side is no evidence.
bool differs(const std::string& before, const std::string& now) {
    return !before.empty() && !now.empty() && before != now;
}

Copied compare(const Instance& before, const Instance& now) {
    if (before.key != now.key)
        return Copied::no;
    if (differs(before.machine, now.machine))
        return Copied::from_machine;
    if (differs(before.hardware, now.hardware))
        return Copied::from_hardware;
    return differs(before.folder, now.folder) ? Copied::from_folder : Copied::no;
}

}  // namespace

Instance present_instance(const std::string& state_folder, const PublicKey& key,
                          const std::string& root) {
    struct stat folder {};
    const bool known = stat(state_folder.c_str(), &folder) == 0;
    return {.machine = first_line(root + "/etc/machine-id"),
            .hardware = first_line(root + "/sys/class/dmi/id/product_uuid"),
            .folder = known ? std::to_string(folder.st_ino) : "",
            .key = to_string(key)};
}

Result<Copied> mark_instance(const std::string& state_folder, const Instance& present) {
    if (state_folder.empty())
        return Copied::no;
    const std::string path = state_folder + "/instance";
    const auto before = read_mark(path);
    if (before == present)
        return Copied::no;
    const auto written = write_state_file(path, present.machine + "\n" + present.hardware + "\n" +
                                                    present.folder + "\n" + present.key + "\n");
    if (!written)
        return propagate(written);
    return before ? compare(*before, present) : Copied::no;
}

}  // namespace meshgate::control

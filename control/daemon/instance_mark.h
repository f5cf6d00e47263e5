// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/keys.h"
#include "base/result.h"

namespace meshgate::control {

// Where this daemon runs, as far as a copy of it would differ.
struct Instance {
    std::string machine;   // machine-id of the operating system
    std::string hardware;  // product UUID of the firmware; a copied virtual machine has another
    std::string folder;    // inode of the state folder; a copied folder has another
    std::string key;       // the box's public key

    bool operator==(const Instance&) const = default;
};
Instance present_instance(const std::string& state_folder, const PublicKey& key,
                          const std::string& root = "");

// What the mark that was found tells of the state folder.
enum class Copied : uint8_t {
    no,
    from_machine,   // it was written on another machine
    from_hardware,  // by the same operating system on other hardware: a copied disk or machine
    from_folder,    // in another folder of this machine
};

// Two daemons with one key take each other's packets. A start from a state folder that was copied
// together with the key is the first that can be seen of it; that the original still runs cannot
// be. Compares with the mark that the last start left, then leaves one of its own.
Result<Copied> mark_instance(const std::string& state_folder, const Instance& present);

}  // namespace meshgate::control

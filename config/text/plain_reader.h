// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>

namespace YAML {
class EventHandler;
}

namespace meshgate::config {

// Reads YAML of the form that our files nearly always have: keys and dashes one below the other,
// values within their line, words as keys. It makes the events that yaml-cpp would make of it, some
// forty times as fast, which a file of many thousand peers needs: the thread that reads it answers
// handshakes as well. Anything else it leaves to yaml-cpp, which also explains what is wrong.
//
// False: the text has another form, and the events so far are void. `stopped` says that the handler
// wants no more of them; what it has seen then stands.
bool read_plain(std::string_view text, YAML::EventHandler& handler,
                const std::function<bool()>& stopped);

}  // namespace meshgate::config

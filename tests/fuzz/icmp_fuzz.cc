// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "control/packets/icmp.h"

// Input: one IP packet, as it comes up from a worker. A reply must be no longer than the request
// and an error no longer than the least MTU.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace meshgate;
    using namespace meshgate::control;
    std::vector<uint8_t> ip(data, data + size);
    const auto report = parse_path_mtu_report(ip);
    if (report && report->mtu_bytes < 576)
        std::abort();
    for (const char* source : {"10.1.0.1", "fd10:1::1"}) {
        if (build_host_unreachable(ip, *parse_address(source)).size() > 1280)
            std::abort();
    }
    if (make_echo_reply(ip) && make_echo_reply(ip))
        std::abort();
    return 0;
}

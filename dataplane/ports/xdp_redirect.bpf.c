// SPDX-License-Identifier: Apache-2.0
// Each frame of a queue to the socket of that queue; without one, the kernel has it.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

// The driver looks the map up by this name.
struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 64);
    __type(key, __u32);
    __type(value, __u32);
} xsks_map SEC(".maps");

SEC("xdp") int redirect(struct xdp_md* frame) {
    return bpf_redirect_map(&xsks_map, frame->rx_queue_index, XDP_PASS);
}

char licence[] SEC("license") = "Apache-2.0";

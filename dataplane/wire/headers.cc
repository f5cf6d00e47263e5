// SPDX-License-Identifier: Apache-2.0
#include "dataplane/wire/headers.h"

namespace meshgate {

const uint8_t kNoHeader[kHeaderBytes] = {};

bool has_vector_headers() noexcept {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("bmi2");
}

}  // namespace meshgate

// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace meshgate {

// Whether this processor and its kernel run what is compiled for AVX-512 F, BW, VL, DQ and
// VPOPCNTDQ with BMI2: the header scan and the route look-up of whole bursts.
bool has_avx512() noexcept;

}  // namespace meshgate

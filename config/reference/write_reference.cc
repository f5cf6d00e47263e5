// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "config/load.h"

int main() {
    return std::fputs(meshgate::config::reference_markdown().c_str(), stdout) < 0 ? 1 : 0;
}

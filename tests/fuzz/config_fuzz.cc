// SPDX-License-Identifier: Apache-2.0
// Any text as a box file, with key files that exist.

#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "base/assert.h"
#include "base/text.h"
#include "config/diff.h"
#include "tests/unit/config/fixture.h"

namespace {

using namespace meshgate;
using namespace meshgate::config;

const KeyFolder& key_folder() {
    static const KeyFolder kFolder;
    return kFolder;
}

const Model& good_model() {
    static const Model kModel = *key_folder().load(std::string{kGoodFile} + kAlice).model;
    return kModel;
}

void check_printable(std::string text) {
    std::erase(text, '\n');
    MG_ASSERT(find_unprintable(text) == std::string::npos);
}

void check(const LoadResult& result) {
    MG_ASSERT(result.model.has_value() != has_errors(result.diagnostics));
    for (const Diagnostic& diagnostic : result.diagnostics) {
        MG_ASSERT(!diagnostic.code.empty() && !diagnostic.message.empty());
        MG_ASSERT(!diagnostic.allowed.empty() || !diagnostic.suggestion.empty() ||
                  !diagnostic.fix.empty());
    }
    check_printable(format_text(result.diagnostics));
    check_printable(format_gcc(result.diagnostics));
    check_printable(format_json(result.diagnostics));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t len) {
    const std::string text(data, data + len);
    const LoadResult result = key_folder().load(text);
    check(result);
    if (result.model) {
        MG_ASSERT(diff(*result.model, *result.model).empty());
        MG_ASSERT(diff(*result.model, good_model()).empty() ==
                  diff(good_model(), *result.model).empty());
    }
    return 0;
}

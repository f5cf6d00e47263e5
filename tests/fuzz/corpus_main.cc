// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target over every file of some folders, and over each file cut short at every
// length up to 256 bytes: the same function that libFuzzer drives, as an ordinary test.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t len);
extern "C" [[gnu::weak]] int LLVMFuzzerInitialize(int* argc, char*** argv);

namespace {

// Copied into a block of its exact size, so that a sanitizer sees one byte too many.
void run_one(const std::vector<uint8_t>& bytes, size_t len) {
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(len);
    const std::vector<uint8_t> exact(bytes.begin(), end);
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

unsigned run_folder(const std::filesystem::path& folder) {
    unsigned nb_files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        std::ifstream file(entry.path(), std::ios::binary);
        const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
        for (size_t len = 0; len < std::min<size_t>(bytes.size(), 256); ++len)
            run_one(bytes, len);
        run_one(bytes, bytes.size());
        ++nb_files;
    }
    return nb_files;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s CORPUS_FOLDER...\n", argv[0]);
        return 2;
    }
    const std::vector<std::filesystem::path> folders(argv + 1, argv + argc);
    if (LLVMFuzzerInitialize != nullptr)
        LLVMFuzzerInitialize(&argc, &argv);

    unsigned nb_files = 0;
    for (const auto& folder : folders)
        nb_files += run_folder(folder);
    std::printf("%u inputs, each also cut short\n", nb_files);
    return nb_files > 0 ? 0 : 1;  // an empty corpus tests nothing
}

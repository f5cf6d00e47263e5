// SPDX-License-Identifier: Apache-2.0
// The quick reader beside yaml-cpp: what it takes, it takes as yaml-cpp does.
#include "config/text/plain_reader.h"

#include <gtest/gtest.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <filesystem>
#include <optional>
#include <random>
#include <sstream>

#include "tests/unit/config/fixture.h"

namespace meshgate::config {
namespace {

// Events as lines of text.
class Recorder : public YAML::EventHandler {
public:
    std::string events;

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { note("null", mark); }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { note("alias", mark); }
    void OnAnchor(const YAML::Mark& mark, const std::string&) override { note("anchor", mark); }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  const std::string& value) override {
        note(tag + " " + value, mark);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                         YAML::EmitterStyle::value style) override {
        note(tag + (style == YAML::EmitterStyle::Flow ? " [" : " -"), mark);
    }
    void OnSequenceEnd() override { events += "end of list\n"; }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                    YAML::EmitterStyle::value style) override {
        note(tag + (style == YAML::EmitterStyle::Flow ? " {" : " :"), mark);
    }
    void OnMapEnd() override { events += "end of map\n"; }

private:
    void note(const std::string& what, const YAML::Mark& mark) {
        events += std::to_string(mark.line) + ":" + std::to_string(mark.column) + " " + what + "\n";
    }
};

// Nothing: it has another form.
std::optional<std::string> plain(const std::string& text) {
    Recorder recorder;
    if (!read_plain(text, recorder, [] { return false; }))
        return std::nullopt;
    return recorder.events;
}

std::string by_yaml_cpp(const std::string& text) {
    Recorder recorder;
    try {
        std::istringstream stream{text};
        YAML::Parser parser{stream};
        while (parser.HandleNextDocument(recorder)) {
        }
    } catch (const YAML::Exception& error) {
        return error.what();
    }
    return recorder.events;
}

std::vector<std::string> samples() {
    std::vector<std::string> all{
        std::string{kGoodFile} + kAlice,
        "a: 1\nb:\n  - x\n  - y\nc:\n- {d: e, f: [g, 'h i', \"j\"]}\n-\n  k: l\n- - m\n  - n: o\n  "
        "  p: q\n",
        "# c\n\na: b # c\nd: \"e # f\"  # g\n  # h\ni: [::, a::b, c:d, []]\nj: k l m\n",
        "a:\n  b:\n    c: d\n  e: f\n  g:\n  - h\n  - i: j\n  k: l\nm: n\n",
    };
    for (const auto& entry : std::filesystem::directory_iterator{MESHGATE_EXAMPLES}) {
        if (entry.path().extension() == ".yaml")
            all.push_back(contents_of(entry.path()));
    }
    return all;
}

TEST(PlainReader, ReadsTheExamples) {
    size_t nb_files = 0;
    for (const auto& entry : std::filesystem::directory_iterator{MESHGATE_EXAMPLES}) {
        if (entry.path().extension() != ".yaml")
            continue;
        const std::string text = contents_of(entry.path());
        EXPECT_EQ(plain(text).value_or("another form"), by_yaml_cpp(text)) << entry.path();
        ++nb_files;
    }
    EXPECT_GE(nb_files, 5U);
}

TEST(PlainReader, LeavesOtherFormsToYamlCpp) {
    for (const char* const text : {"",
                                   "# c\n",
                                   "a\n",
                                   "a:\n",
                                   "a: ~\n",
                                   "- \n",
                                   "a: &b c\n",
                                   "a: *b\n",
                                   "a: !c d\n",
                                   "a: |\n  b\n",
                                   "a: b\n  c\n",
                                   "a: \"b\n  c\"\n",
                                   "a: 'b''c'\n",
                                   "a: \"\\x41\"\n",
                                   "? a\n",
                                   "a: [b,\n  c]\n",
                                   "a: {b}\n",
                                   "a: [b: c]\n",
                                   "a: [b, ]\n",
                                   "---\na: b\n",
                                   "a: b\n...\n",
                                   "%YAML 1.2\n",
                                   "a: b: c\n",
                                   "a: b:\n",
                                   "a:\tb\n",
                                   "a: b\r\n",
                                   "\"a\": b\n",
                                   "a b: c\n",
                                   "a: b\n c: d\n",
                                   "  a: b\nc: d\n",
                                   "a: -b\n",
                                   "a: - b\n",
                                   "- a\nb: c\n",
                                   "a: b\n- c\n",
                                   "a:\n  - b\n c\n",
                                   "a: [b]c\n",
                                   "a: null\n",
                                   "a: [null]\n",
                                   "a: [b] #c\nd: [e]#f\n",
                                   "a: \"b\"#c\n",
                                   "null: a\n"})
        EXPECT_EQ(plain(text), std::nullopt) << text;
}

// Edits of good files, most of which spoil something.
TEST(PlainReader, AgreesWithYamlCppOnAllThatItTakes) {
    const std::vector<std::string> files = samples();
    constexpr std::string_view kInserted[] = {
        " ", "  ", "\n", "-",  "- ", ":", ": ", "#",    " #",       ",",  "[",
        "]", "{",  "}",  "\"", "'",  "a", "~",  "?",    "&",        "*",  "!",
        "|", ">",  "%",  "@",  "/",  ".", "\\", "\n- ", "\na: b\n", "--", "\xc3\xa4"};
    std::mt19937 random{1};
    size_t nb_taken = 0;
    for (unsigned round = 0; round < 20'000; ++round) {
        std::string text = files[random() % files.size()];
        for (size_t edits = 1 + random() % 3; edits > 0; --edits) {
            const size_t at = random() % (text.size() + 1);
            if (random() % 2 == 0)
                text.insert(at, kInserted[random() % std::size(kInserted)]);
            else
                text.erase(at, 1 + random() % 3);
        }
        const auto events = plain(text);
        nb_taken += events ? 1U : 0U;
        if (events) {
            ASSERT_EQ(*events, by_yaml_cpp(text)) << text;
        }
    }
    EXPECT_GT(nb_taken, 2'000U);
}

TEST(PlainReader, StopsWhenTheHandlerHasEnough) {
    Recorder recorder;
    unsigned nb_asked = 0;
    EXPECT_TRUE(read_plain("a: [b, c]\nd: e\n", recorder, [&] { return ++nb_asked > 3; }));
    EXPECT_EQ(recorder.events.find(" d"), std::string::npos) << recorder.events;
}

}  // namespace
}  // namespace meshgate::config

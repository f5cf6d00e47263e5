// SPDX-License-Identifier: Apache-2.0
#include "config/text/tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <istream>
#include <streambuf>
#include <utility>

#include "base/text.h"
#include "config/load.h"
#include "config/text/plain_reader.h"
#include "config/text/syntax_help.h"

namespace meshgate::config {
namespace {

constexpr size_t kMaxLineBytes = 8192;    // of a YAML file
constexpr size_t kMaxScalarBytes = 4096;  // one value
constexpr size_t kMaxKeys = 64;           // in one group; the largest that is known has 8

// A stream that can be made to end: the one way to stop yaml-cpp early without an exception. It
// also ends by itself when yaml-cpp reads on and on and reports nothing: it is slowest (0.2 us per
// byte) inside of scalars over many lines, which a box file never has.
class Source : public std::streambuf {
public:
    explicit Source(std::string_view text) : text_{text} {}

    void end() noexcept {
        given_ = text_.size();
        setg(nullptr, nullptr, nullptr);
    }
    void note_event() noexcept { event_at_ = given_; }
    bool starved() const noexcept { return starved_; }

protected:
    int_type underflow() override {
        starved_ = starved_ || given_ - event_at_ > kMaxSilentBytes;
        if (starved_ || given_ >= text_.size())
            return traits_type::eof();
        const size_t len = std::min(kChunkLen, text_.size() - given_);
        text_.copy(chunk_.data(), len, given_);
        given_ += len;
        setg(chunk_.data(), chunk_.data(), chunk_.data() + len);
        return traits_type::to_int_type(chunk_[0]);
    }

private:
    static constexpr size_t kChunkLen = 2048;
    static constexpr size_t kMaxSilentBytes = size_t{128} << 10;  // room for long comments

    std::string_view text_;
    std::array<char, kChunkLen> chunk_{};
    size_t given_ = 0;
    size_t event_at_ = 0;
    bool starved_ = false;
};

Place place_of(const YAML::Mark& mark) {
    if (mark.line < 0 || mark.column < 0)
        return Place{};
    return Place{.line = static_cast<unsigned>(mark.line) + 1,
                 .column = static_cast<unsigned>(mark.column) + 1,
                 .length = 1};
}

// As it stands in the file, quotes included; 0 when it does not end in its line.
unsigned length_in_source(std::string_view rest, std::string_view text) {
    const char quote = rest.empty() ? '\0' : rest[0];
    if (quote != '"' && quote != '\'')
        return rest.starts_with(text) ? static_cast<unsigned>(text.size()) : 0;
    for (size_t i = 1; i < rest.size(); ++i) {
        const bool doubled = quote == '\'' && rest.substr(i).starts_with("''");
        if (doubled || (quote == '"' && rest[i] == '\\'))
            ++i;
        else if (rest[i] == quote)
            return static_cast<unsigned>(i) + 1;
    }
    return 0;
}

// Turns events into nodes, and stops at what has no place in a box file.
class Builder : public YAML::EventHandler {
public:
    Builder(Source& source, Report& report) : source_{source}, report_{report} {}

    std::optional<YamlNode> take() { return std::exchange(root_, std::nullopt); }
    bool stopped() const noexcept { return stopped_; }
    // Of the last value that was seen.
    const Place& last_place() const noexcept { return last_place_; }
    // The innermost [ or { that waits for its end.
    std::optional<Place> open_flow() const {
        const bool flow = !open_.empty() && open_.back().flow;
        return flow ? std::optional{open_.back().node.place} : std::nullopt;
    }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (nb_documents_++ == 0)
            return;
        refuse("many-documents", place_of(mark), "a second document begins here").fix =
            "keep one document: remove this line (---) and what follows, or join them";
        stop();
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
        add(YamlNode{.kind = NodeKind::null, .place = place_of(mark), .text = {}, .children = {}});
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        refuse("no-anchors", place_of(mark), no_place("an alias (*name)")).fix =
            "write the value itself";
        OnNull(mark, 0);
    }
    void OnAnchor(const YAML::Mark& mark, const std::string&) override {
        refuse("no-anchors", place_of(mark), no_place("an anchor (&name)")).fix =
            "write the value out wherever it is needed";
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  const std::string& value) override {
        const Place place = place_of(mark);
        if (!check_length(place, value))
            return;
        check_tag(place, tag);
        check_characters(place, value);
        add(YamlNode{.kind = NodeKind::scalar,
                     .quoted = tag == "!",
                     .place = place,
                     .text = value,
                     .children = {}});
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                         YAML::EmitterStyle::value style) override {
        open(NodeKind::list, mark, tag, style);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                    YAML::EmitterStyle::value style) override {
        open(NodeKind::map, mark, tag, style);
    }
    void OnMapEnd() override { close(); }

private:
    struct Open {
        YamlNode node;
        bool flow;  // in brackets or braces
    };

    Diagnostic& refuse(std::string_view code, Place place, std::string message) {
        Diagnostic& diagnostic = report_.error(code, place, "", std::move(message));
        if (report_.full())
            stop();
        return diagnostic;
    }

    std::string no_place(const std::string& what) const {
        return what + " has no place in " + std::string{report_.kind().noun};
    }

    void stop() {
        stopped_ = true;
        source_.end();
    }

    void check_tag(const Place& place, const std::string& tag) {
        if (!tag.empty() && tag != "?" && tag != "!")
            refuse("no-tags", place, no_place("a tag (!word)")).fix =
                "remove the tag: each key has one type";
    }

    bool check_length(const Place& place, const std::string& value) {
        if (value.size() <= kMaxScalarBytes)
            return true;
        refuse("too-large", place,
               "a text of " + std::to_string(value.size()) + " bytes; " +
                   std::to_string(kMaxScalarBytes) + " are allowed")
            .fix = "look for a missing quote or a missing key above";
        stop();
        return false;
    }

    // Escapes in double quotes can make what the file itself must not hold.
    void check_characters(const Place& place, const std::string& value) {
        for (size_t at = 0; at < value.size(); ++at) {
            const size_t harmful = find_unprintable(std::string_view{value}.substr(at));
            if (harmful == std::string::npos)
                return;
            at += harmful;
            if (value[at] == '\n')  // a block scalar; its type is refused where it is read
                continue;
            refuse("bad-character", place,
                   "this text holds a control character or one that turns text around")
                .fix = "remove the escape sequence";
            return;
        }
    }

    bool count_node(const Place& place) {
        if (stopped_)
            return false;
        source_.note_event();
        last_place_ = place;
        const FileKind& kind = report_.kind();
        if (++nb_nodes_ <= kind.max_nodes)
            return true;
        refuse("too-large", place, "more than " + std::to_string(kind.max_nodes) + " values").fix =
            kind.too_many_nodes;
        stop();
        return false;
    }

    void open(NodeKind kind, const YAML::Mark& mark, const std::string& tag,
              YAML::EmitterStyle::value style) {
        const Place place = place_of(mark);
        check_tag(place, tag);
        if (!count_node(place))
            return;
        if (open_.size() >= kMaxDepth) {
            refuse("too-deep", place, "nested deeper than " + std::to_string(kMaxDepth) + " levels")
                .fix = std::string{report_.kind().noun} +
                       " needs 4 levels at most: look for brackets left open above";
            stop();
            return;
        }
        open_.push_back(Open{.node = {.kind = kind, .place = place, .text = {}, .children = {}},
                             .flow = style == YAML::EmitterStyle::Flow});
    }

    void close() {
        if (stopped_ || open_.empty())
            return;
        YamlNode done = std::move(open_.back().node);
        open_.pop_back();
        place_in_parent(std::move(done));
    }

    void add(YamlNode node) {
        if (count_node(node.place))
            place_in_parent(std::move(node));
    }

    void place_in_parent(YamlNode node) {
        if (open_.empty()) {
            root_ = std::move(node);
            return;
        }
        YamlNode& parent = open_.back().node;
        if (parent.kind == NodeKind::map && parent.children.size() >= 2 * kMaxKeys) {
            refuse("too-large", node.place,
                   "more than " + std::to_string(kMaxKeys) + " keys in one group")
                .fix = "look for a missing dash or a wrong indentation above";
            stop();
            return;
        }
        parent.children.push_back(std::move(node));
    }

    Source& source_;
    Report& report_;
    std::vector<Open> open_;
    std::optional<YamlNode> root_;
    size_t nb_nodes_ = 0;
    unsigned nb_documents_ = 0;
    Place last_place_{.line = 1, .column = 1};
    bool stopped_ = false;
};

void check_line(Report& report, std::string_view line, unsigned number) {
    if (line.size() > kMaxLineBytes) {
        report
            .error("line-too-long", Place{.line = number, .column = 1}, "",
                   "this line has " + std::to_string(line.size()) + " bytes; " +
                       std::to_string(kMaxLineBytes) + " are allowed")
            .fix = "write lists with one entry in a line";
        return;
    }
    for (size_t at = 0; at < line.size(); ++at) {
        const size_t harmful = find_unprintable(line.substr(at));
        if (harmful == std::string_view::npos)
            return;
        at += harmful;
        if (line[at] == '\t' || (line[at] == '\r' && at + 1 == line.size()))
            continue;
        const Place place{.line = number, .column = static_cast<unsigned>(at) + 1};
        report
            .error("bad-character", place, "",
                   "a control character, one that turns text around, or a byte that is not UTF-8")
            .fix = "remove it; save the file as UTF-8 text";
        return;
    }
}

// What no file may hold, whatever YAML says. Cheap, so that yaml-cpp never sees the worst.
void check_text(Report& report) {
    std::string_view rest = report.text();
    const FileKind& kind = report.kind();
    if (rest.size() > kind.max_bytes) {
        const std::string most = std::to_string(kind.max_bytes >> 20) + " MiB";
        report.error("too-large", Place{}, "", "more than " + most).fix =
            std::string{kind.noun} + " has " + most + " at most; is this the right file?";
        return;
    }
    if (rest.starts_with("\xef\xbb\xbf") || rest.starts_with("\xff\xfe") ||
        rest.starts_with("\xfe\xff")) {
        report.error("encoding", Place{.line = 1, .column = 1}, "", "a byte order mark").fix =
            "save the file as UTF-8 without a byte order mark";
        return;
    }
    for (unsigned number = 1; !rest.empty() && !report.full(); ++number) {
        const size_t end = rest.find('\n');
        check_line(report, rest.substr(0, end), number);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
}

SyntaxError syntax_error(const Builder& builder, const YAML::Exception& error) {
    Place place = place_of(error.mark);
    if (place.line == 0)
        place = Place{.line = 1, .column = 1};
    return SyntaxError{place, error.msg, builder.open_flow()};
}

void refuse_silence(Report& report, const Place& place) {
    report.error("too-large", place, "", "more than 128 KiB without one key or value from here on")
        .fix = "shorten the comment or the text here; look for a missing quote";
}

// Empty: yaml-cpp is to read it. Else what is wrong stands in the report.
std::optional<YamlNode> read_plain_form(Report& report) {
    Source source{report.text()};
    Builder builder{source, report};
    const bool taken = read_plain(report.text(), builder, [&builder] { return builder.stopped(); });
    return taken ? builder.take() : std::nullopt;
}

// The one place where yaml-cpp runs, and so the one that catches what it throws.
std::optional<YamlNode> run_parser(Report& report) {
    Source source{report.text()};
    Builder builder{source, report};
    try {
        std::istream stream{&source};
        YAML::Parser parser{stream};
        while (!builder.stopped() && !source.starved() && parser.HandleNextDocument(builder)) {
        }
    } catch (const YAML::Exception& error) {
        if (!builder.stopped() && !source.starved())
            explain_syntax(report, syntax_error(builder, error));
    } catch (const std::exception& error) {
        report.error("syntax", Place{}, "", std::string{"not readable: "} + error.what()).fix =
            "simplify the file";
    }
    if (source.starved() && !report.has_errors())
        refuse_silence(report, builder.last_place());
    return builder.take();
}

// Follows the nodes through the text: they come in the order of the file. Refuses text over several
// lines, which is never meant here, but what a forgotten quote or colon gives.
class Measurer {
public:
    explicit Measurer(Report& report) : report_{report}, rest_{report.text()} {}

    void measure(YamlNode& node) {
        if (node.kind == NodeKind::scalar && node.place.line >= line_)
            measure_scalar(node);
        for (YamlNode& child : node.children)
            measure(child);  // depth is bounded by kMaxDepth
    }

private:
    void measure_scalar(YamlNode& node) {
        for (; line_ < node.place.line && !rest_.empty(); ++line_)
            rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size() - 1) + 1);
        std::string_view line = rest_.substr(0, rest_.find('\n'));
        if (line.ends_with('\r'))
            line.remove_suffix(1);
        const size_t at = std::min<size_t>(node.place.column - 1, line.size());
        node.place.length = length_in_source(line.substr(at), node.text);
        if (node.place.length > 0 || node.text.empty() || report_.full())
            return;
        node.place.length = static_cast<unsigned>(line.size() - at);
        const bool in_quotes =
            line.substr(at).starts_with('"') || line.substr(at).starts_with('\'');
        report_
            .error("syntax", node.place, "",
                   in_quotes ? "the quote that opens here is not closed in this line"
                             : "the text that begins here goes on in the next line")
            .fix = in_quotes ? "close it where the value ends"
                             : "one value has one line: check colon and indentation of the next";
    }

    Report& report_;
    std::string_view rest_;
    unsigned line_ = 1;
};

}  // namespace

const YamlNode* YamlNode::find_key(std::string_view key) const noexcept {
    if (kind != NodeKind::map)
        return nullptr;
    for (size_t i = 0; i + 1 < children.size(); i += 2)
        if (children[i].kind == NodeKind::scalar && children[i].text == key)
            return &children[i];
    return nullptr;
}

const YamlNode* YamlNode::find(std::string_view key) const noexcept {
    const YamlNode* found = find_key(key);
    return found == nullptr ? nullptr : found + 1;
}

std::optional<YamlNode> parse_tree(Report& report) {
    check_text(report);
    if (report.has_errors())
        return std::nullopt;
    std::optional<YamlNode> root = read_plain_form(report);
    if (!root && !report.has_errors())
        root = run_parser(report);
    if (report.has_errors())
        return std::nullopt;
    if (!root)
        root.emplace(YamlNode{.kind = NodeKind::null, .place = {1, 1}, .text = {}, .children = {}});
    Measurer{report}.measure(*root);
    return report.has_errors() ? std::nullopt : std::move(root);
}

}  // namespace meshgate::config

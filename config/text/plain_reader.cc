// SPDX-License-Identifier: Apache-2.0
#include "config/text/plain_reader.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/mark.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace meshgate::config {
namespace {

constexpr std::string_view kBlanks = " ";

bool is_word(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Of a value without quotes; keys in base64 begin with any of them.
bool begins_text(char c) noexcept {
    return is_word(c) || c == '/' || c == '.' || c == '+';
}

// Characters that mean nothing to YAML wherever they stand in a word of a list in brackets. A colon
// is one where more of the word follows.
bool is_flow_text(char c) noexcept {
    return is_word(c) || std::string_view{"./+=@-"}.find(c) != std::string_view::npos;
}

// What YAML takes for "no value".
bool is_null(std::string_view text) noexcept {
    constexpr std::array<std::string_view, 5> kNulls{"", "~", "null", "Null", "NULL"};
    return std::ranges::find(kNulls, text) != kNulls.end();
}

class PlainReader {
public:
    PlainReader(std::string_view text, YAML::EventHandler& handler,
                const std::function<bool()>& stopped)
        : rest_{text}, handler_{handler}, stopped_{stopped} {}

    bool read() {
        for (; !rest_.empty(); ++line_number_) {
            const size_t end = std::min(rest_.find('\n'), rest_.size());
            line_ = rest_.substr(0, end);
            rest_.remove_prefix(std::min(end + 1, rest_.size()));
            at_ = 0;
            skip_blanks();
            if (at_end())
                continue;
            if (!read_line())
                return stopped_();
        }
        while (!open_.empty()) {
            if (!close())
                return false;
        }
        return any_;
    }

private:
    struct Block {
        bool list;
        size_t column;      // of its dashes or keys
        bool open = false;  // the last dash or key has no value yet
    };

    YAML::Mark mark(size_t column) const {
        YAML::Mark mark;
        mark.line = line_number_;
        mark.column = static_cast<int>(column);
        return mark;
    }
    char now() const noexcept { return at_ < line_.size() ? line_[at_] : '\0'; }
    char next() const noexcept { return at_ + 1 < line_.size() ? line_[at_ + 1] : '\0'; }
    bool separates(char c) const noexcept { return c == ' ' || c == '\0'; }

    void skip_blanks() noexcept {
        at_ = std::min(line_.find_first_not_of(kBlanks, at_), line_.size());
    }
    // Nothing but a comment follows. Asked at the start of a line or behind blanks.
    bool at_end() const noexcept { return at_ == line_.size() || line_[at_] == '#'; }
    // The value that ends here is the last of its line.
    bool ends_line() noexcept {
        const size_t before = at_;
        skip_blanks();
        return at_ == line_.size() || (line_[at_] == '#' && at_ > before);
    }

    // At the first character that is not blank.
    bool read_line() {
        if (line_.starts_with("---") || line_.starts_with("...") || line_.starts_with('%'))
            return false;
        while (!open_.empty() && open_.back().column > at_) {
            if (!close())
                return false;
        }
        for (bool first = true;; first = false) {
            const bool dash = now() == '-' && separates(next());
            const size_t key_len = dash ? 0 : length_of_key();
            if (!dash && key_len == 0)
                return !first && read_value(open_.back());
            if (!enter(dash, at_, first))
                return false;
            if (!dash)
                scalar("?", at_, line_.substr(at_, key_len));
            at_ += dash ? 1 : key_len + 1;
            skip_blanks();
            if (at_end())
                return !stopped_();
            if (!dash)
                return read_value(open_.back());
        }
    }

    // Of a key with its colon ahead, without the colon; 0 where there is none.
    size_t length_of_key() const noexcept {
        size_t end = at_;
        while (end < line_.size() && (is_word(line_[end]) || (line_[end] == '-' && end > at_)))
            ++end;
        const bool key = end > at_ && end < line_.size() && line_[end] == ':' &&
                         (end + 1 == line_.size() || line_[end + 1] == ' ');
        return key && !is_null(line_.substr(at_, end - at_)) ? end - at_ : 0;
    }

    // A dash or a key at this column: another one of the innermost block, or the first of a new
    // block, which is the value of what is open. `first`: it stands first in its line.
    bool enter(bool dash, size_t column, bool first) {
        const auto innermost = [&]() -> Block* { return open_.empty() ? nullptr : &open_.back(); };
        Block* block = innermost();
        // A list may stand below its key without indentation.
        if (block != nullptr && first && !dash && block->list && block->column == column) {
            if (!close())
                return false;
            block = innermost();
        }
        const bool same = block != nullptr && first && block->column == column;
        if (same && block->list == dash) {
            const bool complete = !block->open;
            block->open = true;
            return complete;
        }
        const bool below =
            block == nullptr ? !any_ : block->open && (!same || (dash && !block->list));
        if (!below)
            return false;
        if (block != nullptr)
            block->open = false;
        any_ = true;
        start(dash, column, YAML::EmitterStyle::Block);
        open_.push_back({.list = dash, .column = column, .open = true});
        return !stopped_();
    }

    bool close() {
        const Block block = open_.back();
        open_.pop_back();
        end(block.list);
        return !block.open;
    }

    // The value of what is open in this block, up to the end of the line.
    bool read_value(Block& block) {
        block.open = false;
        if (now() == '[' || now() == '{')
            return read_flow() && ends_line();
        if (now() == '"' || now() == '\'')
            return read_quoted() && ends_line();
        return read_plain_to_end();
    }

    bool read_plain_to_end() {
        if (!begins_text(now()))
            return false;
        const size_t begin = at_;
        std::string_view text = line_.substr(begin);
        text = text.substr(0, text.find(" #"));
        text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
        if (text.find(": ") != std::string_view::npos || text.ends_with(':') || is_null(text) ||
            text.find('\t') != std::string_view::npos || text.ends_with('\r'))
            return false;
        scalar("?", begin, text);
        return !stopped_();
    }

    bool read_quoted() {
        const size_t begin = at_;
        const size_t end = line_.find(now(), begin + 1);
        if (end == std::string_view::npos)
            return false;
        const std::string_view text = line_.substr(begin + 1, end - begin - 1);
        at_ = end + 1;
        // Escapes, among them the doubled quote.
        if (now() == line_[begin] || text.find_first_of("\\\t\r") != std::string_view::npos)
            return false;
        scalar("!", begin, text);
        return !stopped_();
    }

    // Bounded in depth by the handler, which stops.
    bool read_flow() {  // NOLINT(misc-no-recursion)
        const bool list = now() == '[';
        const char closing = list ? ']' : '}';
        start(list, at_, YAML::EmitterStyle::Flow);
        if (stopped_())
            return false;
        ++at_;
        skip_blanks();
        while (now() != closing) {
            if (!list && !read_flow_key())
                return false;
            if (!read_flow_value())
                return false;
            skip_blanks();
            if (now() == closing)
                break;
            if (now() != ',')
                return false;
            ++at_;
            skip_blanks();
            if (now() == closing)
                return false;
        }
        ++at_;
        end(list);
        return true;
    }

    bool read_flow_key() {
        const size_t len = length_of_key();
        if (len == 0)
            return false;
        scalar("?", at_, line_.substr(at_, len));
        at_ += len + 1;
        skip_blanks();
        return true;
    }

    bool read_flow_value() {  // NOLINT(misc-no-recursion)
        if (now() == '[' || now() == '{')
            return read_flow();
        if (now() == '"' || now() == '\'')
            return read_quoted();
        const size_t begin = at_;
        if (!begins_text(now()))
            return false;
        while (is_flow_text(now()) || (now() == ':' && (is_flow_text(next()) || next() == ':')))
            ++at_;
        const std::string_view text = line_.substr(begin, at_ - begin);
        skip_blanks();
        if (is_null(text) || text.ends_with(':') || (now() != ',' && now() != ']' && now() != '}'))
            return false;
        scalar("?", begin, text);
        return !stopped_();
    }

    void scalar(const char* tag, size_t column, std::string_view text) {
        handler_.OnScalar(mark(column), tag, 0, std::string{text});
    }
    void start(bool list, size_t column, YAML::EmitterStyle::value style) {
        if (list)
            handler_.OnSequenceStart(mark(column), "?", 0, style);
        else
            handler_.OnMapStart(mark(column), "?", 0, style);
    }
    void end(bool list) {
        if (list)
            handler_.OnSequenceEnd();
        else
            handler_.OnMapEnd();
    }

    std::string_view rest_;
    YAML::EventHandler& handler_;
    const std::function<bool()>& stopped_;
    std::string_view line_;
    size_t at_ = 0;
    int line_number_ = 0;
    std::vector<Block> open_;
    bool any_ = false;
};

}  // namespace

bool read_plain(std::string_view text, YAML::EventHandler& handler,
                const std::function<bool()>& stopped) {
    return PlainReader{text, handler, stopped}.read();
}

}  // namespace meshgate::config

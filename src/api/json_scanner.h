#pragma once

#include <string>
#include <string_view>

namespace gantry::api {

// Walks over the tokens of a JSON text, which must be valid UTF-8. A function that gives false has
// put the reason, worded as Go's decoder words it, into error(); the scanner is of no use after
// that. Nothing is read past the end; nesting is bounded by kMaxDepth. Internal to the JSON codec.
// Threading: one thread.
class JsonScanner {
 public:
  static constexpr int kMaxDepth = 1000;

  explicit JsonScanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  const std::string& error() const { return error_; }
  const char* at() const { return at_; }

  // The next byte that is no white space; '\0' at the end.
  char Peek() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r'))
      ++at_;
    return at_ == end_ ? '\0' : *at_;
  }
  // Steps over the byte that Peek() gave.
  void Take() { ++at_; }

  // Steps over `"name" :`. The view is valid until the next call of Key or String.
  bool Key(std::string_view* name);
  // Peek() gave '"'. The view points into the text, or into a buffer that the next call of Key or
  // String overwrites.
  bool String(std::string_view* value);
  // Peek() gave the first byte of a number.
  bool Number(std::string_view* text);
  // "true", "false", "null".
  bool Literal(std::string_view word);
  // Steps over one value of any kind.
  bool Skip(int depth);
  // After a member or an item: takes ',' (true in *more) or `close`.
  bool Next(char close, bool* more);
  // Nothing but white space is left.
  bool End();

  bool Fail(std::string_view context);  // `invalid character 'x' <context>`, or the unexpected end
  bool TooDeep() {
    error_ = "exceeded max depth";
    return false;
  }

 private:
  bool StringSlow(const char* start, std::string_view* value);
  bool Escape();
  bool Hex4(uint32_t* value);

  const char* at_;
  const char* end_;
  std::string buffer_;
  std::string error_;
};

inline bool StartsNumber(char c) { return c == '-' || (c >= '0' && c <= '9'); }

}  // namespace gantry::api

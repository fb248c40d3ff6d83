#pragma once

#include <string>
#include <string_view>

#include "api/json_text.h"  // AppendJsonString

namespace gantry::api {

// Text in double quotes as Go's %q writes it: what error messages show.
std::string GoQuote(std::string_view text);

// Appends a number as Go's JSON encoder writes a float64.
void AppendJsonDouble(double value, std::string* out);

// The length of the UTF-8 sequence at the beginning of `text` and its code point; length 0 where it
// is not valid.
struct Utf8Rune {
  int length = 0;
  char32_t rune = 0;
};
Utf8Rune DecodeUtf8(std::string_view text);
void AppendUtf8(char32_t rune, std::string* out);

}  // namespace gantry::api

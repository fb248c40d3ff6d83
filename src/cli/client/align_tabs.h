#pragma once

#include <string>
#include <string_view>

namespace gantry::cli {

// Text whose lines are cells with tabs between them, in columns: a column reaches over the lines
// that follow each other and have a tab behind that cell, and is as wide as its widest cell and
// `padding` spaces. What `describe` prints is laid out this way.
std::string AlignTabs(std::string_view text, size_t padding = 2);

// Characters, not bytes.
size_t TextWidth(std::string_view text);

}  // namespace gantry::cli

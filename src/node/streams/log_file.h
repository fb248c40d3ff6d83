#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/env/time.h"

namespace gantry::node {

// One line of a log in the CRI format: "2024-05-01T12:00:00.123456789+00:00 stdout F text".
struct LogLine {
  std::string_view time, stream, text;
  bool partial = false;  // the next line goes on with it
};
// Without its newline. nullopt for what is not of this form.
std::optional<LogLine> ParseLogLine(std::string_view line);
std::optional<WallTime> ParseLogTime(std::string_view time);

// The offset at which the last `lines` lines begin.
int64_t TailOffset(int fd, int64_t lines);

// The last words of a log as plain text, at most so many lines and bytes. Blocks.
std::string TailLogText(const std::string& path, int lines, size_t bytes);

// Renames a log of more than 10 MiB to path.<time> and compresses nothing; keeps five in all. True
// when it was renamed: the writer must open it anew.
bool RotateLogIfLarge(const std::string& path);

}  // namespace gantry::node

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

// How much of a container's output is kept.
struct LogLimits {
  int64_t max_bytes = 10 << 20;  // of one file
  int max_files = 5;             // the present one included
};

// Renames a log that has reached its limit to path.<time> and removes the oldest ones. True when it
// was renamed: the writer must open it anew.
bool RotateLogIfLarge(const std::string& path, const LogLimits& limits);

// The paths of a log's earlier files, the oldest first.
std::vector<std::string> RotatedLogs(const std::string& path);

}  // namespace gantry::node

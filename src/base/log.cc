#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <ctime>

namespace gantry::log {
namespace {

std::atomic<Level> threshold{Level::kInfo};

constexpr std::string_view kNames[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};

std::string Quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

Field::Field(std::string_view key, std::string_view value) : key(key), text(Quote(value)) {}
Field::Field(std::string_view key, bool value) : key(key), text(value ? "true" : "false") {}

void SetLevel(Level level) { threshold = level; }
bool Enabled(Level level) { return level >= threshold.load(std::memory_order_relaxed); }

void Write(Level level, std::string_view component, std::string_view message, Fields fields) {
  if (!Enabled(level)) return;
  // A line's time is for the reader alone and decides nothing, so it does not come from Env.
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  char stamp[40];
  size_t length = std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
  length += std::snprintf(stamp + length, sizeof stamp - length, ".%03ldZ ", now.tv_nsec / 1000000);
  std::string line(stamp, length);
  line += kNames[static_cast<size_t>(level)];
  line += ' ';
  line += component;
  line += ": ";
  line += message;
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += field.text;
  }
  line += '\n';
  // A full or closed standard error must not stop the program.
  [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace gantry::log

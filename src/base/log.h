#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace gantry::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// One `key="value"` of a line. Numbers and booleans are written bare.
struct Field {
  Field(std::string_view key, std::string_view value);
  Field(std::string_view key, const char* value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, const std::string& value) : Field(key, std::string_view(value)) {}
  Field(std::string_view key, bool value);
  template <class N>
    requires(std::is_arithmetic_v<N> && !std::is_same_v<N, bool>)
  Field(std::string_view key, N value) : key(key), text(std::to_string(value)) {}

  std::string_view key;
  std::string text;  // as written, quoted where it is a string
};
using Fields = std::initializer_list<Field>;

// Lines below this level are dropped. Default kInfo. Any thread.
void SetLevel(Level level);
bool Enabled(Level level);

// One line on standard error, written in one call:
//   2026-01-02T03:04:05.678Z INFO  node: container started pod="default/a" container="web"
// `component` is the room or part. Never pass secrets: nothing is masked. Any thread.
void Write(Level level, std::string_view component, std::string_view message, Fields fields);

inline void Debug(std::string_view component, std::string_view message, Fields fields = {}) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, component, message, fields);
}
inline void Info(std::string_view component, std::string_view message, Fields fields = {}) {
  Write(Level::kInfo, component, message, fields);
}
inline void Warning(std::string_view component, std::string_view message, Fields fields = {}) {
  Write(Level::kWarning, component, message, fields);
}
inline void Error(std::string_view component, std::string_view message, Fields fields = {}) {
  Write(Level::kError, component, message, fields);
}

}  // namespace gantry::log

#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

const JsonValue* At(const JsonValue& value, std::string_view path) {
  const JsonValue* at = &value;
  while (at != nullptr && !path.empty()) {
    const size_t dot = path.find('.');
    at = at->Find(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return at;
}

std::string TextAt(const JsonValue& value, std::string_view path) {
  const JsonValue* at = At(value, path);
  return at == nullptr ? std::string() : ScalarText(*at);
}

int64_t IntAt(const JsonValue& value, std::string_view path, int64_t fallback) {
  const JsonValue* at = At(value, path);
  return at != nullptr && at->is_int() ? at->as_int() : fallback;
}

bool BoolAt(const JsonValue& value, std::string_view path) {
  const JsonValue* at = At(value, path);
  return at != nullptr && at->is_bool() && at->as_bool();
}

const JsonValue::Array& ItemsAt(const JsonValue& value, std::string_view path) {
  static const JsonValue::Array kNone;
  const JsonValue* at = At(value, path);
  return at != nullptr && at->is_array() ? at->as_array() : kNone;
}

std::string MemberAt(const JsonValue& value, std::string_view path, std::string_view member) {
  const JsonValue* at = At(value, path);
  const JsonValue* found = at == nullptr ? nullptr : at->Find(member);
  return found == nullptr ? std::string() : ScalarText(*found);
}

std::string ScalarText(const JsonValue& value) {
  if (value.is_string()) return value.as_string();
  return value.is_null() ? std::string() : value.ToString();
}

std::vector<std::string> SplitText(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string JoinText(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += separator;
    text += parts[i];
  }
  return text;
}

}  // namespace gantry::cli

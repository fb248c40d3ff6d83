#include "apiserver/query.h"

#include <charconv>

namespace gantry::apiserver {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      int high = HexDigit(text[i + 1]), low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else if (c == '+' && plus_is_space) {
      out.push_back(' ');
    } else {
      out.push_back(c);
    }
  }
  return out;
}

Query Query::Parse(std::string_view text) {
  Query query;
  while (!text.empty()) {
    size_t end = text.find('&');
    std::string_view part = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (part.empty() || part.find(';') != std::string_view::npos) continue;
    size_t equals = part.find('=');
    std::optional<std::string> name = PercentDecode(part.substr(0, equals), true);
    std::optional<std::string> value = equals == std::string_view::npos
                                           ? std::string()
                                           : PercentDecode(part.substr(equals + 1), true);
    if (name && value) query.fields_.emplace_back(std::move(*name), std::move(*value));
  }
  return query;
}

std::string_view Query::Get(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (key == name) return value;
  }
  return {};
}

bool Query::Has(std::string_view name) const {
  for (const auto& field : fields_) {
    if (field.first == name) return true;
  }
  return false;
}

std::vector<std::string> Query::All(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : fields_) {
    if (key == name) values.push_back(value);
  }
  return values;
}

bool Query::GetBool(std::string_view name) const { return GetOptionalBool(name).value_or(false); }

std::optional<bool> Query::GetOptionalBool(std::string_view name) const {
  if (!Has(name)) return std::nullopt;
  std::string_view value = Get(name);
  return !(value == "false" || value == "False" || value == "FALSE" || value == "0");
}

Result<std::optional<int64_t>> Query::GetInt(std::string_view name) const {
  std::string_view value = Get(name);
  if (value.empty()) return std::optional<int64_t>();
  int64_t number = 0;
  auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) {
    std::string_view why =
        error == std::errc::result_out_of_range ? "value out of range" : "invalid syntax";
    return BadRequest("strconv.ParseInt: parsing \"" + std::string(value) +
                      "\": " + std::string(why));
  }
  return std::optional<int64_t>(number);
}

}  // namespace gantry::apiserver

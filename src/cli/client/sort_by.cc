#include "cli/client/sort_by.h"

#include <algorithm>

#include "api/quantity.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/jsonpath.h"
#include "cli/client/print_object.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::string_view TakeDigits(std::string_view* text) {
  size_t end = 0;
  while (end < text->size() && IsDigit((*text)[end]))
    ++end;
  const std::string_view digits = text->substr(0, end);
  text->remove_prefix(end);
  return digits;
}

bool Less(const JsonValue& a, const JsonValue& b) {
  if (a.is_null() || b.is_null()) return a.is_null() && !b.is_null();
  if (a.is_number() && b.is_number()) return a.as_double() < b.as_double();
  const std::string left = ScalarText(a), right = ScalarText(b);
  const Result<api::Quantity> x = api::Quantity::Parse(left), y = api::Quantity::Parse(right);
  if (x.ok() && y.ok()) return *x < *y;
  return NaturalLess(left, right);
}

}  // namespace

bool NaturalLess(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (!IsDigit(a.front()) || !IsDigit(b.front())) {
      if (a.front() != b.front()) return a.front() < b.front();
      a.remove_prefix(1);
      b.remove_prefix(1);
      continue;
    }
    std::string_view x = TakeDigits(&a), y = TakeDigits(&b);
    while (x.size() > 1 && x.front() == '0')
      x.remove_prefix(1);
    while (y.size() > 1 && y.front() == '0')
      y.remove_prefix(1);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  return a.size() < b.size();
}

Status SortBy(const std::string& path, const std::string& object_path, JsonValue::Array* items) {
  GANTRY_ASSIGN(const std::string full, FullPath(path));
  Result<JsonPath> parsed = JsonPath::Parse(full);
  if (!parsed.ok()) return LocalError(parsed.status().message());
  std::vector<std::pair<JsonValue, size_t>> keys;
  bool any = items->empty();
  for (size_t i = 0; i < items->size(); ++i) {
    const JsonValue* object = At((*items)[i], object_path);
    JsonValue key;
    if (object != nullptr) {
      const Result<std::vector<const JsonValue*>> found = parsed->Find(*object);
      if (found.ok() && !found->empty()) {
        key = *found->front();
        any = true;
      }
    }
    keys.emplace_back(std::move(key), i);
  }
  if (!any)
    return LocalError("couldn't find any field with path \"" + full + "\" in the list of objects");
  std::stable_sort(keys.begin(), keys.end(),
                   [](const auto& a, const auto& b) { return Less(a.first, b.first); });
  JsonValue::Array sorted;
  for (const auto& [key, index] : keys)
    sorted.push_back(std::move((*items)[index]));
  *items = std::move(sorted);
  return Status::Ok();
}

}  // namespace gantry::cli

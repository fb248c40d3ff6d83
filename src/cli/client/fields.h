#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_value.h"

// Reading objects of which only a few fields matter. A path is "status.phase"; what is not there
// reads as nothing.
namespace gantry::cli {

// Null where there is none.
const api::JsonValue* At(const api::JsonValue& value, std::string_view path);
std::string TextAt(const api::JsonValue& value, std::string_view path);
int64_t IntAt(const api::JsonValue& value, std::string_view path, int64_t fallback = 0);
bool BoolAt(const api::JsonValue& value, std::string_view path);
// The items of a list; empty where there is none.
const api::JsonValue::Array& ItemsAt(const api::JsonValue& value, std::string_view path);
// A member whose name holds dots: an annotation, a label.
std::string MemberAt(const api::JsonValue& value, std::string_view path, std::string_view member);

// A scalar as text: strings as they are, numbers and booleans as JSON writes them, "" for null.
std::string ScalarText(const api::JsonValue& value);

std::vector<std::string> SplitText(std::string_view text, char separator);
std::string JoinText(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace gantry::cli

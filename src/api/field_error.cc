#include "api/field_error.h"

#include <algorithm>
#include <array>

#include "api/kinds.h"
#include "api/quote.h"

namespace gantry::api {
namespace {

struct TypeText {
  std::string_view reason;
  std::string_view text;
};
// In the order of FieldError::Type.
constexpr std::array<TypeText, 10> kTypeTexts = {{
    {"FieldValueRequired", "Required value"},
    {"FieldValueInvalid", "Invalid value"},
    {"FieldValueNotSupported", "Unsupported value"},
    {"FieldValueForbidden", "Forbidden"},
    {"FieldValueDuplicate", "Duplicate value"},
    {"FieldValueTooLong", "Too long"},
    {"FieldValueTooMany", "Too many"},
    {"FieldValueNotFound", "Not found"},
    {"FieldValueTypeInvalid", "Invalid value"},
    {"InternalError", "Internal error"},
}};

}  // namespace

std::string_view CauseReasonOf(FieldError::Type type) {
  return kTypeTexts[static_cast<size_t>(type)].reason;
}

std::string_view TextOf(FieldError::Type type) {
  return kTypeTexts[static_cast<size_t>(type)].text;
}

std::string JoinErrors(const FieldErrors& errors) {
  std::vector<std::string> texts;
  for (const FieldError& error : errors) {
    std::string text = error.field + ": " + error.message;
    if (std::find(texts.begin(), texts.end(), text) == texts.end())
      texts.push_back(std::move(text));
  }
  if (texts.size() == 1) return texts[0];
  std::string joined = "[";
  for (const std::string& text : texts) {
    if (joined.size() > 1) joined += ", ";
    joined += text;
  }
  return joined + "]";
}

Status InvalidObject(const KindInfo& kind, std::string_view name, const FieldErrors& errors) {
  return InvalidObject(kind.group, kind.kind, name, errors);
}

Status InvalidObject(std::string_view group, std::string_view kind, std::string_view name,
                     const FieldErrors& errors) {
  std::string message(kind);
  if (!group.empty()) message.append(".").append(group);
  message.append(" ").append(GoQuote(name)).append(" is invalid");
  if (!errors.empty()) message.append(": ").append(JoinErrors(errors));

  StatusDetails details;
  details.group = group;
  details.kind = kind;
  details.name = name;
  for (const FieldError& error : errors) {
    details.causes.push_back({std::string(CauseReasonOf(error.type)), error.message, error.field});
  }
  return Status(Code::kInvalid, std::move(message), std::move(details));
}

}  // namespace gantry::api

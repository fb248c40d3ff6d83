#pragma once

#include <string>
#include <string_view>

#include "api/schema.h"
#include "base/status.h"

namespace gantry::api {

// The JSON of messages whose form is text or raw (JsonForm::kTime to kRaw). Internal to the JSON
// codec.

// `text` is the string's value. An error is worded as Kubernetes' own decoder of that type words
// it.
Status ReadTextForm(JsonForm form, std::string_view text, google::protobuf::Message* out);

// Appends the message as JSON; null, "0" or 0 where it is unset, as each form has it.
void WriteForm(JsonForm form, const google::protobuf::Message& message, std::string* out);

void SetInt(int32_t value, google::protobuf::Message* int_or_string);
void SetRaw(std::string_view json, google::protobuf::Message* raw);
const std::string& RawOf(const google::protobuf::Message& raw);
// Appends what a raw field holds.
void WriteRaw(std::string_view raw, std::string* out);

// True for a time that is written as null.
bool IsZeroTime(const google::protobuf::Message& time);

// Appends raw JSON without white space, with <, > and & escaped, as Go does when it embeds it.
void AppendCompact(std::string_view json, std::string* out);

}  // namespace gantry::api

#pragma once

#include <google/protobuf/message.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "api/defaults.h"
#include "api/json.h"
#include "api/json_value.h"
#include "api/kinds.h"
#include "api/validation.h"

// For the tests of validation: objects from JSON, errors as text.
namespace gantry::api {

using Texts = std::vector<std::string>;

inline JsonValue ParseJson(std::string_view text) {
  Result<JsonValue> value = JsonValue::Parse(text);
  EXPECT_TRUE(value.ok()) << value.status().message() << "\n" << text;
  return value.ok() ? *value : JsonValue();
}

// A merge patch; an array of the patch replaces the one of the base.
inline JsonValue Merged(JsonValue base, const JsonValue& patch) {
  if (!patch.is_object()) return patch;
  for (const auto& [name, value] : patch.as_object()) {
    if (value.is_null()) {
      base.Erase(name);
    } else {
      JsonValue& member = base[name];
      member = Merged(value.is_object() && !member.is_object() ? JsonValue::MakeObject() : member,
                      value);
    }
  }
  return base;
}

struct Sample {
  const KindInfo* kind;
  std::unique_ptr<google::protobuf::Message> object;
};

inline Sample MakeSample(std::string_view api_version, std::string_view kind,
                         const JsonValue& json) {
  Sample sample{FindKindByApiVersion(api_version, kind), nullptr};
  EXPECT_NE(sample.kind, nullptr) << kind;
  sample.object.reset(sample.kind->prototype->New());
  JsonIssues issues;
  Status status = ReadJson(json.ToString(), sample.object.get(), &issues);
  EXPECT_TRUE(status.ok()) << status.message();
  for (const std::string& issue : issues.messages)
    ADD_FAILURE() << issue;
  SetDefaults(sample.object.get());
  return sample;
}

inline Texts ToTexts(const FieldErrors& errors) {
  Texts texts;
  for (const FieldError& error : errors)
    texts.push_back(error.field + ": " + error.message);
  return texts;
}

// What creating `base` changed by `patch` brings.
inline Texts OnCreate(std::string_view api_version, std::string_view kind, std::string_view base,
                      std::string_view patch = "{}") {
  Sample sample = MakeSample(api_version, kind, Merged(ParseJson(base), ParseJson(patch)));
  return ToTexts(ValidateCreate(*sample.kind, *sample.object));
}

// What updating `base` by `patch` brings.
inline Texts OnUpdate(std::string_view api_version, std::string_view kind, std::string_view base,
                      std::string_view patch) {
  Sample old = MakeSample(api_version, kind, ParseJson(base));
  Sample sample = MakeSample(api_version, kind, Merged(ParseJson(base), ParseJson(patch)));
  return ToTexts(ValidateUpdate(*sample.kind, *sample.object, *old.object));
}

inline Texts OnStatusUpdate(std::string_view api_version, std::string_view kind,
                            std::string_view base, std::string_view patch) {
  Sample old = MakeSample(api_version, kind, ParseJson(base));
  Sample sample = MakeSample(api_version, kind, Merged(ParseJson(base), ParseJson(patch)));
  return ToTexts(ValidateStatusUpdate(*sample.kind, *sample.object, *old.object));
}

}  // namespace gantry::api

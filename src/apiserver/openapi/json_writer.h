#pragma once

#include <string>
#include <string_view>

#include "api/json_text.h"

namespace gantry::apiserver::openapi {

// Writes JSON text; commas come by themselves. Threading: a value.
class JsonWriter {
 public:
  JsonWriter& Object() { return Begin('{'); }
  JsonWriter& EndObject() { return End('}'); }
  JsonWriter& Array() { return Begin('['); }
  JsonWriter& EndArray() { return End(']'); }

  JsonWriter& Key(std::string_view name) {
    Separate();
    api::AppendJsonString(name, &out_);
    out_.push_back(':');
    return *this;
  }
  JsonWriter& Text(std::string_view text) {
    Separate();
    api::AppendJsonString(text, &out_);
    return *this;
  }
  JsonWriter& Bool(bool value) { return Raw(value ? "true" : "false"); }
  // JSON text as it is.
  JsonWriter& Raw(std::string_view json) {
    Separate();
    out_.append(json);
    return *this;
  }
  JsonWriter& Member(std::string_view name, std::string_view text) { return Key(name).Text(text); }
  JsonWriter& MemberIfAny(std::string_view name, std::string_view text) {
    return text.empty() ? *this : Member(name, text);
  }
  template <class Strings>
  JsonWriter& Texts(const Strings& texts) {
    Array();
    for (const auto& text : texts)
      Text(text);
    return EndArray();
  }

  std::string Take() { return std::move(out_); }

 private:
  JsonWriter& Begin(char c) {
    Separate();
    out_.push_back(c);
    return *this;
  }
  JsonWriter& End(char c) {
    out_.push_back(c);
    return *this;
  }
  void Separate() {
    if (out_.empty()) return;
    char last = out_.back();
    if (last != '{' && last != '[' && last != ':') out_.push_back(',');
  }

  std::string out_;
};

}  // namespace gantry::apiserver::openapi

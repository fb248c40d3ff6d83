#include "scheduler/config/field_reader.h"

#include "api/base64.h"

namespace gantry::scheduler {

using api::JsonValue;

void FirstError::Add(const std::string& path, const std::string& what) {
  if (status_.ok()) status_ = Status(Code::kBadRequest, path.empty() ? what : path + ": " + what);
}

FieldReader::FieldReader(const JsonValue* value, std::string path, FirstError* error)
    : value_(value), path_(std::move(path)), error_(error) {
  if (value_ == nullptr || value_->is_null() || value_->is_object()) return;
  error_->Add(path_, "must be an object");
  value_ = nullptr;
}

std::string FieldReader::PathOf(std::string_view name) const {
  return path_.empty() ? std::string(name) : path_ + "." + std::string(name);
}

void FieldReader::Fail(std::string_view name, const std::string& what) {
  error_->Add(name.empty() ? path_ : PathOf(name), what);
}

const JsonValue* FieldReader::Member(std::string_view name) {
  known_.emplace(name);
  const JsonValue* member = value_ == nullptr ? nullptr : value_->Find(name);
  return member == nullptr || member->is_null() ? nullptr : member;
}

bool FieldReader::Has(std::string_view name) const {
  const JsonValue* member = value_ == nullptr ? nullptr : value_->Find(name);
  return member != nullptr && !member->is_null();
}

std::string FieldReader::Text(std::string_view name, std::string fallback) {
  const JsonValue* member = Member(name);
  if (member == nullptr) return fallback;
  if (member->is_string()) return member->as_string();
  Fail(name, "must be a text");
  return fallback;
}

bool FieldReader::Bool(std::string_view name, bool fallback) {
  const JsonValue* member = Member(name);
  if (member == nullptr) return fallback;
  if (member->is_bool()) return member->as_bool();
  Fail(name, "must be true or false");
  return fallback;
}

int64_t FieldReader::Int(std::string_view name, int64_t fallback) {
  const JsonValue* member = Member(name);
  if (member == nullptr) return fallback;
  if (member->is_int()) return member->as_int();
  Fail(name, "must be a whole number");
  return fallback;
}

std::string FieldReader::Data(std::string_view name) {
  std::string data;
  if (api::DecodeBase64(Text(name), &data) < 0) return data;
  Fail(name, "is not base64");
  return {};
}

FieldReader FieldReader::Object(std::string_view name) {
  return FieldReader(Member(name), PathOf(name), error_);
}

void FieldReader::Objects(std::string_view name, const std::function<void(FieldReader&)>& read) {
  const JsonValue* member = Member(name);
  if (member == nullptr) return;
  if (!member->is_array()) return Fail(name, "must be a list");
  for (size_t i = 0; i < member->as_array().size(); ++i) {
    FieldReader element(&member->as_array()[i], PathOf(name) + "[" + std::to_string(i) + "]",
                        error_);
    read(element);
    element.Finish();
  }
}

std::vector<std::string> FieldReader::Texts(std::string_view name) {
  std::vector<std::string> texts;
  const JsonValue* member = Member(name);
  if (member == nullptr) return texts;
  if (!member->is_array()) {
    Fail(name, "must be a list");
    return texts;
  }
  for (const JsonValue& element : member->as_array()) {
    if (!element.is_string()) {
      Fail(name, "must be a list of texts");
      return texts;
    }
    texts.push_back(element.as_string());
  }
  return texts;
}

void FieldReader::Ignore(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    known_.emplace(name);
}

void FieldReader::Finish() {
  if (value_ == nullptr || !value_->is_object()) return;
  for (const auto& [name, member] : value_->as_object()) {
    if (!known_.contains(name)) error_->Add("", "unknown field \"" + PathOf(name) + "\"");
  }
}

}  // namespace gantry::scheduler

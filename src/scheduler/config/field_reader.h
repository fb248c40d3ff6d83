#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"

namespace gantry::scheduler {

// The first thing that was wrong with a document.
class FirstError {
 public:
  void Add(const std::string& path, const std::string& what);
  const Status& status() const { return status_; }

 private:
  Status status_;
};

// Reads the members of a JSON object by name; each call notes that the member is known. What is
// wrong goes to the FirstError, and the fallback is returned. Threading: one at a time.
class FieldReader {
 public:
  // `value` may be null (no members) and outlives the reader, as does `error`. `path` is "" for the
  // document, else ends without a dot.
  FieldReader(const api::JsonValue* value, std::string path, FirstError* error);

  std::string Text(std::string_view name, std::string fallback = {});
  bool Bool(std::string_view name, bool fallback = false);
  int64_t Int(std::string_view name, int64_t fallback = 0);
  // Base64 text, decoded.
  std::string Data(std::string_view name);
  bool Has(std::string_view name) const;
  const api::JsonValue* Member(std::string_view name);
  FieldReader Object(std::string_view name);
  // Calls `read` for each element of a list of objects.
  void Objects(std::string_view name, const std::function<void(FieldReader&)>& read);
  // Calls `read` for each element of a list of texts.
  std::vector<std::string> Texts(std::string_view name);
  void Ignore(std::initializer_list<std::string_view> names);
  // Members that nobody asked for are an error.
  void Finish();

  std::string PathOf(std::string_view name) const;
  void Fail(std::string_view name, const std::string& what);

 private:
  const api::JsonValue* value_;
  std::string path_;
  FirstError* error_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace gantry::scheduler

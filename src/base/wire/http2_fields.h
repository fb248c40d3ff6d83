#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/wire/headers.h"

namespace gantry::wire {

// The header fields of one HTTP/2 message in the form that nghttp2 takes. Keeps views: names and
// values that are added must outlive it. Threading: a value, not copied.
class Http2Fields {
 public:
  // With room for all of `headers` and `more` other fields, so that adding them does not allocate.
  explicit Http2Fields(const Headers& headers, size_t more);
  Http2Fields(const Http2Fields&) = delete;
  Http2Fields& operator=(const Http2Fields&) = delete;

  // `name` in lower case.
  void Add(std::string_view name, std::string_view value);
  // All of `headers`, the names in lower case, but those that say something about a connection of
  // HTTP/1.1 (RFC 9113, 8.2.2) and content-length.
  void AddAll(const Headers& headers);

  const nghttp2_nv* data() const { return fields_.data(); }
  size_t size() const { return fields_.size(); }

 private:
  std::vector<std::string> names_;  // never grows beyond what is reserved: fields_ points into it
  std::vector<nghttp2_nv> fields_;
};

}  // namespace gantry::wire

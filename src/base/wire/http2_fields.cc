#include "base/wire/http2_fields.h"

#include <absl/strings/ascii.h>

#include <algorithm>

namespace gantry::wire {
namespace {

constexpr std::string_view kOfTheConnection[] = {
    "connection",       "content-length",    "host",   "keep-alive",
    "proxy-connection", "transfer-encoding", "upgrade"};

uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
}

}  // namespace

Http2Fields::Http2Fields(const Headers& headers, size_t more) {
  names_.reserve(headers.all().size());
  fields_.reserve(headers.all().size() + more);
}

void Http2Fields::Add(std::string_view name, std::string_view value) {
  fields_.push_back({Bytes(name), Bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
}

void Http2Fields::AddAll(const Headers& headers) {
  for (const auto& [name, value] : headers.all()) {
    std::string lower = absl::AsciiStrToLower(name);
    if (std::find(std::begin(kOfTheConnection), std::end(kOfTheConnection), lower) !=
        std::end(kOfTheConnection))
      continue;
    names_.push_back(std::move(lower));
    Add(names_.back(), value);
  }
}

}  // namespace gantry::wire

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gantry::api {

// Standard base64 with padding, as Go's StdEncoding writes and reads it.
void AppendBase64(std::string_view bytes, std::string* out);

// Line breaks are skipped. The position of the first bad byte, or -1 when all went well.
ptrdiff_t DecodeBase64(std::string_view text, std::string* out);

}  // namespace gantry::api

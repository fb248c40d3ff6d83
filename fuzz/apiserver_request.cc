// Paths, queries and continue tokens as clients send them.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "apiserver/registry/continue_token.h"
#include "apiserver/request_info.h"
#include "apiserver/rest/codec.h"
#include "apiserver/rest/negotiation.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry::apiserver;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t question = text.find('?');
  const Query query =
      Query::Parse(question == std::string_view::npos ? text : text.substr(question + 1));
  (void)ParseRequestInfo("GET", text.substr(0, question), query);
  (void)DecodeContinueToken(text);
  (void)PeekTypeMeta(text);
  Headers headers;
  headers.Set("accept", std::string(text));
  (void)NegotiateOutput(headers, query, true);
  return 0;
}

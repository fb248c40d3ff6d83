#include "apiserver/registry/continue_token.h"

#include <absl/strings/escaping.h>

#include "api/json_value.h"

namespace gantry::apiserver {

std::string EncodeContinueToken(const ContinueToken& token) {
  api::JsonValue json = api::JsonValue::MakeObject();
  json["v"] = "meta.k8s.io/v1";
  json["rv"] = token.revision;
  json["start"] = token.start + std::string(1, '\0');
  std::string text;
  absl::WebSafeBase64Escape(json.ToString(), &text);
  while (!text.empty() && text.back() == '=')
    text.pop_back();
  return text;
}

Result<ContinueToken> DecodeContinueToken(std::string_view text) {
  auto invalid = [](std::string_view why) {
    return BadRequest("continue key is not valid: " + std::string(why));
  };
  std::string decoded;
  if (!absl::WebSafeBase64Unescape(absl::string_view(text.data(), text.size()), &decoded)) {
    return invalid("illegal base64 data");
  }
  Result<api::JsonValue> json = api::JsonValue::Parse(decoded);
  if (!json.ok()) return invalid(json.status().message());
  const api::JsonValue* version = json->Find("v");
  const api::JsonValue* revision = json->Find("rv");
  const api::JsonValue* start = json->Find("start");
  if (version == nullptr || !version->is_string() || version->as_string() != "meta.k8s.io/v1") {
    return invalid("server does not recognize this encoded version");
  }
  if (revision == nullptr || !revision->is_int() || revision->as_int() == 0) {
    return invalid("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  }
  if (start == nullptr || !start->is_string() || start->as_string().empty()) {
    return invalid("encoded start key empty (version meta.k8s.io/v1)");
  }
  ContinueToken token;
  token.revision = revision->as_int();
  token.start = start->as_string();
  if (token.start.back() == '\0') token.start.pop_back();
  if (token.start.find("..") != std::string::npos) return invalid(start->as_string());
  return token;
}

}  // namespace gantry::apiserver

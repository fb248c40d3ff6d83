#include <google/protobuf/message.h>

#include "api/envelope.h"
#include "api/json.h"
#include "api/kinds.h"
#include "apiserver/rest/codec.h"

namespace gantry::apiserver {
namespace {

// The start of a body, for messages: what looks like JSON as it is, all else in hexadecimal.
std::string Summary(std::string_view body) {
  constexpr size_t kMax = 30;
  if (body.empty()) return "<empty>";
  std::string_view start = body.substr(0, kMax);
  std::string text;
  if (body.front() == '{') {
    text = start;
  } else {
    for (unsigned char c : start) {
      text.push_back("0123456789abcdef"[c >> 4]);
      text.push_back("0123456789abcdef"[c & 15]);
    }
  }
  return body.size() > kMax ? text + " ..." : text;
}

Status Unrecognized(const api::KindInfo& kind, std::string_view why, std::string_view body) {
  return BadRequest("the object provided is unrecognized (must be of type " +
                    std::string(kind.kind) + "): " + std::string(why) + " (" + Summary(body) + ")");
}

Status BrokenJson(const api::KindInfo& kind, const std::string& why, std::string_view body) {
  return Unrecognized(kind, "couldn't get version/kind; json parse error: " + why, body);
}

// No JSON at all, as opposed to JSON that does not fit the type.
bool IsSyntaxError(std::string_view message) {
  return message.starts_with("invalid character ") || message == "unexpected end of JSON input" ||
         message.starts_with("exceeded max depth");
}

Status CannotBeHandled(const api::KindInfo& kind, const TypeMeta& found, std::string_view why,
                       std::string* reason) {
  if (reason != nullptr) *reason = why;
  std::string version = found.api_version;
  if (size_t slash = version.find('/'); slash != std::string::npos)
    version = version.substr(slash + 1);
  return BadRequest(found.kind + " in version \"" + version + "\" cannot be handled as a " +
                    std::string(kind.kind) + ": " + std::string(why));
}

Status BrokenYaml(const api::KindInfo& kind, std::string_view why, std::string_view body,
                  std::string* reason) {
  constexpr std::string_view kConverting = "error converting YAML to JSON: ";
  if (why.starts_with(kConverting)) why.remove_prefix(kConverting.size());
  if (why.find("already set in map") == std::string_view::npos)
    return Unrecognized(kind, why, body);
  TypeMeta found;
  found.kind = kind.kind;
  found.api_version = kind.ApiVersion();
  return CannotBeHandled(kind, found, "strict decoding error: " + std::string(why), reason);
}

Status CheckType(const api::KindInfo& kind, TypeMeta* found, std::string* reason) {
  if (found->kind.empty()) found->kind = std::string(kind.kind);
  if (found->api_version.empty()) found->api_version = kind.ApiVersion();
  // The options of a delete are accepted in any group's name, and an eviction in that of the
  // group's beta version, as in Kubernetes.
  if (found->kind == kind.kind &&
      (found->api_version == kind.ApiVersion() || kind.kind == "DeleteOptions" ||
       (kind.kind == "Eviction" && found->api_version == "policy/v1beta1")))
    return {};
  const api::KindInfo* known = api::FindKindByApiVersion(found->api_version, found->kind);
  if (known == nullptr) {
    return CannotBeHandled(kind, *found,
                           "no kind \"" + found->kind + "\" is registered for version \"" +
                               found->api_version +
                               "\" in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
                           reason);
  }
  if (found->api_version != kind.ApiVersion()) {
    return BadRequest("the API version in the data (" + found->api_version +
                      ") does not match the expected API version (" + kind.ApiVersion() + ")");
  }
  std::string package(kind.group.empty() ? "core" : kind.group.substr(0, kind.group.find('.')));
  return CannotBeHandled(kind, *found,
                         "converting (v1." + found->kind + ") to (" + package + "." +
                             std::string(kind.kind) + "): unknown conversion",
                         reason);
}

// A text that leaves out what it is is what the request says.
bool IsNamed(const api::KindInfo& kind, const api::JsonTypeMeta& named) {
  return (named.kind.empty() || named.kind == kind.kind) &&
         (named.api_version.empty() || named.api_version == kind.ApiVersion());
}

}  // namespace

Result<std::unique_ptr<google::protobuf::Message>> DecodeBody(const api::KindInfo& kind,
                                                              Media media, std::string_view body,
                                                              FieldValidation validation,
                                                              std::vector<std::string>* warnings,
                                                              std::string* reason) {
  std::unique_ptr<google::protobuf::Message> message(kind.prototype->New());
  if (media == Media::kProtobuf) {
    GANTRY_ASSIGN(api::Envelope envelope, api::OpenEnvelope(body));
    TypeMeta found;
    found.api_version = std::string(envelope.api_version);
    found.kind = std::string(envelope.kind);
    GANTRY_TRY(CheckType(kind, &found, reason));
    if (Status parsed = api::ParseSealedInput(body, message.get()); !parsed.ok()) {
      return CannotBeHandled(kind, found, parsed.message(), reason);
    }
    return message;
  }

  std::string converted;
  std::string_view json = body;
  if (media == Media::kYaml) {
    Result<std::string> text = JsonOfBody(media, body);
    if (!text.ok()) return BrokenYaml(kind, text.status().message(), body, reason);
    converted = std::move(*text);
    json = converted;
  }
  api::JsonIssues issues;
  api::JsonTypeMeta named;
  Status read = api::ReadJson(json, message.get(),
                              validation == FieldValidation::kIgnore ? nullptr : &issues, &named);
  if (read.ok() && issues.messages.empty() && IsNamed(kind, named)) return message;
  // Of all that may be wrong, the type comes first, also where the text breaks off behind it.
  TypeMeta found = PeekTypeMeta(json);
  GANTRY_TRY(CheckType(kind, &found, reason));
  if (!read.ok()) {
    if (IsSyntaxError(read.message())) return BrokenJson(kind, std::string(read.message()), body);
    const size_t start = json.find_first_not_of(" \t\r\n");
    if (start != std::string_view::npos && json[start] != '{' && json.substr(start, 4) != "null") {
      std::string_view type = json[start] == '['                         ? "array"
                              : json[start] == '"'                       ? "string"
                              : json[start] == 't' || json[start] == 'f' ? "bool"
                                                                         : "number";
      return BrokenJson(kind,
                        "json: cannot unmarshal " + std::string(type) +
                            " into Go value of type struct { APIVersion string "
                            "\"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                            "\"json:\\\"kind,omitempty\\\"\" }",
                        body);
    }
    return CannotBeHandled(kind, found, read.message(), reason);
  }
  if (issues.messages.empty()) return message;
  if (validation == FieldValidation::kStrict) {
    std::string all;
    for (const std::string& issue : issues.messages)
      all += (all.empty() ? "" : ", ") + issue;
    return CannotBeHandled(kind, found, "strict decoding error: " + all, reason);
  }
  for (std::string& issue : issues.messages)
    warnings->push_back(std::move(issue));
  return message;
}

}  // namespace gantry::apiserver

#include "apiserver/rest/negotiation.h"

#include <optional>

#include "base/wire/accept.h"

namespace gantry::apiserver {
namespace {

constexpr std::string_view kJson = "application/json", kYaml = "application/yaml",
                           kProtobuf = "application/vnd.kubernetes.protobuf";

std::optional<Media> MediaOf(std::string_view type) {
  if (type == kJson || type == "*/*" || type == "application/*") return Media::kJson;
  if (type == kYaml) return Media::kYaml;
  if (type == kProtobuf) return Media::kProtobuf;
  return std::nullopt;
}

bool ReadByPeople(const Headers& headers, const Query& query) {
  if (query.Has("pretty")) {
    std::string_view value = query.Get("pretty");
    return value == "true" || value == "1" || value == "t" || value == "T" || value == "TRUE" ||
           value == "True";
  }
  std::string_view agent = headers.Get("user-agent");
  return agent.starts_with("curl") || agent.starts_with("Wget") || agent.starts_with("Mozilla/5.0");
}

Result<Output> Negotiate(std::string_view accept, bool pretty, bool transforms) {
  Output output;
  output.pretty = pretty;
  if (wire::Trim(accept).empty()) return output;
  for (const wire::MediaRange& range : wire::ParseAccept(accept)) {
    std::optional<Media> media = MediaOf(range.type);
    if (!media) continue;
    output.media = *media;
    output.shape = Shape::kObject;
    if (const std::string_view as = range.Parameter("as"); !as.empty()) {
      if (!transforms || range.Parameter("g") != "meta.k8s.io" || range.Parameter("v") != "v1")
        continue;
      if (as == "Table") {
        if (*media == Media::kProtobuf) continue;
        output.shape = Shape::kTable;
      } else if (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") {
        output.shape = Shape::kPartial;
      } else {
        continue;
      }
    }
    output.pretty = output.pretty || range.Parameter("pretty") == "1";
    return output;
  }
  return Status(Code::kNotAcceptable,
                "only the following media types are accepted: application/json, application/yaml, "
                "application/vnd.kubernetes.protobuf");
}

}  // namespace

std::string Output::ContentType() const {
  switch (media) {
    case Media::kJson:
      return std::string(kJson);
    case Media::kYaml:
      return std::string(kYaml);
    case Media::kProtobuf:
      return std::string(kProtobuf);
  }
  return std::string(kJson);
}

std::string Output::StreamContentType() const {
  return media == Media::kJson ? ContentType() : ContentType() + ";stream=watch";
}

Result<Output> NegotiateOutput(const Headers& headers, const Query& query, bool transforms) {
  return Negotiate(headers.Get("accept"), ReadByPeople(headers, query), transforms);
}

ErrorForm::ErrorForm(const Headers& headers, const Query& query)
    : accept_(headers.Get("accept")), pretty_(ReadByPeople(headers, query)) {}

Output ErrorForm::Choose() const {
  Result<Output> output = Negotiate(accept_, pretty_, false);
  if (output.ok()) return *output;
  Output json;
  json.pretty = true;
  return json;
}

Result<Media> InputMedia(std::string_view content_type) {
  const std::string type = wire::MediaTypeOf(content_type);
  if (type.empty() || type == kJson) return Media::kJson;
  if (type == kYaml) return Media::kYaml;
  if (type == kProtobuf) return Media::kProtobuf;
  return Status(Code::kUnsupportedMediaType,
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json, "
                "application/yaml, application/vnd.kubernetes.protobuf");
}

std::string PrettyJson(std::string_view json) {
  std::string out;
  out.reserve(json.size() * 2);
  size_t depth = 0;
  auto line = [&] {
    out.push_back('\n');
    out.append(depth * 2, ' ');
  };
  for (size_t i = 0; i < json.size(); ++i) {
    char c = json[i];
    switch (c) {
      case '"': {
        size_t start = i++;
        while (i < json.size() && json[i] != '"')
          i += json[i] == '\\' ? 2 : 1;
        out.append(json.substr(start, i - start + 1));
        break;
      }
      case '{':
      case '[':
        out.push_back(c);
        if (i + 1 < json.size() && (json[i + 1] == '}' || json[i + 1] == ']')) {
          out.push_back(json[++i]);
        } else {
          ++depth;
          line();
        }
        break;
      case '}':
      case ']':
        --depth;
        line();
        out.push_back(c);
        break;
      case ',':
        out.push_back(c);
        line();
        break;
      case ':':
        out.append(": ");
        break;
      case ' ':
      case '\n':
      case '\t':
      case '\r':
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

}  // namespace gantry::apiserver

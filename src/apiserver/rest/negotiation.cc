#include "apiserver/rest/negotiation.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

namespace gantry::apiserver {
namespace {

constexpr std::string_view kJson = "application/json", kYaml = "application/yaml",
                           kProtobuf = "application/vnd.kubernetes.protobuf";

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// The next part up to `separator`, which is taken off `rest`.
std::string_view NextPart(std::string_view* rest, char separator) {
  size_t end = rest->find(separator);
  std::string_view part = rest->substr(0, end);
  *rest = end == std::string_view::npos ? std::string_view() : rest->substr(end + 1);
  return Trim(part);
}

struct Clause {
  std::string type;
  double quality = 1;
  std::string as, group, version;
  bool pretty = false;
};

std::vector<Clause> ParseAccept(std::string_view header) {
  std::vector<Clause> clauses;
  while (!header.empty()) {
    std::string_view part = NextPart(&header, ',');
    if (part.empty()) continue;
    Clause clause;
    clause.type = MediaTypeOf(NextPart(&part, ';'));
    while (!part.empty()) {
      std::string_view parameter = NextPart(&part, ';');
      std::string_view name = NextPart(&parameter, '=');
      if (name == "q") clause.quality = std::atof(std::string(parameter).c_str());
      if (name == "as") clause.as = std::string(parameter);
      if (name == "g") clause.group = std::string(parameter);
      if (name == "v") clause.version = std::string(parameter);
      if (name == "pretty") clause.pretty = parameter == "1";
    }
    clauses.push_back(std::move(clause));
  }
  std::stable_sort(clauses.begin(), clauses.end(),
                   [](const Clause& a, const Clause& b) { return a.quality > b.quality; });
  return clauses;
}

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

}  // namespace

std::string MediaTypeOf(std::string_view content_type) {
  std::string type(Trim(content_type.substr(0, content_type.find(';'))));
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return type;
}

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
  std::string_view accept = headers.Get("accept");
  Output output;
  output.pretty = ReadByPeople(headers, query);
  if (Trim(accept).empty()) return output;
  for (const Clause& clause : ParseAccept(accept)) {
    std::optional<Media> media = MediaOf(clause.type);
    if (!media) continue;
    output.media = *media;
    output.shape = Shape::kObject;
    if (!clause.as.empty()) {
      if (!transforms || clause.group != "meta.k8s.io" || clause.version != "v1") continue;
      if (clause.as == "Table") {
        if (*media == Media::kProtobuf) continue;
        output.shape = Shape::kTable;
      } else if (clause.as == "PartialObjectMetadata" || clause.as == "PartialObjectMetadataList") {
        output.shape = Shape::kPartial;
      } else {
        continue;
      }
    }
    output.pretty = output.pretty || clause.pretty;
    return output;
  }
  return Status(Code::kNotAcceptable,
                "only the following media types are accepted: application/json, application/yaml, "
                "application/vnd.kubernetes.protobuf");
}

Result<Media> InputMedia(std::string_view content_type) {
  std::string type = MediaTypeOf(content_type);
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

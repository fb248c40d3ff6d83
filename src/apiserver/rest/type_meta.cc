#include "api/yaml.h"
#include "apiserver/rest/codec.h"

namespace gantry::apiserver {
namespace {

// Walks JSON just far enough to see the members at its top. Any text is safe; broken text ends the
// walk.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  TypeMeta Read() {
    TypeMeta meta;
    if (!Take('{')) return meta;
    while (!ended_) {
      std::string_view key = String();
      if (!Take(':')) break;
      Space();
      if (at_ < text_.size() && text_[at_] == '"' && (key == "kind" || key == "apiVersion")) {
        std::string value(String());
        (key == "kind" ? meta.kind : meta.api_version) = std::move(value);
      } else {
        Skip();
      }
      if (!Take(',')) break;
    }
    return meta;
  }

 private:
  void Space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  bool Take(char c) {
    Space();
    if (at_ >= text_.size() || text_[at_] != c) return !(ended_ = true);
    ++at_;
    return true;
  }
  std::string_view String() {
    if (!Take('"')) return {};
    size_t start = at_;
    while (at_ < text_.size() && text_[at_] != '"')
      at_ += text_[at_] == '\\' ? 2 : 1;
    if (at_ >= text_.size()) {
      ended_ = true;
      return {};
    }
    return text_.substr(start, at_++ - start);
  }
  void Skip() {
    int depth = 0;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        String();
        if (ended_) return;
      } else if (c == '{' || c == '[') {
        ++depth;
        ++at_;
        continue;
      } else if (c == '}' || c == ']') {
        if (depth == 0) return;
        --depth;
        ++at_;
      } else if (c == ',' && depth == 0) {
        return;
      } else {
        ++at_;
        continue;
      }
      if (depth == 0) return;
    }
    ended_ = true;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool ended_ = false;
};

}  // namespace

TypeMeta PeekTypeMeta(std::string_view json) { return Walker(json).Read(); }

Result<std::string> JsonOfBody(Media media, std::string_view body) {
  if (media == Media::kJson) return std::string(body);
  GANTRY_ASSIGN(std::vector<std::string> documents, api::YamlToJson(body));
  if (documents.size() != 1) {
    return BadRequest("the body must hold exactly one document, not " +
                      std::to_string(documents.size()));
  }
  return std::move(documents[0]);
}

}  // namespace gantry::apiserver

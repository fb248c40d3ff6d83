#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "apiserver/http/handler.h"
#include "apiserver/query.h"
#include "base/status.h"

namespace gantry::apiserver {

enum class Media : uint8_t { kJson, kYaml, kProtobuf };
enum class Shape : uint8_t { kObject, kTable, kPartial };

// What the client wants to read. Threading: a value.
struct Output {
  Output() = default;
  Media media = Media::kJson;
  Shape shape = Shape::kObject;
  bool pretty = false;

  std::string ContentType() const;
  std::string StreamContentType() const;  // of a watch
};

// `transforms`: whether tables and partial metadata may be asked for. kNotAcceptable when nothing
// that the client accepts is there.
Result<Output> NegotiateOutput(const Headers& headers, const Query& query, bool transforms);

// How errors go out, kept apart from the request, which is given away before one comes up. An error
// never hides behind another one: a client that reads none of the forms gets JSON.
class ErrorForm {
 public:
  ErrorForm() = default;
  ErrorForm(const Headers& headers, const Query& query);
  Output Choose() const;

 private:
  std::string accept_;
  bool pretty_ = false;
};

// Of a body; absent means JSON. kUnsupportedMediaType for anything unknown.
Result<Media> InputMedia(std::string_view content_type);

// Indents JSON by two spaces, as Kubernetes does for people. The input is valid JSON.
std::string PrettyJson(std::string_view json);

}  // namespace gantry::apiserver

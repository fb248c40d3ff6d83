#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/registry/resource_row.h"
#include "base/status.h"

namespace gantry::apiserver {

// One OpenAPI document as it goes out. The bytes are shared.
struct OpenApiDocument {
  std::shared_ptr<const std::string> body;
  std::string content_type;
  std::string content_encoding;  // "gzip", or empty
  std::string etag;              // with its quotes
};

// What the server says of its API to machines: /openapi/v2, /openapi/v3 and the document of each
// group version below it, as JSON and as protobuf (the index of /openapi/v3 as JSON only). A
// document is made when it is first asked for and kept compressed. When resources come or go, make
// a new one. Threading: any thread; the first request for a document makes others wait.
class OpenApi {
 public:
  // `rows` and what they point to outlive this. `version` is the server's ("v1.36.2").
  OpenApi(std::span<const ResourceRow> rows, std::string version);

  // The document of "/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1" or
  // "/openapi/v3/apis/apps/v1". `gzip`: the client takes compressed bodies. kNotFound for another
  // path, kNotAcceptable where `accept` admits no form there is.
  Result<OpenApiDocument> Get(std::string_view path, std::string_view accept, bool gzip);

 private:
  enum class Form { kJson, kProtobuf };
  struct Kept {
    std::shared_ptr<const std::string> compressed;
    std::string etag;
  };

  // The JSON of a path; kNotFound.
  Result<std::string> MakeDocument(const std::string& path);
  Result<const Kept*> Find(const std::string& path, Form form);
  std::string MakeSwagger() const;
  std::string MakeGroupVersion(const std::vector<const ResourceRow*>& rows) const;
  Result<std::string> MakeIndex();

  std::span<const ResourceRow> rows_;
  std::string version_;
  std::map<std::string, std::vector<const ResourceRow*>> group_versions_;  // "apis/apps/v1"
  std::mutex mutex_;
  std::map<std::pair<std::string, Form>, Kept> kept_;
};

}  // namespace gantry::apiserver

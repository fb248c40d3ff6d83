#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "apiserver/openapi/json_writer.h"
#include "apiserver/registry/resource_row.h"

namespace gantry::apiserver::openapi {

// Swagger 2.0 and OpenAPI 3.0 say some things differently.
enum class Dialect { kV2, kV3 };

struct GroupVersionKind {
  std::string group, version, kind;
  auto operator<=>(const GroupVersionKind&) const = default;
};

// The schemas that a document names: those of the kinds it is about, and all that they refer to.
class SchemaSet {
 public:
  // `all` are the rows of the whole server; they name the group versions that DeleteOptions and the
  // like belong to.
  explicit SchemaSet(std::span<const ResourceRow> all);

  // What the resource takes and gives.
  void AddResource(const ResourceRow& row);
  // Appends the members of "definitions", or "components.schemas", to an object that is open.
  void Write(Dialect dialect, JsonWriter* out) const;

 private:
  void Add(const api::MessageSchema& schema);
  void AddKind(const google::protobuf::Message* prototype, const GroupVersionKind& kind);

  std::map<std::string, const api::MessageSchema*> schemas_;  // by name in the document
  std::map<const api::MessageSchema*, std::vector<GroupVersionKind>> kinds_;
};

// Writes a reference to a schema as it stands where a value is described ("$ref", or what takes its
// place).
void WriteReference(Dialect dialect, std::string_view openapi_name, JsonWriter* out);

void WriteKind(const GroupVersionKind& kind, JsonWriter* out);

inline constexpr std::string_view kPatchSchema = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
inline constexpr std::string_view kStatusSchema = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
inline constexpr std::string_view kDeleteOptionsSchema =
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";

}  // namespace gantry::apiserver::openapi

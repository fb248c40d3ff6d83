#include <string>

#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

StatusDetails DetailsOf(const api::KindInfo& kind, std::string_view name) {
  StatusDetails details;
  details.group = std::string(kind.group);
  details.kind = std::string(kind.plural);
  details.name = std::string(name);
  return details;
}

std::string Named(const api::KindInfo& kind, std::string_view name) {
  return kind.GroupResource() + " \"" + std::string(name) + "\"";
}

}  // namespace

Status NotFound(const api::KindInfo& kind, std::string_view name) {
  return Status(Code::kNotFound, Named(kind, name) + " not found", DetailsOf(kind, name));
}

Status AlreadyExists(const api::KindInfo& kind, std::string_view name) {
  return Status(Code::kAlreadyExists, Named(kind, name) + " already exists", DetailsOf(kind, name));
}

Status Conflict(const api::KindInfo& kind, std::string_view name, std::string_view why) {
  return Status(Code::kConflict,
                "Operation cannot be fulfilled on " + Named(kind, name) + ": " + std::string(why),
                DetailsOf(kind, name));
}

Status ForbiddenObject(const api::KindInfo& kind, std::string_view name, std::string_view why) {
  std::string subject = name.empty() ? kind.GroupResource() : Named(kind, name);
  return Status(Code::kForbidden, subject + " is forbidden: " + std::string(why),
                DetailsOf(kind, name));
}

}  // namespace gantry::apiserver

#include "apiserver/admission/admission.h"

#include "apiserver/registry/messages.h"

namespace gantry::apiserver {

Status AdmissionRequest::Forbid(std::string_view why) const {
  if (!name.empty() || object == nullptr) return ForbiddenObject(*row.kind, name, why);
  return ForbiddenObject(*row.kind, MetaOf(*object).generate_name(), why);
}

Status AdmissionChain::Mutate(AdmissionRequest& request) const {
  for (const std::unique_ptr<AdmissionPlugin>& plugin : plugins_)
    GANTRY_TRY(plugin->Mutate(request));
  return {};
}

Status AdmissionChain::Validate(const AdmissionRequest& request) const {
  for (const std::unique_ptr<AdmissionPlugin>& plugin : plugins_)
    GANTRY_TRY(plugin->Validate(request));
  return {};
}

}  // namespace gantry::apiserver

#include "apiserver/admission/admission.h"

#include "apiserver/registry/messages.h"

namespace gantry::apiserver {

Status AdmissionRequest::Forbid(std::string_view why) const {
  if (!name.empty() || object == nullptr) return ForbiddenObject(*row.kind, name, why);
  const auto& meta = MetaOf(*object);
  return ForbiddenObject(*row.kind, meta.name().empty() ? meta.generate_name() : meta.name(), why);
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

bool AdmissionChain::Charges(const AdmissionRequest& request) const {
  for (const std::unique_ptr<AdmissionPlugin>& plugin : plugins_) {
    if (plugin->Charges(request)) return true;
  }
  return false;
}

Status AdmissionChain::Charge(const AdmissionRequest& request,
                              std::vector<store::Write>* writes) const {
  for (const std::unique_ptr<AdmissionPlugin>& plugin : plugins_)
    GANTRY_TRY(plugin->Charge(request, writes));
  return {};
}

}  // namespace gantry::apiserver

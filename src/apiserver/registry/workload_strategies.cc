#include <string>

#include "api/batch/v1/job.pb.h"
#include "api/certificates/v1/signing_request.pb.h"
#include "apiserver/authn/user.h"
#include "apiserver/registry/strategies.h"

namespace gantry::apiserver {

// The selector that ties a job to its own pods, unless the user manages it.
void PrepareJob(const PrepareContext& context, Message* object) {
  auto* job = static_cast<api::batch::v1::Job*>(object);
  api::batch::v1::JobSpec* spec = job->mutable_spec();
  const std::string& uid = job->metadata().uid();
  const std::string& name = job->metadata().name();
  if (spec->manual_selector()) return;
  auto& labels = *spec->mutable_template_()->mutable_metadata()->mutable_labels();
  auto add = [&labels](const char* key, const std::string& value) {
    if (labels.find(key) == labels.end()) labels[key] = value;
  };
  add("job-name", name);
  add("batch.kubernetes.io/job-name", name);
  add("controller-uid", uid);
  add("batch.kubernetes.io/controller-uid", uid);
  (*spec->mutable_selector()->mutable_match_labels())["batch.kubernetes.io/controller-uid"] = uid;
}

// Who asks is what the certificate is about: never what the object says.
void PrepareSigningRequest(const PrepareContext& context, Message* object) {
  auto* request = static_cast<api::certificates::v1::CertificateSigningRequest*>(object);
  auto* spec = request->mutable_spec();
  spec->set_username(context.user.name);
  spec->set_uid(context.user.uid);
  if (context.user.uid.empty()) spec->clear_uid();
  spec->clear_groups();
  for (const std::string& group : context.user.groups)
    spec->add_groups(group);
  spec->clear_extra();
  for (const auto& [key, values] : context.user.extra) {
    for (const std::string& value : values)
      (*spec->mutable_extra())[key].add_items(value);
  }
}

void PrepareSigningRequestUpdate(const PrepareContext& context, Message* object,
                                 const Message& old) {
  *static_cast<api::certificates::v1::CertificateSigningRequest*>(object)->mutable_spec() =
      static_cast<const api::certificates::v1::CertificateSigningRequest&>(old).spec();
}

}  // namespace gantry::apiserver

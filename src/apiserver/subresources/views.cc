#include "apiserver/subresources/views.h"

#include <google/protobuf/map.h>

#include "api/apps/v1/deployment.pb.h"
#include "api/apps/v1/replica_set.pb.h"
#include "api/apps/v1/stateful_set.pb.h"
#include "api/autoscaling/v1/scale.pb.h"
#include "api/certificates/v1/signing_request.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/replication_controller.pb.h"
#include "api/selector.h"
#include "api/validation.h"
#include "apiserver/registry/messages.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

using api::autoscaling::v1::Scale;
using Result_ = Result<std::unique_ptr<Message>>;

template <class T>
void FillScale(const T& object, Scale* scale) {
  scale->mutable_spec()->set_replicas(object.spec().replicas());
  scale->mutable_status()->set_replicas(object.status().replicas());
  if constexpr (requires { object.spec().selector().match_labels(); }) {
    Result<api::Selector> selector = api::Selector::From(object.spec().selector());
    if (selector.ok()) scale->mutable_status()->set_selector(selector->ToString());
  } else {
    scale->mutable_status()->set_selector(
        api::Selector::FromMap(object.spec().selector()).ToString());
  }
}

template <class T>
Message* SetReplicas(Message* object, int32_t replicas) {
  static_cast<T*>(object)->mutable_spec()->set_replicas(replicas);
  return object;
}

struct ScaleRow {
  std::string_view plural;
  void (*fill)(const Message& object, Scale* scale);
  void (*set)(Message* object, int32_t replicas);
};

template <class T>
constexpr ScaleRow RowFor(std::string_view plural) {
  return {
      plural,
      [](const Message& object, Scale* scale) { FillScale(static_cast<const T&>(object), scale); },
      [](Message* object, int32_t replicas) { SetReplicas<T>(object, replicas); }};
}

constexpr ScaleRow kScales[] = {
    RowFor<api::apps::v1::Deployment>("deployments"),
    RowFor<api::apps::v1::ReplicaSet>("replicasets"),
    RowFor<api::apps::v1::StatefulSet>("statefulsets"),
    RowFor<api::core::v1::ReplicationController>("replicationcontrollers"),
};

const ScaleRow* FindScale(const ResourceRow& row) {
  for (const ScaleRow& scale : kScales) {
    if (scale.plural == row.kind->plural) return &scale;
  }
  return nullptr;
}

// The live object with the precondition of what was sent.
template <class T = Message>
std::unique_ptr<T> Base(const Message& live, const Message& shown) {
  std::unique_ptr<Message> copy = Clone(live);
  MutableMetaOf(copy.get())->set_resource_version(MetaOf(shown).resource_version());
  if (!MetaOf(shown).uid().empty()) MutableMetaOf(copy.get())->set_uid(MetaOf(shown).uid());
  return std::unique_ptr<T>(static_cast<T*>(copy.release()));
}

Result_ AbsorbScale(const ResourceRow& row, const Message& live, const Message& shown) {
  const auto& scale = static_cast<const Scale&>(shown);
  if (scale.spec().replicas() < 0) {
    api::FieldErrors errors;
    errors.push_back({api::FieldError::Type::kInvalid, "spec.replicas",
                      "Invalid value: " + std::to_string(scale.spec().replicas()) +
                          ": must be greater than or equal to 0"});
    return api::InvalidObject("autoscaling", "Scale", scale.metadata().name(), errors);
  }
  std::unique_ptr<Message> object = Base(live, shown);
  FindScale(row)->set(object.get(), scale.spec().replicas());
  return object;
}

bool IsDecision(const api::certificates::v1::CertificateSigningRequestCondition& condition) {
  return condition.type() == "Approved" || condition.type() == "Denied";
}

// Approval and denial come from what is sent, the rest of the status stays; and the other way round
// for the status.
Result_ AbsorbSigningRequest(const Message& live, std::unique_ptr<Message> shown, bool decisions) {
  using Request = api::certificates::v1::CertificateSigningRequest;
  const auto& old = static_cast<const Request&>(live);
  auto* sent = static_cast<Request*>(shown.get());
  std::unique_ptr<Request> object = Base<Request>(live, *shown);
  auto* status = object->mutable_status();
  if (!decisions) *status = sent->status();
  status->clear_conditions();
  for (const auto& condition : old.status().conditions()) {
    if (IsDecision(condition) != decisions) *status->add_conditions() = condition;
  }
  for (const auto& condition : sent->status().conditions()) {
    if (IsDecision(condition) == decisions) *status->add_conditions() = condition;
  }
  return std::unique_ptr<Message>(std::move(object));
}

Result_ AbsorbFinalize(const Message& live, const Message& shown) {
  auto object = Base<api::core::v1::Namespace>(live, shown);
  *object->mutable_spec()->mutable_finalizers() =
      static_cast<const api::core::v1::Namespace&>(shown).spec().finalizers();
  return std::unique_ptr<Message>(std::move(object));
}

Result_ AbsorbEphemeralContainers(const Message& live, const Message& shown) {
  auto object = Base<api::core::v1::Pod>(live, shown);
  *object->mutable_spec()->mutable_ephemeral_containers() =
      static_cast<const api::core::v1::Pod&>(shown).spec().ephemeral_containers();
  return std::unique_ptr<Message>(std::move(object));
}

Result_ AbsorbResize(const Message& live, const Message& shown) {
  auto object = Base<api::core::v1::Pod>(live, shown);
  const auto& sent = static_cast<const api::core::v1::Pod&>(shown);
  auto take = [](const auto& from, auto* to) {
    for (auto& container : *to) {
      for (const auto& other : from) {
        if (other.name() != container.name()) continue;
        *container.mutable_resources() = other.resources();
        *container.mutable_resize_policy() = other.resize_policy();
      }
    }
  };
  take(sent.spec().containers(), object->mutable_spec()->mutable_containers());
  take(sent.spec().init_containers(), object->mutable_spec()->mutable_init_containers());
  return std::unique_ptr<Message>(std::move(object));
}

}  // namespace

const api::KindInfo* KindOfSubresource(const ResourceRow& row, std::string_view subresource) {
  if (subresource.empty()) return row.kind;
  const ResourceRow::Sub* sub = row.FindSub(subresource);
  return sub == nullptr ? nullptr : api::FindKind(sub->group, sub->version, sub->kind);
}

Result<api::ObjectPtr> ViewOf(const ResourceRow& row, std::string_view subresource,
                              const api::ObjectPtr& object) {
  if (subresource != "scale") return object;
  const ScaleRow* scale = FindScale(row);
  if (scale == nullptr)
    return Status(Code::kNotFound, "the server could not find the requested resource");
  auto view = std::make_unique<Scale>();
  auto* meta = view->mutable_metadata();
  meta->set_name(object->name());
  meta->set_namespace_(object->ns());
  meta->set_uid(object->uid());
  meta->set_resource_version(std::to_string(object->revision()));
  *meta->mutable_creation_timestamp() = object->meta().creation_timestamp();
  scale->fill(object->message(), view.get());
  return api::Object::FromServer(api::KindOf<Scale>(), std::move(view));
}

Result_ Absorb(const ResourceRow& row, std::string_view subresource, const Message& live,
               std::unique_ptr<Message> shown) {
  if (subresource == "scale") return AbsorbScale(row, live, *shown);
  if (subresource == "approval") return AbsorbSigningRequest(live, std::move(shown), true);
  if (subresource == "status" && row.kind->kind == "CertificateSigningRequest") {
    return AbsorbSigningRequest(live, std::move(shown), false);
  }
  if (subresource == "finalize") return AbsorbFinalize(live, *shown);
  if (subresource == "ephemeralcontainers") return AbsorbEphemeralContainers(live, *shown);
  if (subresource == "resize") return AbsorbResize(live, *shown);
  return shown;
}

std::function<api::FieldErrors(const Message&, const Message&)> ValidatorOf(
    const ResourceRow& row, std::string_view subresource) {
  if (subresource == "ephemeralcontainers") return api::ValidatePodEphemeralContainersUpdate;
  if (subresource == "resize") return api::ValidatePodResize;
  if (subresource == "approval" || subresource == "finalize") {
    const api::KindInfo* kind = row.kind->storage_kind;
    return [kind](const Message& object, const Message& old) {
      return api::ValidateStatusUpdate(*kind, object, old);
    };
  }
  return nullptr;
}

}  // namespace gantry::apiserver

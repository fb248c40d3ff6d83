#include "api/validation/meta.h"

#include <algorithm>
#include <set>

namespace gantry::api::validation {
namespace {

using meta::v1::ObjectMeta;
using meta::v1::OwnerReference;

constexpr size_t kMaxAnnotationsSize = 256 * 1024;
constexpr size_t kMaxManagerSize = 128;
constexpr size_t kMaxSubresourceSize = 256;

Complaints Checked(std::string_view name, bool prefix, Complaints (*check)(std::string_view)) {
  return prefix ? check(MaskTrailingDash(name)) : check(name);
}

void CheckOwners(const Path& path, const ObjectMeta& meta, Errors* errors) {
  const OwnerReference* controller = nullptr;
  for (const OwnerReference& owner : meta.owner_references()) {
    const std::string& group_version = owner.api_version();
    size_t slash = group_version.find('/');
    bool malformed =
        group_version.empty() || slash + 1 == group_version.size() ||
        (slash != std::string::npos && group_version.find('/', slash + 1) != std::string::npos);
    if (malformed)
      errors->Invalid(path.Child("apiVersion"), group_version, "version must not be empty");
    if (owner.kind().empty())
      errors->Invalid(path.Child("kind"), owner.kind(), "must not be empty");
    if (owner.name().empty())
      errors->Invalid(path.Child("name"), owner.name(), "must not be empty");
    if (owner.uid().empty()) errors->Invalid(path.Child("uid"), owner.uid(), "must not be empty");
    if (group_version == "v1" && owner.kind() == "Event") {
      errors->Invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner");
    }
    if (!owner.controller()) continue;
    if (controller != nullptr) {
      errors->Invalid(
          path, meta.owner_references(),
          "Only one reference can have Controller set to true. Found \"true\" in references for " +
              controller->kind() + "/" + controller->name() + " and " + owner.kind() + "/" +
              owner.name());
    } else {
      controller = &owner;
    }
  }
}

void CheckFinalizers(const Path& path, const Strings& finalizers, Errors* errors) {
  bool orphan = false;
  bool foreground = false;
  for (const std::string& finalizer : finalizers) {
    CheckQualifiedName(path, finalizer, errors);
    orphan |= finalizer == "orphan";
    foreground |= finalizer == "foregroundDeletion";
  }
  if (orphan && foreground) {
    errors->Invalid(path, finalizers, "finalizer orphan and foregroundDeletion cannot be both set");
  }
}

void CheckStandardFinalizers(const Path& path, const Strings& finalizers, Errors* errors) {
  for (int i = 0; i < finalizers.size(); ++i) {
    const std::string& finalizer = finalizers[i];
    if (finalizer.find('/') != std::string::npos ||
        IsOneOf(finalizer, {"kubernetes", "orphan", "foregroundDeletion"})) {
      continue;
    }
    errors->Invalid(path.Index(i), finalizer,
                    "name is neither a standard finalizer name nor is it fully qualified");
  }
}

void CheckManagedFields(const Path& path, const ObjectMeta& meta, Errors* errors) {
  for (int i = 0; i < meta.managed_fields_size(); ++i) {
    const auto& entry = meta.managed_fields(i);
    Path item = path.Index(i);
    if (!IsOneOf(entry.operation(), {"Apply", "Update"})) {
      errors->Invalid(item.Child("operation"), entry.operation(), "must be `Apply` or `Update`");
    }
    if (!entry.fields_type().empty() && entry.fields_type() != "FieldsV1") {
      errors->Invalid(item.Child("fieldsType"), entry.fields_type(), "must be `FieldsV1`");
    }
    if (entry.manager().size() > kMaxManagerSize)
      errors->TooLong(item.Child("manager"), kMaxManagerSize);
    if (entry.subresource().size() > kMaxSubresourceSize)
      errors->TooLong(item.Child("subresource"), kMaxSubresourceSize);
  }
}

// What is checked on create and on update alike.
void CheckCommon(const Path& path, const ObjectMeta& meta, Errors* errors) {
  CheckLabels(path.Child("labels"), meta.labels(), errors);
  CheckAnnotations(path.Child("annotations"), meta.annotations(), errors);
  CheckOwners(path.Child("ownerReferences"), meta, errors);
  CheckFinalizers(path.Child("finalizers"), meta.finalizers(), errors);
  CheckManagedFields(path.Child("managedFields"), meta, errors);
  CheckStandardFinalizers(path.Child("finalizers"), meta.finalizers(), errors);
}

}  // namespace

Complaints NameIsDns1123Subdomain(std::string_view name, bool prefix) {
  return Checked(name, prefix, IsDns1123Subdomain);
}
Complaints NameIsDns1123Label(std::string_view name, bool prefix) {
  return Checked(name, prefix, IsDns1123Label);
}
Complaints NameIsDns1035Label(std::string_view name, bool prefix) {
  return Checked(name, prefix, IsDns1035Label);
}
Complaints NameIsPathSegment(std::string_view name, bool prefix) {
  return prefix ? IsPathSegmentPrefix(name) : IsPathSegmentName(name);
}

void CheckMeta(const ObjectMeta& meta, bool namespaced, NameRule rule, Errors* errors) {
  Path path("metadata");
  if (!meta.generate_name().empty()) {
    errors->Complain(path.Child("generateName"), meta.generate_name(),
                     rule(meta.generate_name(), true));
  }
  if (meta.name().empty()) {
    errors->Required(path.Child("name"), "name or generateName is required");
  } else {
    errors->Complain(path.Child("name"), meta.name(), rule(meta.name(), false));
  }
  if (!namespaced) {
    if (!meta.namespace_().empty())
      errors->Forbidden(path.Child("namespace"), "not allowed on this type");
  } else if (meta.namespace_().empty()) {
    errors->Required(path.Child("namespace"));
  } else {
    CheckDns1123Label(path.Child("namespace"), meta.namespace_(), errors);
  }
  CheckNonnegative(path.Child("generation"), meta.generation(), errors);
  CheckCommon(path, meta, errors);
}

void CheckMetaUpdate(const ObjectMeta& meta, const ObjectMeta& old, Errors* errors) {
  Path path("metadata");
  if (old.has_deletion_timestamp()) {
    std::set<std::string> added(meta.finalizers().begin(), meta.finalizers().end());
    for (const std::string& finalizer : old.finalizers())
      added.erase(finalizer);
    if (!added.empty()) {
      std::string names;
      for (const std::string& finalizer : added)
        names += (names.empty() ? "\"" : ", \"") + finalizer + "\"";
      errors->Forbidden(
          path.Child("finalizers"),
          "no new finalizers can be added if the object is being deleted, found new finalizers "
          "[]string{" +
              names + "}");
    }
  }
  if (meta.generation() < old.generation()) {
    errors->Invalid(path.Child("generation"), meta.generation(), "must not be decremented");
  }
  auto immutable = [&](std::string_view name, const std::string& value, const std::string& before) {
    if (value != before) errors->Invalid(path.Child(name), value, kImmutable);
  };
  immutable("name", meta.name(), old.name());
  immutable("namespace", meta.namespace_(), old.namespace_());
  immutable("uid", meta.uid(), old.uid());
  if (!SemanticEqual(meta.creation_timestamp(), old.creation_timestamp())) {
    errors->Invalid(path.Child("creationTimestamp"), meta.creation_timestamp(), kImmutable);
  }
  if (meta.has_deletion_timestamp() != old.has_deletion_timestamp() ||
      !SemanticEqual(meta.deletion_timestamp(), old.deletion_timestamp())) {
    errors->Invalid(path.Child("deletionTimestamp"), meta.deletion_timestamp(), kImmutable);
  }
  if (meta.has_deletion_grace_period_seconds() != old.has_deletion_grace_period_seconds() ||
      meta.deletion_grace_period_seconds() != old.deletion_grace_period_seconds()) {
    errors->Invalid(path.Child("deletionGracePeriodSeconds"),
                    meta.has_deletion_grace_period_seconds()
                        ? Bad(meta.deletion_grace_period_seconds())
                        : Bad(nullptr),
                    kImmutable);
  }
  CheckCommon(path, meta, errors);
}

void CheckLabels(const Path& path, const StringMap& labels, Errors* errors) {
  size_t mark = errors->size();
  for (const auto& [key, value] : labels) {
    CheckQualifiedName(path, key, errors);
    errors->Complain(path, value, IsLabelValue(value));
  }
  errors->SortFrom(mark);
}

void CheckAnnotations(const Path& path, const StringMap& annotations, Errors* errors) {
  size_t mark = errors->size();
  size_t size = 0;
  for (const auto& [key, value] : annotations) {
    size += key.size() + value.size();
    // The prefix of an annotation may have capitals; qualified names are all the same but for that.
    bool capital = std::any_of(key.begin(), key.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    if (!capital) {
      CheckQualifiedName(path, key, errors);
      continue;
    }
    std::string lower = key;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    errors->Complain(path, key, IsQualifiedName(lower));
  }
  errors->SortFrom(mark);
  if (size > kMaxAnnotationsSize) errors->TooLong(path, kMaxAnnotationsSize);
}

void CheckLabelSelector(const Path& path, const meta::v1::LabelSelector& selector, Errors* errors) {
  CheckLabels(path.Child("matchLabels"), selector.match_labels(), errors);
  Path expressions = path.Child("matchExpressions");
  for (int i = 0; i < selector.match_expressions_size(); ++i) {
    const auto& requirement = selector.match_expressions(i);
    Path item = expressions.Index(i);
    if (IsOneOf(requirement.operator_(), {"In", "NotIn"})) {
      if (requirement.values().empty()) {
        errors->Required(item.Child("values"),
                         "must be specified when `operator` is 'In' or 'NotIn'");
      }
    } else if (IsOneOf(requirement.operator_(), {"Exists", "DoesNotExist"})) {
      if (!requirement.values().empty()) {
        errors->Forbidden(item.Child("values"),
                          "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
      }
    } else {
      errors->Invalid(item.Child("operator"), requirement.operator_(),
                      "not a valid selector operator");
    }
    CheckQualifiedName(item.Child("key"), requirement.key(), errors);
    Path values = item.Child("values");
    for (int v = 0; v < requirement.values_size(); ++v) {
      errors->Complain(values.Index(v), requirement.values(v), IsLabelValue(requirement.values(v)));
    }
  }
}

bool IsEmpty(const meta::v1::LabelSelector& selector) {
  return selector.match_labels().empty() && selector.match_expressions().empty();
}

bool Matches(const StringMap& selector, const StringMap& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& entry) {
    auto found = labels.find(entry.first);
    return found != labels.end() && found->second == entry.second;
  });
}

}  // namespace gantry::api::validation

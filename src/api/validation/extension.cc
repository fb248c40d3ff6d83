// What registers further APIs and admission: custom resource definitions, API services, webhooks.
#include <set>

#include "api/admissionregistration/v1/admissionregistration.pb.h"
#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/apiregistration/v1/apiregistration.pb.h"
#include "api/validation/meta.h"
#include "api/validation/rules.h"

namespace gantry::api::validation {
namespace {

using admissionregistration::v1::MutatingWebhookConfiguration;
using admissionregistration::v1::ValidatingWebhookConfiguration;
using apiextensions::v1::CustomResourceDefinition;
using apiregistration::v1::APIService;

constexpr int32_t kMaxWebhookSeconds = 30;

void CreateDefinition(const CustomResourceDefinition& definition, Errors* errors) {
  CheckMeta(definition.metadata(), false, NameIsDns1123Subdomain, errors);
  const auto& spec = definition.spec();
  const auto& names = spec.names();
  std::string wanted = names.plural() + "." + spec.group();
  if (definition.metadata().name() != wanted) {
    errors->Invalid(Path("metadata.name"), definition.metadata().name(),
                    "must be spec.names.plural+\".\"+spec.group");
  }
  Path path("spec");
  if (spec.group().empty()) {
    errors->Required(path.Child("group"));
  } else {
    CheckDns1123Subdomain(path.Child("group"), spec.group(), errors);
    if (spec.group().find('.') == std::string::npos) {
      errors->Invalid(path.Child("group"), spec.group(),
                      "should be a domain with at least one dot");
    }
  }
  CheckEnum(path.Child("scope"), spec.scope(), {"Cluster", "Namespaced"}, errors);
  Path names_path = path.Child("names");
  auto label = [&](std::string_view field, const std::string& value) {
    Path place = names_path.Child(field);
    if (value.empty()) {
      errors->Required(place);
      return;
    }
    std::string lower = value;
    for (char& c : lower)
      c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    errors->Complain(place, value, IsDns1035Label(lower));
  };
  label("plural", names.plural());
  label("singular", names.singular());
  label("kind", names.kind());
  label("listKind", names.list_kind());
  if (!names.kind().empty() && names.kind() == names.list_kind()) {
    errors->Invalid(names_path.Child("listKind"), names.list_kind(),
                    "kind and listKind may not be the same");
  }
  Path versions = path.Child("versions");
  int stored = 0;
  std::set<std::string_view> seen;
  for (int i = 0; i < spec.versions_size(); ++i) {
    const auto& version = spec.versions(i);
    Path item = versions.Index(i);
    stored += version.storage() ? 1 : 0;
    errors->Complain(item.Child("name"), version.name(), IsDns1035Label(version.name()));
    if (!seen.insert(version.name()).second) {
      errors->Invalid(item.Child("name"), version.name(), "must be unique among all versions");
    }
    if (!version.schema().has_open_apiv3_schema()) {
      errors->Required(item.Child("schema.openAPIV3Schema"), "schemas are required");
    }
  }
  if (stored != 1) {
    errors->Invalid(versions, spec.versions(),
                    "must have exactly one version marked as storage version");
  }
}

void UpdateDefinition(const CustomResourceDefinition& definition,
                      const CustomResourceDefinition& old, Errors* errors) {
  CheckMetaUpdate(definition.metadata(), old.metadata(), errors);
  CreateDefinition(definition, errors);
  auto same = [&](const char* path, const std::string& now, const std::string& before) {
    if (now != before) errors->Invalid(Path(path), now, kImmutable);
  };
  same("spec.scope", definition.spec().scope(), old.spec().scope());
  same("spec.names.kind", definition.spec().names().kind(), old.spec().names().kind());
  same("spec.names.plural", definition.spec().names().plural(), old.spec().names().plural());
  same("spec.group", definition.spec().group(), old.spec().group());
}

void CreateApiService(const APIService& service, Errors* errors) {
  const auto& spec = service.spec();
  CheckMeta(service.metadata(), false, NameIsPathSegment, errors);
  std::string wanted = spec.version() + "." + spec.group();
  if (service.metadata().name() != wanted) {
    errors->Invalid(Path("metadata.name"), service.metadata().name(),
                    "must be `spec.version+\".\"+spec.group`: \"" + wanted + "\"");
  }
  Path path("spec");
  if (!spec.group().empty()) CheckDns1123Subdomain(path.Child("group"), spec.group(), errors);
  errors->Complain(path.Child("version"), spec.version(), IsDns1035Label(spec.version()));
  if (spec.group_priority_minimum() <= 0 || spec.group_priority_minimum() > 20000) {
    errors->Invalid(path.Child("groupPriorityMinimum"), spec.group_priority_minimum(),
                    "must be positive and less than 20000");
  }
  if (spec.version_priority() <= 0 || spec.version_priority() > 1000) {
    errors->Invalid(path.Child("versionPriority"), spec.version_priority(),
                    "must be positive and less than 1000");
  }
}

void UpdateApiService(const APIService& service, const APIService& old, Errors* errors) {
  CheckMetaUpdate(service.metadata(), old.metadata(), errors);
  CreateApiService(service, errors);
}

template <class Webhook>
void CheckWebhook(const Path& path, const Webhook& webhook, Errors* errors) {
  CheckDns1123Subdomain(path.Child("name"), webhook.name(), errors);
  if (IsDns1123Subdomain(webhook.name()).empty()) {
    const std::string& name = webhook.name();
    size_t dot = name.find('.');
    if (dot == std::string::npos || name.find('.', dot + 1) == std::string::npos) {
      errors->Invalid(path.Child("name"), name,
                      "should be a domain with at least three segments separated by dots");
    }
  }
  if (!IsOneOf(webhook.failure_policy(), {"Fail", "Ignore"})) {
    errors->NotSupported(path.Child("failurePolicy"), webhook.failure_policy(), {"Fail", "Ignore"});
  }
  if (!IsOneOf(webhook.match_policy(), {"Equivalent", "Exact"})) {
    errors->NotSupported(path.Child("matchPolicy"), webhook.match_policy(),
                         {"Equivalent", "Exact"});
  }
  if (!webhook.has_side_effects()) {
    errors->Required(path.Child("sideEffects"), "must specify one of None, NoneOnDryRun");
  } else if (!IsOneOf(webhook.side_effects(), {"None", "NoneOnDryRun"})) {
    errors->NotSupported(path.Child("sideEffects"), webhook.side_effects(),
                         {"None", "NoneOnDryRun"});
  }
  if (webhook.timeout_seconds() > kMaxWebhookSeconds || webhook.timeout_seconds() < 1) {
    errors->Invalid(path.Child("timeoutSeconds"), webhook.timeout_seconds(),
                    "the timeout value must be between 1 and 30 seconds");
  }
  if (webhook.admission_review_versions().empty()) {
    errors->Required(path.Child("admissionReviewVersions"), "must specify one of v1, v1beta1");
  }
  Path client = path.Child("clientConfig");
  if (webhook.client_config().has_url() == webhook.client_config().has_service()) {
    errors->Required(client, "exactly one of url or service is required");
  }
  CheckLabelSelector(path.Child("namespaceSelector"), webhook.namespace_selector(), errors);
  CheckLabelSelector(path.Child("objectSelector"), webhook.object_selector(), errors);
  Path rules = path.Child("rules");
  for (int i = 0; i < webhook.rules_size(); ++i) {
    const auto& rule = webhook.rules(i);
    Path item = rules.Index(i);
    if (rule.operations().empty()) errors->Required(item.Child("operations"));
    Path operations = item.Child("operations");
    for (int o = 0; o < rule.operations_size(); ++o) {
      if (!IsOneOf(rule.operations(o), {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"})) {
        errors->NotSupported(operations.Index(o), rule.operations(o),
                             {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"});
      }
    }
    if (rule.rule().api_groups().empty()) errors->Required(item.Child("apiGroups"));
    if (rule.rule().api_versions().empty()) errors->Required(item.Child("apiVersions"));
    if (rule.rule().resources().empty()) errors->Required(item.Child("resources"));
  }
}

template <class T>
void CreateWebhooks(const T& configuration, Errors* errors) {
  CheckMeta(configuration.metadata(), false, NameIsDns1123Subdomain, errors);
  Path webhooks("webhooks");
  std::set<std::string_view> names;
  for (int i = 0; i < configuration.webhooks_size(); ++i) {
    Path item = webhooks.Index(i);
    CheckWebhook(item, configuration.webhooks(i), errors);
    if (!names.insert(configuration.webhooks(i).name()).second) {
      errors->Duplicate(item.Child("name"), configuration.webhooks(i).name());
    }
  }
}

template <class T>
void UpdateWebhooks(const T& configuration, const T& old, Errors* errors) {
  CheckMetaUpdate(configuration.metadata(), old.metadata(), errors);
  CreateWebhooks(configuration, errors);
}

}  // namespace

std::vector<RuleRow> ExtensionRules() {
  return {
      Row<APIService, CreateApiService, UpdateApiService>(),
      Row<CustomResourceDefinition, CreateDefinition, UpdateDefinition>(),
      Row<MutatingWebhookConfiguration, CreateWebhooks<MutatingWebhookConfiguration>,
          UpdateWebhooks<MutatingWebhookConfiguration>>(),
      Row<ValidatingWebhookConfiguration, CreateWebhooks<ValidatingWebhookConfiguration>,
          UpdateWebhooks<ValidatingWebhookConfiguration>>(),
  };
}

}  // namespace gantry::api::validation

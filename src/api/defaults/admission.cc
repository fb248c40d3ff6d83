// Webhooks, admission policies, and what registers further APIs.
#include <algorithm>

#include "api/admissionregistration/v1/admissionregistration.pb.h"
#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/apiregistration/v1/apiregistration.pb.h"
#include "api/defaults/rules.h"

namespace gantry::api::defaults {
namespace {

constexpr int32_t kHttpsPort = 443;

void DefaultRules(
    google::protobuf::RepeatedPtrField<admissionregistration::v1::RuleWithOperations>* rules) {
  for (auto& rule : *rules) {
    if (!rule.rule().has_scope()) rule.mutable_rule()->set_scope("*");
  }
}

template <class Webhook>
void DefaultWebhook(Webhook* webhook) {
  if (!webhook->has_failure_policy()) webhook->set_failure_policy("Fail");
  if (!webhook->has_match_policy()) webhook->set_match_policy("Equivalent");
  webhook->mutable_namespace_selector();
  webhook->mutable_object_selector();
  if (!webhook->has_timeout_seconds()) webhook->set_timeout_seconds(10);
  if (webhook->client_config().has_service() && !webhook->client_config().service().has_port()) {
    webhook->mutable_client_config()->mutable_service()->set_port(kHttpsPort);
  }
  DefaultRules(webhook->mutable_rules());
}

void DefaultValidating(admissionregistration::v1::ValidatingWebhookConfiguration* configuration) {
  for (auto& webhook : *configuration->mutable_webhooks())
    DefaultWebhook(&webhook);
}

void DefaultMutating(admissionregistration::v1::MutatingWebhookConfiguration* configuration) {
  for (auto& webhook : *configuration->mutable_webhooks()) {
    DefaultWebhook(&webhook);
    if (!webhook.has_reinvocation_policy()) webhook.set_reinvocation_policy("Never");
  }
}

void DefaultMatch(admissionregistration::v1::MatchResources* match) {
  if (!match->has_match_policy()) match->set_match_policy("Equivalent");
  match->mutable_namespace_selector();
  match->mutable_object_selector();
  for (auto* rules : {match->mutable_resource_rules(), match->mutable_exclude_resource_rules()}) {
    for (auto& rule : *rules) {
      auto* inner = rule.mutable_rule_with_operations();
      if (!inner->rule().has_scope()) inner->mutable_rule()->set_scope("*");
    }
  }
}

template <class Policy>
void DefaultPolicy(Policy* policy) {
  auto* spec = policy->mutable_spec();
  if (!spec->has_failure_policy()) spec->set_failure_policy("Fail");
  if (spec->has_match_constraints()) DefaultMatch(spec->mutable_match_constraints());
}

template <class Binding>
void DefaultPolicyBinding(Binding* binding) {
  if (binding->spec().has_match_resources())
    DefaultMatch(binding->mutable_spec()->mutable_match_resources());
}

void DefaultDefinition(apiextensions::v1::CustomResourceDefinition* definition) {
  auto* spec = definition->mutable_spec();
  auto* names = spec->mutable_names();
  if (names->singular().empty()) {
    std::string singular = names->kind();
    std::transform(singular.begin(), singular.end(), singular.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    names->set_singular(singular);
  }
  if (names->list_kind().empty() && !names->kind().empty())
    names->set_list_kind(names->kind() + "List");
  if (!spec->has_conversion()) spec->mutable_conversion()->set_strategy("None");
  if (spec->conversion().webhook().client_config().has_service() &&
      !spec->conversion().webhook().client_config().service().has_port()) {
    spec->mutable_conversion()
        ->mutable_webhook()
        ->mutable_client_config()
        ->mutable_service()
        ->set_port(kHttpsPort);
  }
  if (!definition->status().stored_versions().empty()) return;
  for (const auto& version : spec->versions()) {
    if (version.storage()) definition->mutable_status()->add_stored_versions(version.name());
  }
}

void DefaultApiService(apiregistration::v1::APIService* service) {
  if (!service->spec().has_service() || service->spec().service().has_port()) return;
  service->mutable_spec()->mutable_service()->set_port(kHttpsPort);
}

}  // namespace

std::vector<RuleRow> AdmissionRules() {
  using namespace admissionregistration::v1;  // NOLINT: a table of its kinds
  return {
      Row<apiextensions::v1::CustomResourceDefinition, DefaultDefinition>(),
      Row<apiregistration::v1::APIService, DefaultApiService>(),
      Row<MutatingAdmissionPolicy, DefaultPolicy<MutatingAdmissionPolicy>>(),
      Row<MutatingAdmissionPolicyBinding, DefaultPolicyBinding<MutatingAdmissionPolicyBinding>>(),
      Row<MutatingWebhookConfiguration, DefaultMutating>(),
      Row<ValidatingAdmissionPolicy, DefaultPolicy<ValidatingAdmissionPolicy>>(),
      Row<ValidatingAdmissionPolicyBinding,
          DefaultPolicyBinding<ValidatingAdmissionPolicyBinding>>(),
      Row<ValidatingWebhookConfiguration, DefaultValidating>(),
  };
}

}  // namespace gantry::api::defaults

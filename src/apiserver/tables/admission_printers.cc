#include <string>

#include "api/admissionregistration/v1/admissionregistration.pb.h"
#include "api/selector.h"
#include "apiserver/tables/cell_text.h"
#include "apiserver/tables/printer.h"

namespace gantry::apiserver::tables {
namespace {

namespace admission = api::admissionregistration::v1;

constexpr Column kWebhooks[] = {kName, Number("Webhooks", "How many webhooks it has"), kAge};
template <class Configuration>
void WebhooksRow(const Configuration& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.webhooks_size());
  cells.Age(object.metadata());
}

std::string ParamKindText(bool set, const admission::ParamKind& kind) {
  if (!set) return std::string(kUnset);
  return kind.api_version().empty() ? kind.kind() : kind.api_version() + "/" + kind.kind();
}

constexpr Column kParamKind = Text("ParamKind", "Kind of the objects that hold parameters");

constexpr Column kValidatingPolicy[] = {
    kName,
    Number("Validations", "How many rules it has"),
    kParamKind,
    kAge,
};
void ValidatingPolicyRow(const admission::ValidatingAdmissionPolicy& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.spec().validations_size());
  cells.Add(ParamKindText(object.spec().has_param_kind(), object.spec().param_kind()));
  cells.Age(object.metadata());
}

constexpr Column kMutatingPolicy[] = {
    kName,
    Number("Mutations", "How many changes it makes"),
    kParamKind,
    kAge,
};
void MutatingPolicyRow(const admission::MutatingAdmissionPolicy& object, Cells& cells) {
  cells.Add(object.metadata().name());
  cells.Add(object.spec().mutations_size());
  cells.Add(ParamKindText(object.spec().has_param_kind(), object.spec().param_kind()));
  cells.Age(object.metadata());
}

constexpr Column kPolicyBinding[] = {
    kName,
    Text("PolicyName", "Policy that is put to work"),
    Text("ParamRef", "Objects that hold its parameters"),
    kAge,
};
template <class Binding>
void PolicyBindingRow(const Binding& object, Cells& cells) {
  const admission::ParamRef& reference = object.spec().param_ref();
  std::string text(kUnset);
  if (object.spec().has_param_ref()) {
    if (!reference.name().empty()) {
      text = std::string(OrElse(reference.namespace_(), "*")) + "/" + reference.name();
    } else if (reference.has_selector()) {
      text = SelectorText(reference.selector());
    }
  }
  cells.Add(object.metadata().name());
  cells.Add(object.spec().policy_name());
  cells.Add(text);
  cells.Age(object.metadata());
}

}  // namespace

std::span<const Printer> AdmissionPrinters() {
  static const Printer printers[] = {
      PrinterOf<admission::MutatingAdmissionPolicy, MutatingPolicyRow>(kMutatingPolicy),
      PrinterOf<admission::MutatingAdmissionPolicyBinding,
                PolicyBindingRow<admission::MutatingAdmissionPolicyBinding>>(kPolicyBinding),
      PrinterOf<admission::MutatingWebhookConfiguration,
                WebhooksRow<admission::MutatingWebhookConfiguration>>(kWebhooks),
      PrinterOf<admission::ValidatingAdmissionPolicy, ValidatingPolicyRow>(kValidatingPolicy),
      PrinterOf<admission::ValidatingAdmissionPolicyBinding,
                PolicyBindingRow<admission::ValidatingAdmissionPolicyBinding>>(kPolicyBinding),
      PrinterOf<admission::ValidatingWebhookConfiguration,
                WebhooksRow<admission::ValidatingWebhookConfiguration>>(kWebhooks),
  };
  return printers;
}

}  // namespace gantry::apiserver::tables

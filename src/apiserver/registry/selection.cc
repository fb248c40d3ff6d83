#include <algorithm>

#include "api/selector.h"
#include "apiserver/registry/messages.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

constexpr std::string_view kName = "metadata.name", kNamespace = "metadata.namespace";

// What some fields are called in selectors, against where they stand.
std::string TextOfField(const api::Object& object, std::string_view field) {
  if (field == kName) return object.name();
  if (field == kNamespace) return object.ns();
  const Message& message = object.message();
  if (object.kind().kind == "Pod" && field == "status.podIPs") field = "status.podIP";
  if (object.kind().kind == "Pod" && field == "spec.hostNetwork") {
    std::string text = FieldText(message, field);
    return text.empty() ? "false" : text;
  }
  if (object.kind().kind == "Event") {
    if (field == "source") {
      std::string component = FieldText(message, "source.component");
      return component.empty() ? FieldText(message, "reportingComponent") : component;
    }
    if (field == "reportingController") field = "reportingComponent";
    if (field.substr(0, 10) == "regarding.") {
      return FieldText(message, "involvedObject." + std::string(field.substr(10)));
    }
  }
  if (field == "status.successful") field = "status.succeeded";
  return FieldText(message, field);
}

Status CheckField(const ResourceRow& row, std::string_view field) {
  if (field == kName || field == kNamespace) return {};
  std::span<const std::string_view> known = row.strategy->selectable_fields;
  if (std::find(known.begin(), known.end(), field) != known.end()) return {};
  if (known.empty()) {
    return BadRequest(
        "\"" + std::string(field) +
        "\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"");
  }
  return BadRequest("field label not supported: " + std::string(field));
}

}  // namespace

Result<store::Selection> SelectionOf(const ResourceRow& row, std::string_view ns,
                                     std::string_view label_selector,
                                     std::string_view field_selector) {
  store::Selection selection;
  selection.ns = std::string(ns);
  GANTRY_ASSIGN(api::Selector labels, api::Selector::Parse(label_selector));
  GANTRY_ASSIGN(api::FieldSelector fields, api::FieldSelector::Parse(field_selector));

  std::vector<api::FieldSelector::Requirement> rest;
  for (const api::FieldSelector::Requirement& requirement : fields.requirements()) {
    GANTRY_TRY(CheckField(row, requirement.field));
    bool equals = requirement.op == api::FieldSelector::Op::kEquals;
    if (equals && requirement.field == kName && selection.name.empty() &&
        !requirement.value.empty()) {
      selection.name = requirement.value;
    } else if (equals && requirement.field == kNamespace && selection.ns.empty() &&
               !requirement.value.empty()) {
      selection.ns = requirement.value;
    } else if (equals && requirement.field == "spec.nodeName" && row.kind->kind == "Pod" &&
               selection.index.empty()) {
      selection.index = "spec.nodeName";
      selection.index_value = requirement.value;
    } else {
      rest.push_back(requirement);
    }
  }
  if (!labels.empty() || !rest.empty()) {
    selection.matches = [labels = std::move(labels),
                         rest = std::move(rest)](const api::Object& object) {
      if (!labels.Matches(object.meta().labels())) return false;
      for (const api::FieldSelector::Requirement& requirement : rest) {
        bool same = TextOfField(object, requirement.field) == requirement.value;
        if (same != (requirement.op == api::FieldSelector::Op::kEquals)) return false;
      }
      return true;
    };
  }
  return selection;
}

}  // namespace gantry::apiserver

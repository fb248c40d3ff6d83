#pragma once

#include "api/meta/v1/object_meta.pb.h"
#include "api/meta/v1/selector.pb.h"
#include "api/validation/check.h"

// Metadata and label selectors, which all kinds have.
namespace gantry::api::validation {

// What a kind asks of its names. A prefix (generateName) may end with a dash.
using NameRule = Complaints (*)(std::string_view name, bool prefix);
Complaints NameIsDns1123Subdomain(std::string_view name, bool prefix);
Complaints NameIsDns1123Label(std::string_view name, bool prefix);
Complaints NameIsDns1035Label(std::string_view name, bool prefix);
Complaints NameIsPathSegment(std::string_view name, bool prefix);

void CheckMeta(const meta::v1::ObjectMeta& meta, bool namespaced, NameRule rule, Errors* errors);
// That resourceVersion is set is for the one to check who knows whether the kind needs it.
void CheckMetaUpdate(const meta::v1::ObjectMeta& meta, const meta::v1::ObjectMeta& old,
                     Errors* errors);

void CheckLabels(const Path& path, const StringMap& labels, Errors* errors);
void CheckAnnotations(const Path& path, const StringMap& annotations, Errors* errors);
void CheckLabelSelector(const Path& path, const meta::v1::LabelSelector& selector, Errors* errors);
bool IsEmpty(const meta::v1::LabelSelector& selector);
bool Matches(const StringMap& selector, const StringMap& labels);

}  // namespace gantry::api::validation

#pragma once

#include "api/json_value.h"
#include "apiserver/apply/compare.h"
#include "apiserver/apply/field_set.h"
#include "base/status.h"

// JSON documents read by the schema of a message: what server-side apply merges.
namespace gantry::apiserver::apply {

// The paths that a document sets. Fails with the path where the document is not of the type.
Result<FieldSet> FieldSetOf(const Plan& plan, const api::JsonValue& document);

// `live` with everything that `applied` sets. Both are of the type (FieldSetOf succeeded).
api::JsonValue Merge(const Plan& plan, api::JsonValue live, const api::JsonValue& applied);

// Takes out every path of the set that the document has, with all that is below it.
void RemovePaths(const Plan& plan, const FieldSet::Nodes& nodes, api::JsonValue* document);

// Makes members of all declared fields that lie on the way to a path of the set.
void AddNamedFields(const Plan& plan, FieldSet::Nodes* nodes);

}  // namespace gantry::apiserver::apply

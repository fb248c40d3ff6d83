#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "api/field_error.h"
#include "api/object.h"
#include "apiserver/registry/resource_row.h"
#include "base/status.h"

namespace gantry::apiserver {

// Subresources that are another way to see and change the object itself: status, scale, approval,
// finalize, ephemeralcontainers, resize. Plain functions; any thread.

// What GET of the subresource shows. Null for one that is no view.
Result<api::ObjectPtr> ViewOf(const ResourceRow& row, std::string_view subresource,
                              const api::ObjectPtr& object);

// The object as it becomes when `shown` (of the kind that ViewOf gives, stored version) is written
// to the subresource. metadata.resourceVersion of `shown` is kept as the precondition.
Result<std::unique_ptr<google::protobuf::Message>> Absorb(
    const ResourceRow& row, std::string_view subresource, const google::protobuf::Message& live,
    std::unique_ptr<google::protobuf::Message> shown);

// Rules of its own for an update through this subresource, or null for the usual ones.
std::function<api::FieldErrors(const google::protobuf::Message&, const google::protobuf::Message&)>
ValidatorOf(const ResourceRow& row, std::string_view subresource);

// The kind that is read and written through a subresource (Scale, Binding, the kind itself).
const api::KindInfo* KindOfSubresource(const ResourceRow& row, std::string_view subresource);

}  // namespace gantry::apiserver

#pragma once

#include <google/protobuf/message.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/core/v1/pod.pb.h"
#include "api/core/v1/resource_quota.pb.h"
#include "api/kinds.h"
#include "api/quantity.h"

// What objects count against the quotas of their namespace. Shared by admission, which charges, and
// the quota controller, which counts again.
namespace gantry::api {

using QuotaAmounts = std::map<std::string, Quantity, std::less<>>;
using QuantityMap = google::protobuf::Map<std::string, resource::Quantity>;

// What one object of a namespaced, stored kind counts, by the names that `spec.hard` uses. A pod
// that has ended counts as an object only.
QuotaAmounts QuotaUsage(const KindInfo& kind, const google::protobuf::Message& object);

// True where objects of the kind may count under this name ("pods", "count/pods",
// "requests.storage").
bool QuotaCountsKind(const KindInfo& kind, std::string_view name);

// True where the object is in all of the quota's scopes. Only pods are in any.
bool InQuotaScopes(const core::v1::ResourceQuotaSpec& spec, const KindInfo& kind,
                   const google::protobuf::Message& object);

// What a pod must say to be counted and does not: "limits.cpu for: a,b; requests.cpu for: a". Empty
// where nothing is missing. `names` are the quota's.
std::string MissingForQuota(const core::v1::PodSpec& spec, const std::vector<std::string>& names);

QuotaAmounts ToQuotaAmounts(const QuantityMap& list);

}  // namespace gantry::api

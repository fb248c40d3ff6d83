#pragma once

#include <set>

#include "api/core/v1/resources.pb.h"
#include "api/quantity.h"
#include "api/validation/check.h"

// Names and amounts of resources.
namespace gantry::api::validation {

bool IsHugePages(std::string_view name);
bool IsNativeResource(std::string_view name);
bool IsExtendedResource(std::string_view name);
bool IsIntegerResource(std::string_view name);
bool IsOvercommitAllowed(std::string_view name);
bool IsStandardQuotaResource(std::string_view name);

void CheckResourceName(const Path& path, std::string_view name, Errors* errors);
void CheckContainerResourceName(const Path& path, std::string_view name, Errors* errors);
void CheckPodResourceName(const Path& path, std::string_view name, Errors* errors);
void CheckQuotaResourceName(const Path& path, std::string_view name, Errors* errors);

// Not negative, and whole where the resource comes in whole numbers.
void CheckQuantity(const Path& path, std::string_view name, const resource::Quantity& quantity,
                   Errors* errors);
void CheckPositive(const Path& path, const resource::Quantity& quantity, Errors* errors);
void CheckBasicQuantity(const Path& path, const resource::Quantity& quantity, Errors* errors);

using ResourceNameCheck = void (*)(const Path&, std::string_view, Errors*);
void CheckResourceRequirements(const Path& path, const core::v1::ResourceRequirements& resources,
                               ResourceNameCheck check_name, const std::set<std::string>& claims,
                               Errors* errors);

inline Quantity ToQuantity(const resource::Quantity& quantity) {
  return Quantity::ParseOrZero(quantity.string());
}
// Zero where the map has no such key.
inline Quantity Amount(const QuantityMap& map, const std::string& name) {
  auto found = map.find(name);
  return found == map.end() ? Quantity() : ToQuantity(found->second);
}

}  // namespace gantry::api::validation

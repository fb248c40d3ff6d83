#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gantry::api {

// Checks of the text formats that the API knows. Each returns what is wrong, in the words of
// apimachinery's validation package; empty means fine.
using Complaints = std::vector<std::string>;

Complaints IsDns1123Label(std::string_view value);
Complaints IsDns1123Subdomain(std::string_view value);
Complaints IsDns1123SubdomainWithUnderscore(std::string_view value);
Complaints IsDns1035Label(std::string_view value);
Complaints IsWildcardDns1123Subdomain(std::string_view value);
Complaints IsQualifiedName(std::string_view value);
Complaints IsLabelValue(std::string_view value);
Complaints IsCIdentifier(std::string_view value);
Complaints IsEnvVarName(std::string_view value);         // the strict form, for prefixes
Complaints IsRelaxedEnvVarName(std::string_view value);  // any printable ASCII but '='
Complaints IsConfigMapKey(std::string_view value);
Complaints IsHttpHeaderName(std::string_view value);
Complaints IsPortName(std::string_view value);
Complaints IsPortNumber(int64_t port);
Complaints IsInRange(int64_t value, int64_t low, int64_t high);
Complaints IsPercent(std::string_view value);
// A segment of a URL path: names of RBAC objects.
Complaints IsPathSegmentName(std::string_view value);
Complaints IsPathSegmentPrefix(std::string_view value);

// "must be between 1 and 65535, inclusive", "must be no more than 63 characters"
std::string InclusiveRangeError(int64_t low, int64_t high);
std::string MaxLengthError(size_t length);

// Addresses in canonical decimal form; no leading zeros, no IPv4 in IPv6.
bool IsIpV4(std::string_view value);
bool IsIpV6(std::string_view value);
inline bool IsIp(std::string_view value) { return IsIpV4(value) || IsIpV6(value); }
bool IsCidr(std::string_view value);
inline bool IsIpV6Cidr(std::string_view value) { return value.find(':') != std::string_view::npos; }

// Without the trailing dashes that a generated name may have before its suffix: what the checks
// above take.
std::string MaskTrailingDash(std::string_view prefix);

}  // namespace gantry::api

#include "api/formats.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace gantry::api {
namespace {

constexpr size_t kLabelLength = 63;
constexpr size_t kSubdomainLength = 253;

constexpr char kDns1123LabelError[] =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end "
    "with an alphanumeric character";
constexpr char kDns1123LabelPattern[] = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
constexpr char kDns1123SubdomainError[] =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start "
    "and end with an alphanumeric character";
constexpr char kDns1123SubdomainPattern[] =
    "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
constexpr char kDns1035LabelError[] =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, "
    "and end with an alphanumeric character";
constexpr char kQualifiedNameError[] =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character";
constexpr char kQualifiedNamePattern[] = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
constexpr char kLabelValueError[] =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and "
    "end with an alphanumeric character";

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlpha(char c) { return IsLower(c) || (c >= 'A' && c <= 'Z'); }
bool IsLowerAlnum(char c) { return IsLower(c) || IsDigit(c); }
bool IsAlnum(char c) { return IsAlpha(c) || IsDigit(c); }

// "... (e.g. 'a',  or 'b', regex used for validation is 'x')", with the double blank that is
// upstream's own.
std::string RegexError(std::string_view message, std::string_view pattern,
                       std::initializer_list<std::string_view> examples) {
  std::string out(message);
  out += " (";
  bool first = true;
  for (std::string_view example : examples) {
    out += first ? "e.g. '" : " or '";
    first = false;
    out.append(example).append("', ");
  }
  out.append("regex used for validation is '").append(pattern).append("')");
  return out;
}

constexpr char kEmptyError[] = "must be non-empty";

template <class Inner>
bool Framed(std::string_view value, bool (*edge)(char), Inner inner) {
  return !value.empty() && edge(value.front()) && edge(value.back()) &&
         std::all_of(value.begin(), value.end(), inner);
}

bool MatchesLabel(std::string_view value) {
  return Framed(value, IsLowerAlnum, [](char c) { return IsLowerAlnum(c) || c == '-'; });
}

template <class Label>
bool MatchesDotted(std::string_view value, Label label) {
  while (true) {
    size_t dot = value.find('.');
    if (!label(value.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    value.remove_prefix(dot + 1);
  }
}

bool MatchesSubdomain(std::string_view value) { return MatchesDotted(value, MatchesLabel); }

bool MatchesQualified(std::string_view value) {
  return Framed(value, IsAlnum,
                [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool MatchesIdentifier(std::string_view value, std::string_view more) {
  auto first = [more](char c) {
    return IsAlpha(c) || c == '_' || more.find(c) != std::string_view::npos;
  };
  return !value.empty() && first(value[0]) &&
         std::all_of(value.begin(), value.end(), [&](char c) { return first(c) || IsDigit(c); });
}

void AddChdirComplaints(std::string_view value, Complaints* complaints) {
  if (value == ".") {
    complaints->push_back("must not be '.'");
  } else if (value == "..") {
    complaints->push_back("must not be '..'");
  } else if (value.starts_with("..")) {
    complaints->push_back("must not start with '..'");
  }
}

}  // namespace

std::string MaxLengthError(size_t length) {
  return "must be no more than " + std::to_string(length) + " bytes";
}

std::string InclusiveRangeError(int64_t low, int64_t high) {
  return "must be between " + std::to_string(low) + " and " + std::to_string(high) + ", inclusive";
}

Complaints IsDns1123Label(std::string_view value) {
  Complaints out;
  if (value.size() > kLabelLength) out.push_back(MaxLengthError(kLabelLength));
  if (!MatchesLabel(value)) {
    if (MatchesSubdomain(value)) {
      // The likely mistake deserves the plainer words.
      out.push_back("must not contain dots");
    } else {
      out.push_back(RegexError(kDns1123LabelError, kDns1123LabelPattern, {"my-name", "123-abc"}));
    }
  }
  return out;
}

Complaints IsDns1123Subdomain(std::string_view value) {
  Complaints out;
  if (value.size() > kSubdomainLength) out.push_back(MaxLengthError(kSubdomainLength));
  if (!MatchesSubdomain(value)) {
    out.push_back(RegexError(kDns1123SubdomainError, kDns1123SubdomainPattern, {"example.com"}));
  }
  return out;
}

Complaints IsDns1123SubdomainWithUnderscore(std::string_view value) {
  Complaints out;
  if (value.size() > kSubdomainLength) out.push_back(MaxLengthError(kSubdomainLength));
  bool matches = MatchesDotted(value, [](std::string_view label) {
    if (label.starts_with('_')) label.remove_prefix(1);
    return Framed(label, IsLowerAlnum,
                  [](char c) { return IsLowerAlnum(c) || c == '-' || c == '_'; });
  });
  if (!matches) {
    out.push_back(RegexError(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', "
        "'-' or '.', and must "
        "start and end with an alphanumeric character",
        "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*", {"example.com"}));
  }
  return out;
}

Complaints IsDns1035Label(std::string_view value) {
  Complaints out;
  if (value.size() > kLabelLength) out.push_back(MaxLengthError(kLabelLength));
  if (!MatchesLabel(value) || !IsLower(value[0])) {
    out.push_back(
        RegexError(kDns1035LabelError, "[a-z]([-a-z0-9]*[a-z0-9])?", {"my-name", "abc-123"}));
  }
  return out;
}

Complaints IsWildcardDns1123Subdomain(std::string_view value) {
  Complaints out;
  if (value.size() > kSubdomainLength) out.push_back(MaxLengthError(kSubdomainLength));
  if (!value.starts_with("*.") || !MatchesSubdomain(value.substr(2))) {
    out.push_back(RegexError(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, "
        "which must consist of "
        "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        std::string("\\*\\.") + kDns1123SubdomainPattern, {"*.example.com"}));
  }
  return out;
}

Complaints IsQualifiedName(std::string_view value) {
  Complaints out;
  std::string_view name = value;
  size_t slash = value.find('/');
  if (slash != std::string_view::npos && value.find('/', slash + 1) != std::string_view::npos) {
    out.push_back(
        "a valid label key " +
        RegexError(kQualifiedNameError, kQualifiedNamePattern, {"MyName", "my.name", "123-abc"}) +
        " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
    return out;
  }
  if (slash != std::string_view::npos) {
    std::string_view prefix = value.substr(0, slash);
    name = value.substr(slash + 1);
    if (prefix.empty()) {
      out.push_back(std::string("prefix part ") + kEmptyError);
    } else {
      for (const std::string& complaint : IsDns1123Subdomain(prefix))
        out.push_back("prefix part " + complaint);
    }
  }
  if (name.empty()) {
    out.push_back(std::string("name part ") + kEmptyError);
  } else if (name.size() > kLabelLength) {
    out.push_back("name part " + MaxLengthError(kLabelLength));
  }
  if (!MatchesQualified(name)) {
    out.push_back("name part " + RegexError(kQualifiedNameError, kQualifiedNamePattern,
                                            {"MyName", "my.name", "123-abc"}));
  }
  return out;
}

Complaints IsLabelValue(std::string_view value) {
  Complaints out;
  if (value.size() > kLabelLength) out.push_back(MaxLengthError(kLabelLength));
  if (!value.empty() && !MatchesQualified(value)) {
    out.push_back(RegexError(kLabelValueError, "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
                             {"MyValue", "my_value", "12345"}));
  }
  return out;
}

Complaints IsCIdentifier(std::string_view value) {
  if (MatchesIdentifier(value, "")) return {};
  return {RegexError(
      "a valid C identifier must start with alphabetic character or '_', followed by a string of "
      "alphanumeric characters or '_'",
      "[A-Za-z_][A-Za-z0-9_]*", {"my_name", "MY_NAME", "MyName"})};
}

Complaints IsEnvVarName(std::string_view value) {
  Complaints out;
  if (!MatchesIdentifier(value, "-.")) {
    out.push_back(RegexError(
        "a valid environment variable name must consist of alphabetic characters, digits, '_', "
        "'-', or '.', and must not start with a digit",
        "[-._a-zA-Z][-._a-zA-Z0-9]*", {"my.env-name", "MY_ENV.NAME", "MyEnvName1"}));
  }
  AddChdirComplaints(value, &out);
  return out;
}

Complaints IsRelaxedEnvVarName(std::string_view value) {
  Complaints out;
  if (value.empty()) out.push_back("environment variable name " + std::string(kEmptyError));
  for (char c : value) {
    if (c < 32 || c > 126 || c == '=') {
      out.push_back(
          "a valid environment variable name must consist only of printable ASCII characters other "
          "than '='");
      break;
    }
  }
  return out;
}

Complaints IsConfigMapKey(std::string_view value) {
  Complaints out;
  if (value.size() > kSubdomainLength) out.push_back(MaxLengthError(kSubdomainLength));
  bool fine = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return IsAlnum(c) || c == '-' || c == '_' || c == '.';
  });
  if (!fine) {
    out.push_back(
        RegexError("a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                   "[-._a-zA-Z0-9]+", {"key.name", "KEY_NAME", "key-name"}));
  }
  AddChdirComplaints(value, &out);
  return out;
}

Complaints IsHttpHeaderName(std::string_view value) {
  bool fine = !value.empty() && std::all_of(value.begin(), value.end(),
                                            [](char c) { return IsAlnum(c) || c == '-'; });
  if (fine) return {};
  return {RegexError("a valid HTTP header must consist of alphanumeric characters or '-'",
                     "[-A-Za-z0-9]+", {"X-Header-Name"})};
}

Complaints IsPortName(std::string_view value) {
  Complaints out;
  if (value.size() > 15) out.push_back(MaxLengthError(15));
  if (!std::all_of(value.begin(), value.end(),
                   [](char c) { return IsLowerAlnum(c) || c == '-'; }) ||
      value.empty()) {
    out.push_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (std::none_of(value.begin(), value.end(), IsLower))
    out.push_back("must contain at least one letter (a-z)");
  if (value.find("--") != std::string_view::npos)
    out.push_back("must not contain consecutive hyphens");
  if (!value.empty() && (value.front() == '-' || value.back() == '-')) {
    out.push_back("must not begin or end with a hyphen");
  }
  return out;
}

Complaints IsPortNumber(int64_t port) { return IsInRange(port, 1, 65535); }

Complaints IsInRange(int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return {};
  return {InclusiveRangeError(low, high)};
}

Complaints IsPercent(std::string_view value) {
  bool fine = value.size() >= 2 && value.back() == '%' &&
              std::all_of(value.begin(), value.end() - 1, IsDigit);
  if (fine) return {};
  return {RegexError("a valid percent string must be a numeric string followed by an ending '%'",
                     "[0-9]+%", {"1%", "93%"})};
}

Complaints IsPathSegmentName(std::string_view value) {
  if (value == ".") return {"may not be '.'"};
  if (value == "..") return {"may not be '..'"};
  return IsPathSegmentPrefix(value);
}

Complaints IsPathSegmentPrefix(std::string_view value) {
  Complaints out;
  for (char c : {'/', '%'}) {
    if (value.find(c) != std::string_view::npos)
      out.push_back("may not contain '" + std::string(1, c) + "'");
  }
  return out;
}

bool IsIpV4(std::string_view value) {
  // inet_pton takes no leading zeros and no short forms.
  if (value.size() > 15) return false;
  in_addr address;
  return inet_pton(AF_INET, std::string(value).c_str(), &address) == 1;
}

bool IsIpV6(std::string_view value) {
  if (value.size() > 45 || value.find(':') == std::string_view::npos) return false;
  in6_addr address;
  if (inet_pton(AF_INET6, std::string(value).c_str(), &address) != 1) return false;
  return !IN6_IS_ADDR_V4MAPPED(&address);
}

bool IsCidr(std::string_view value) {
  size_t slash = value.find('/');
  if (slash == std::string_view::npos) return false;
  std::string_view address = value.substr(0, slash);
  std::string_view length = value.substr(slash + 1);
  if (length.empty() || length.size() > 3 || !std::all_of(length.begin(), length.end(), IsDigit))
    return false;
  if (length.size() > 1 && length[0] == '0') return false;
  int bits = 0;
  std::from_chars(length.data(), length.data() + length.size(), bits);
  return (IsIpV4(address) && bits <= 32) || (IsIpV6(address) && bits <= 128);
}

std::string MaskTrailingDash(std::string_view prefix) {
  std::string out(prefix);
  if (out.size() > 1 && out.back() == '-') out.back() = 'a';
  return out;
}

}  // namespace gantry::api

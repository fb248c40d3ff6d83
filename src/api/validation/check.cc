#include "api/validation/check.h"

#include <arpa/inet.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "api/json.h"
#include "api/quantity.h"
#include "api/quote.h"

namespace gantry::api::validation {
namespace {

template <class Map, class Value>
std::string MapText(const Map& map, Value value_text) {
  std::map<std::string_view, std::string> sorted;
  for (const auto& [key, value] : map)
    sorted[key] = value_text(value);
  std::string text = "{";
  for (const auto& [key, value] : sorted) {
    if (text.size() > 1) text += ',';
    AppendJsonString(key, &text);
    text += ":" + value;
  }
  return text + "}";
}

std::string JsonText(std::string_view value) {
  std::string text;
  AppendJsonString(value, &text);
  return text;
}

}  // namespace

std::string Path::ToString() const {
  std::string text = parent_ != nullptr ? parent_->ToString() : "";
  switch (kind_) {
    case Kind::kName:
      // Kubernetes shows the object itself as "[]".
      if (name_.empty()) return text + "[]";
      if (!text.empty()) text += '.';
      text += name_;
      break;
    case Kind::kIndex:
      text += "[" + std::to_string(index_) + "]";
      break;
    case Kind::kKey:
      text += "[" + std::string(name_) + "]";
      break;
  }
  return text;
}

Bad::Bad(std::string_view value) : text_(GoQuote(value)) {}
Bad::Bad(const std::string& value) : text_(GoQuote(value)) {}
Bad::Bad(const char* value) : text_(GoQuote(value)) {}
Bad::Bad(int32_t value) : text_(std::to_string(value)) {}
Bad::Bad(int64_t value) : text_(std::to_string(value)) {}
Bad::Bad(bool value) : text_(value ? "true" : "false") {}
Bad::Bad(std::nullptr_t) : text_("null") {}
Bad::Bad(const google::protobuf::Message& value) { WriteJson(value, &text_); }
Bad::Bad(const StringMap& value)
    : text_(MapText(value, [](const std::string& text) { return JsonText(text); })) {}
Bad::Bad(const QuantityMap& value)
    : text_(MapText(
          value, [](const resource::Quantity& quantity) { return JsonText(quantity.string()); })) {}
Bad::Bad(const Strings& values) : text_("[") {
  for (const std::string& value : values)
    text_ += (text_.size() > 1 ? "," : "") + JsonText(value);
  text_ += "]";
}

void Errors::Add(FieldError::Type type, const Path& path, std::string message,
                 std::string_view detail) {
  if (!detail.empty()) message.append(": ").append(detail);
  list_.push_back({type, path.ToString(), std::move(message)});
}

void Errors::SortFrom(size_t mark) {
  if (list_.size() - mark < 2) return;
  std::sort(list_.begin() + static_cast<ptrdiff_t>(mark), list_.end(),
            [](const FieldError& a, const FieldError& b) {
              return std::tie(a.field, a.message) < std::tie(b.field, b.message);
            });
}

void Errors::Required(const Path& path, std::string_view detail) {
  Add(FieldError::Type::kRequired, path, "Required value", detail);
}
void Errors::Forbidden(const Path& path, std::string_view detail) {
  Add(FieldError::Type::kForbidden, path, "Forbidden", detail);
}
void Errors::Invalid(const Path& path, const Bad& value, std::string_view detail) {
  Add(FieldError::Type::kInvalid, path, "Invalid value: " + value.text(), detail);
}
void Errors::Duplicate(const Path& path, const Bad& value, std::string_view detail) {
  Add(FieldError::Type::kDuplicate, path, "Duplicate value: " + value.text(), detail);
}
void Errors::NotFound(const Path& path, const Bad& value, std::string_view detail) {
  Add(FieldError::Type::kNotFound, path, "Not found: " + value.text(), detail);
}
void Errors::NotSupported(const Path& path, const Bad& value, Values values) {
  std::string detail;
  for (std::string_view supported : values) {
    detail += (detail.empty() ? "supported values: " : ", ") + GoQuote(supported);
  }
  Add(FieldError::Type::kNotSupported, path, "Unsupported value: " + value.text(), detail);
}
void Errors::TooLong(const Path& path, size_t longest) {
  Add(FieldError::Type::kTooLong, path, "Too long",
      "may not be more than " + std::to_string(longest) + " bytes");
}
void Errors::TooMany(const Path& path, int actual, int most) {
  Add(FieldError::Type::kTooMany, path, "Too many: " + std::to_string(actual),
      "must have at most " + std::to_string(most) + (most == 1 ? " item" : " items"));
}

bool IsOneOf(std::string_view value, Values values) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

void CheckEnum(const Path& path, std::string_view value, Values values, Errors* errors) {
  if (value.empty()) {
    errors->Required(path);
  } else if (!IsOneOf(value, values)) {
    errors->NotSupported(path, value, values);
  }
}

void CheckNonnegative(const Path& path, int64_t value, Errors* errors) {
  if (value < 0) errors->Invalid(path, value, kNegative);
}
void CheckDns1123Label(const Path& path, std::string_view value, Errors* errors) {
  errors->Complain(path, value, IsDns1123Label(value));
}
void CheckDns1123Subdomain(const Path& path, std::string_view value, Errors* errors) {
  errors->Complain(path, value, IsDns1123Subdomain(value));
}
void CheckQualifiedName(const Path& path, std::string_view value, Errors* errors) {
  errors->Complain(path, value, IsQualifiedName(value));
}
void CheckIp(const Path& path, std::string_view value, Errors* errors) {
  if (!IsIp(value))
    errors->Invalid(path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}
void CheckCidr(const Path& path, std::string_view value, Errors* errors) {
  if (!IsCidr(value)) {
    errors->Invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
  }
}

void CheckNonSpecialIp(const Path& path, std::string_view value, Errors* errors) {
  in_addr v4{};
  in6_addr v6{};
  std::string text(value);
  bool unspecified = false, loopback = false, link_local = false, multicast = false;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    uint32_t address = ntohl(v4.s_addr);
    unspecified = address == 0;
    loopback = address >> 24 == 127;
    link_local = address >> 16 == 0xa9fe;
    multicast = address >> 8 == 0xe00000;
  } else if (inet_pton(AF_INET6, text.c_str(), &v6) == 1) {
    unspecified = IN6_IS_ADDR_UNSPECIFIED(&v6);
    loopback = IN6_IS_ADDR_LOOPBACK(&v6);
    link_local = IN6_IS_ADDR_LINKLOCAL(&v6);
    multicast = IN6_IS_ADDR_MC_LINKLOCAL(&v6);
  } else {
    errors->Invalid(path, value, "must be a valid IP address");
    return;
  }
  if (unspecified) errors->Invalid(path, value, "may not be unspecified (" + text + ")");
  if (loopback)
    errors->Invalid(path, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (link_local)
    errors->Invalid(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (multicast) {
    errors->Invalid(path, value,
                    "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  }
}

void CheckPortNumberOrName(const Path& path, const intstr::IntOrString& port, Errors* errors) {
  if (port.type() == 0) {
    errors->Complain(path, port.int_val(), IsPortNumber(port.int_val()));
  } else {
    errors->Complain(path, port.str_val(), IsPortName(port.str_val()));
  }
}

void CheckLocalPath(const Path& path, std::string_view value, Errors* errors) {
  if (value.starts_with('/')) errors->Invalid(path, value, "must be a relative path");
  CheckNoBacksteps(path, value, errors);
}

void CheckNoBacksteps(const Path& path, std::string_view value, Errors* errors) {
  for (size_t start = 0; start <= value.size();) {
    size_t end = std::min(value.find('/', start), value.size());
    if (value.substr(start, end - start) == "..") {
      errors->Invalid(path, value, "must not contain '..'");
      return;
    }
    start = end + 1;
  }
}

void CheckLocalNonReservedPath(const Path& path, std::string_view value, Errors* errors) {
  CheckLocalPath(path, value, errors);
  // "../" has been reported already.
  if (value.starts_with("..") && !value.starts_with("../")) {
    errors->Invalid(path, value, "must not start with '..'");
  }
}

}  // namespace gantry::api::validation

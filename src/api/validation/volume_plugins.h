#pragma once

#include <algorithm>
#include <string>

#include "api/validation/check.h"

// Volume sources that pods and persistent volumes have in common; their messages differ only in how
// they name a secret.
namespace gantry::api::validation {

inline constexpr char kOneVolumeType[] = "may not specify more than 1 volume type";

inline void CheckPresent(const Path& path, const std::string& value, Errors* errors) {
  if (value.empty()) errors->Required(path);
}

template <class T>
void CheckHostPath(const Path& path, const T& source, Errors* errors) {
  if (source.path().empty()) {
    errors->Required(path.Child("path"));
    return;
  }
  CheckNoBacksteps(path.Child("path"), source.path(), errors);
  static constexpr std::string_view kTypes[] = {
      "",     "BlockDevice",  "CharDevice", "Directory", "DirectoryOrCreate",
      "File", "FileOrCreate", "Socket"};
  if (source.has_type() && !IsOneOf(source.type(), kTypes)) {
    errors->NotSupported(path.Child("type"), source.type(), kTypes);
  }
}

template <class T>
void CheckNfs(const Path& path, const T& source, Errors* errors) {
  CheckPresent(path.Child("server"), source.server(), errors);
  CheckPresent(path.Child("path"), source.path(), errors);
  if (!source.path().starts_with('/'))
    errors->Invalid(path.Child("path"), source.path(), "must be an absolute path");
}

template <class T>
void CheckDisk(const Path& path, std::string_view id_name, const std::string& id, const T& source,
               Errors* errors) {
  CheckPresent(path.Child(id_name), id, errors);
  if (source.partition() < 0 || source.partition() > 255) {
    errors->Invalid(path.Child("partition"), source.partition(), InclusiveRangeError(1, 255));
  }
}

template <class T>
void CheckIscsi(const Path& path, const T& source, Errors* errors) {
  CheckPresent(path.Child("targetPortal"), source.target_portal(), errors);
  auto known = [](const std::string& name) {
    return name.starts_with("iqn") || name.starts_with("eui") || name.starts_with("naa");
  };
  if (source.iqn().empty()) {
    errors->Required(path.Child("iqn"));
  } else if (!known(source.iqn())) {
    errors->Invalid(path.Child("iqn"), source.iqn(),
                    "must be valid format starting with iqn, eui, or naa");
  }
  if (source.lun() < 0 || source.lun() > 255) {
    errors->Invalid(path.Child("lun"), source.lun(), InclusiveRangeError(0, 255));
  }
  if ((source.chap_auth_discovery() || source.chap_auth_session()) && !source.has_secret_ref()) {
    errors->Required(path.Child("secretRef"));
  }
  if (source.has_initiator_name() && !known(source.initiator_name())) {
    errors->Invalid(path.Child("initiatorname"), source.initiator_name(),
                    "must be valid format starting with iqn, eui, or naa");
  }
}

template <class T>
void CheckFc(const Path& path, const T& source, Errors* errors) {
  if (source.target_wwns().empty() && source.wwids().empty()) {
    errors->Required(path.Child("targetWWNs"),
                     "must specify either targetWWNs or wwids, but not both");
  }
  if (!source.target_wwns().empty() && !source.wwids().empty()) {
    errors->Invalid(path.Child("targetWWNs"), source.target_wwns(),
                    "targetWWNs and wwids can not be specified simultaneously");
  }
  if (source.target_wwns().empty()) return;
  if (!source.has_lun()) {
    errors->Required(path.Child("lun"), "lun is required if targetWWNs is specified");
  } else if (source.lun() < 0 || source.lun() > 255) {
    errors->Invalid(path.Child("lun"), source.lun(), InclusiveRangeError(0, 255));
  }
}

template <class T>
void CheckRbd(const Path& path, const T& source, Errors* errors) {
  if (source.monitors().empty()) errors->Required(path.Child("monitors"));
  CheckPresent(path.Child("image"), source.image(), errors);
}

template <class T>
void CheckFlex(const Path& path, const T& source, Errors* errors) {
  CheckPresent(path.Child("driver"), source.driver(), errors);
  Path options = path.Child("options");
  size_t mark = errors->size();
  for (const auto& [key, value] : source.options()) {
    std::string domain = "." + key.substr(0, key.find('/'));
    std::transform(domain.begin(), domain.end(), domain.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io")) {
      errors->Invalid(options.Key(key), key, "kubernetes.io and k8s.io namespaces are reserved");
    }
  }
  errors->SortFrom(mark);
}

inline void CheckCsiDriverName(const Path& path, const std::string& driver, Errors* errors) {
  if (driver.empty()) errors->Required(path);
  if (driver.size() > 63) errors->TooLong(path, 63);
  std::string lower = driver;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  errors->Complain(path, driver, IsDns1123Subdomain(lower));
}

template <class T>
void CheckAzureDisk(const Path& path, const T& source, Errors* errors) {
  CheckPresent(path.Child("diskName"), source.disk_name(), errors);
  CheckPresent(path.Child("diskURI"), source.disk_uri(), errors);
  if (!IsOneOf(source.caching_mode(), {"None", "ReadOnly", "ReadWrite"})) {
    errors->NotSupported(path.Child("cachingMode"), source.caching_mode(),
                         {"None", "ReadOnly", "ReadWrite"});
  }
  if (!IsOneOf(source.kind(), {"Dedicated", "Managed", "Shared"})) {
    errors->NotSupported(path.Child("kind"), source.kind(), {"Dedicated", "Managed", "Shared"});
  }
}

// One volume type, and only one, in the order in which Kubernetes looks for them.
class OneSource {
 public:
  OneSource(const Path& path, Errors* errors) : path_(path), errors_(errors) {}

  template <class Source, class Check>
  void Try(bool has, std::string_view name, const Source& source, Check check) {
    if (!has) return;
    if (found_) {
      errors_->Forbidden(path_.Child(name), kOneVolumeType);
      return;
    }
    found_ = true;
    check(path_.Child(name), source, errors_);
  }
  void Done() {
    if (!found_) errors_->Required(path_, "must specify a volume type");
  }

 private:
  const Path& path_;
  Errors* errors_;
  bool found_ = false;
};

}  // namespace gantry::api::validation

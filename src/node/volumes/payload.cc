#include "node/volumes/payload.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <set>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/security.pb.h"
#include "api/core/v1/source.pb.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using api::core::v1::KeyToPath;
using google::protobuf::RepeatedPtrField;

constexpr int kDefaultMode = 0644;

// Picks keys out of an object's data, all of them under their own names when no items are given.
template <class Map>
Status AddKeys(const Map& data, const RepeatedPtrField<KeyToPath>& items, int mode, bool optional,
               std::string_view what, Payload* payload) {
  if (items.empty()) {
    for (const auto& [key, value] : data)
      (*payload)[key] = {value, mode};
    return Status::Ok();
  }
  for (const KeyToPath& item : items) {
    auto it = data.find(item.key());
    if (it == data.end()) {
      if (optional) continue;
      return Status(Code::kNotFound, std::string(what) + " key: " + item.key());
    }
    (*payload)[item.path()] = {it->second, item.has_mode() ? item.mode() : mode};
  }
  return Status::Ok();
}

template <class Refs>
const auto* FindObject(const Refs& refs, const std::string& name) {
  auto it = refs.find(name);
  return it == refs.end() || !it->second ? nullptr : &*it->second;
}

Status AddConfigMap(const PayloadInputs& in, const std::string& name,
                    const RepeatedPtrField<KeyToPath>& items, int mode, bool optional,
                    Payload* payload) {
  const auto* map = FindObject(in.objects->config_maps, name);
  if (map == nullptr) {
    if (optional) return Status::Ok();
    return Status(Code::kNotFound, "configmap \"" + name + "\" not found");
  }
  std::map<std::string, std::string> all(map->data().begin(), map->data().end());
  all.insert(map->binary_data().begin(), map->binary_data().end());
  return AddKeys(all, items, mode, optional, "configmap references non-existent config", payload);
}

Status AddSecret(const PayloadInputs& in, const std::string& name,
                 const RepeatedPtrField<KeyToPath>& items, int mode, bool optional,
                 Payload* payload) {
  const auto* secret = FindObject(in.objects->secrets, name);
  if (secret == nullptr) {
    if (optional) return Status::Ok();
    return Status(Code::kNotFound, "secret \"" + name + "\" not found");
  }
  return AddKeys(secret->data(), items, mode, optional, "references non-existent secret", payload);
}

Status AddDownward(const PayloadInputs& in,
                   const RepeatedPtrField<api::core::v1::DownwardAPIVolumeFile>& items, int mode,
                   Payload* payload) {
  for (const auto& item : items) {
    std::string value;
    if (item.has_field_ref()) {
      GANTRY_ASSIGN(value,
                    FieldValue(*in.pod, item.field_ref().field_path(), in.host_ips, in.pod_ips));
    } else if (item.has_resource_field_ref()) {
      const api::core::v1::Container* container = nullptr;
      for (const auto& c : in.pod->spec().containers()) {
        if (c.name() == item.resource_field_ref().container_name()) container = &c;
      }
      for (const auto& c : in.pod->spec().init_containers()) {
        if (c.name() == item.resource_field_ref().container_name()) container = &c;
      }
      if (container == nullptr) {
        return Status(Code::kNotFound,
                      "container " + item.resource_field_ref().container_name() + " not found");
      }
      GANTRY_ASSIGN(value,
                    ResourceValue(*in.pod, container, item.resource_field_ref(), in.allocatable));
    }
    (*payload)[item.path()] = {std::move(value), item.has_mode() ? item.mode() : mode};
  }
  return Status::Ok();
}

// The user of all containers, when each has been given one and it is the same.
std::optional<int64_t> OnlyUser(const api::core::v1::Pod& pod) {
  std::optional<int64_t> user;
  const auto& pod_context = pod.spec().security_context();
  auto agrees = [&](const auto& container) {
    const auto& context = container.security_context();
    if (!context.has_run_as_user() && !pod_context.has_run_as_user()) return false;
    int64_t own = context.has_run_as_user() ? context.run_as_user() : pod_context.run_as_user();
    if (!user) user = own;
    return *user == own;
  };
  const auto& spec = pod.spec();
  bool all = std::all_of(spec.init_containers().begin(), spec.init_containers().end(), agrees) &&
             std::all_of(spec.containers().begin(), spec.containers().end(), agrees);
  for (const auto& ephemeral : spec.ephemeral_containers())
    all = all && agrees(ephemeral.ephemeral_container_common());
  return all ? user : std::nullopt;
}

Status AddToken(const PayloadInputs& in, const api::core::v1::ServiceAccountTokenProjection& source,
                int mode, Payload* payload) {
  int64_t seconds = source.has_expiration_seconds() ? source.expiration_seconds() : 3600;
  auto it = in.tokens.find({source.audience(), seconds});
  if (it == in.tokens.end()) return Unavailable("failed to fetch token");
  // Where one user or group is the only one to read it, nobody else may.
  std::optional<int64_t> user = OnlyUser(*in.pod);
  bool closed = user.has_value() || in.pod->spec().security_context().has_fs_group();
  (*payload)[source.path()] = {it->second, closed ? 0600 : mode, user};
  return Status::Ok();
}

}  // namespace

bool HasPayload(const api::core::v1::VolumeSource& source) {
  return source.has_config_map() || source.has_secret() || source.has_downward_api() ||
         source.has_projected();
}

void AddVolumeReferences(const api::core::v1::VolumeSource& source, ObjectNames* names) {
  if (source.has_config_map())
    names->config_maps.push_back(source.config_map().local_object_reference().name());
  if (source.has_secret()) names->secrets.push_back(source.secret().secret_name());
  for (const auto& part : source.projected().sources()) {
    if (part.has_config_map())
      names->config_maps.push_back(part.config_map().local_object_reference().name());
    if (part.has_secret()) names->secrets.push_back(part.secret().local_object_reference().name());
  }
}

std::vector<TokenSource> TokensOf(const api::core::v1::VolumeSource& source) {
  std::vector<TokenSource> tokens;
  for (const auto& part : source.projected().sources()) {
    if (!part.has_service_account_token()) continue;
    const auto& token = part.service_account_token();
    tokens.push_back(
        {token.audience(), token.has_expiration_seconds() ? token.expiration_seconds() : 3600});
  }
  return tokens;
}

Result<Payload> BuildPayload(const api::core::v1::VolumeSource& source, const PayloadInputs& in) {
  Payload payload;
  auto mode_of = [](const auto& volume) {
    return volume.has_default_mode() ? volume.default_mode() : kDefaultMode;
  };
  if (source.has_config_map()) {
    const auto& volume = source.config_map();
    GANTRY_TRY(AddConfigMap(in, volume.local_object_reference().name(), volume.items(),
                            mode_of(volume), volume.optional(), &payload));
  } else if (source.has_secret()) {
    const auto& volume = source.secret();
    GANTRY_TRY(AddSecret(in, volume.secret_name(), volume.items(), mode_of(volume),
                         volume.optional(), &payload));
  } else if (source.has_downward_api()) {
    GANTRY_TRY(
        AddDownward(in, source.downward_api().items(), mode_of(source.downward_api()), &payload));
  } else if (source.has_projected()) {
    int mode = mode_of(source.projected());
    for (const auto& part : source.projected().sources()) {
      if (part.has_config_map()) {
        const auto& p = part.config_map();
        GANTRY_TRY(AddConfigMap(in, p.local_object_reference().name(), p.items(), mode,
                                p.optional(), &payload));
      } else if (part.has_secret()) {
        const auto& p = part.secret();
        GANTRY_TRY(AddSecret(in, p.local_object_reference().name(), p.items(), mode, p.optional(),
                             &payload));
      } else if (part.has_downward_api()) {
        GANTRY_TRY(AddDownward(in, part.downward_api().items(), mode, &payload));
      } else if (part.has_service_account_token()) {
        GANTRY_TRY(AddToken(in, part.service_account_token(), mode, &payload));
      } else if (part.has_cluster_trust_bundle()) {
        return Status(Code::kInvalid,
                      "ClusterTrustBundle projections are not supported by this node");
      } else if (part.has_pod_certificate()) {
        return Status(Code::kInvalid, "PodCertificate projections are not supported by this node");
      }
    }
  }
  for (const auto& [path, file] : payload) {
    if (path.empty() || path[0] == '/' || path.starts_with("..") ||
        ("/" + path + "/").find("/../") != std::string::npos) {
      return Status(Code::kInvalid, "invalid path: " + path);
    }
  }
  return payload;
}

namespace {

bool Shows(const std::string& directory, const Payload& payload, std::optional<int64_t> group) {
  char target[256];
  ssize_t length = readlink((directory + "/..data").c_str(), target, sizeof target - 1);
  if (length <= 0) return false;
  std::string current = directory + "/" + std::string(target, static_cast<size_t>(length));
  for (const auto& [path, file] : payload) {
    struct stat st{};
    std::string full = current + "/" + path;
    if (stat(full.c_str(), &st) != 0 || static_cast<size_t>(st.st_size) != file.bytes.size())
      return false;
    if (group && st.st_gid != static_cast<gid_t>(*group)) return false;
    if (file.user && st.st_uid != static_cast<uid_t>(*file.user)) return false;
    Result<std::string> bytes = ReadFile(full);
    if (!bytes.ok() || *bytes != file.bytes) return false;
  }
  size_t count = 0;
  std::vector<std::string> todo = {current};
  while (!todo.empty()) {
    std::string at = std::move(todo.back());
    todo.pop_back();
    for (const std::string& name : ListDir(at)) {
      struct stat st{};
      if (lstat((at + "/" + name).c_str(), &st) != 0) return false;
      if (S_ISDIR(st.st_mode)) {
        todo.push_back(at + "/" + name);
      } else {
        ++count;
      }
    }
  }
  return count == payload.size();
}

// A new directory that is named after the time of its making: "..2026_01_31_10_00_00.123456789".
Result<std::string> MakeStampedDir(const std::string& directory) {
  std::string made = directory + "/..XXXXXX";
  if (mkdtemp(made.data()) == nullptr) return FromErrno(errno, "mkdtemp in " + directory);
  struct stat st{};
  if (stat(made.c_str(), &st) != 0) return FromErrno(errno, "stat " + made);
  std::tm utc{};
  gmtime_r(&st.st_mtim.tv_sec, &utc);
  char stamp[48];
  size_t length = std::strftime(stamp, sizeof stamp, "..%Y_%m_%d_%H_%M_%S.", &utc);
  std::snprintf(stamp + length, sizeof stamp - length, "%09ld", st.st_mtim.tv_nsec);
  std::string named = directory + "/" + stamp;
  // Two in one moment: the later keeps its other name.
  return rename(made.c_str(), named.c_str()) == 0 ? named : made;
}

Status WriteFiles(const std::string& directory, const Payload& payload,
                  std::optional<int64_t> group) {
  for (const auto& [path, file] : payload) {
    std::string full = directory + "/" + path;
    // Directories on the way belong to the group, too.
    for (size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      std::string parent = directory + "/" + path.substr(0, slash);
      GANTRY_TRY(MakeDirs(parent, 0755));
      if (group && chown(parent.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(*group)) != 0)
        return FromErrno(errno, "chown " + parent);
    }
    GANTRY_TRY(WriteFile(full, file.bytes, 0600));
    int mode = file.mode;
    if (group) {
      if (chown(full.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(*group)) != 0)
        return FromErrno(errno, "chown " + full);
      mode |= 0440;
    }
    if (file.user &&
        chown(full.c_str(), static_cast<uid_t>(*file.user), static_cast<gid_t>(-1)) != 0)
      return FromErrno(errno, "chown " + full);
    if (chmod(full.c_str(), static_cast<mode_t>(mode)) != 0)
      return FromErrno(errno, "chmod " + full);
  }
  return Status::Ok();
}

}  // namespace

Status WritePayload(const std::string& directory, const Payload& payload,
                    std::optional<int64_t> group) {
  GANTRY_TRY(MakeDirs(directory, 0755));
  if (Shows(directory, payload, group)) return Status::Ok();
  GANTRY_ASSIGN(std::string fresh, MakeStampedDir(directory));
  if (chmod(fresh.c_str(), group ? 02775 : 0755) != 0) return FromErrno(errno, "chmod " + fresh);
  if (group && (chown(fresh.c_str(), static_cast<uid_t>(-1), static_cast<gid_t>(*group)) != 0 ||
                chmod(fresh.c_str(), 02755) != 0)) {
    return FromErrno(errno, "chown " + fresh);
  }
  if (Status s = WriteFiles(fresh, payload, group); !s.ok()) {
    (void)RemoveTree(fresh);
    return s;
  }
  char old_target[256];
  ssize_t old_length = readlink((directory + "/..data").c_str(), old_target, sizeof old_target - 1);
  std::string name = fresh.substr(fresh.rfind('/') + 1);
  std::string link = directory + "/..data_tmp";
  unlink(link.c_str());
  if (symlink(name.c_str(), link.c_str()) != 0) return FromErrno(errno, "symlink " + link);
  if (rename(link.c_str(), (directory + "/..data").c_str()) != 0)
    return FromErrno(errno, "rename " + link);
  std::set<std::string> tops;
  for (const auto& [path, file] : payload)
    tops.insert(path.substr(0, path.find('/')));
  for (const std::string& top : tops) {
    std::string visible = directory + "/" + top;
    if (!Exists(visible) && symlink(("..data/" + top).c_str(), visible.c_str()) != 0)
      return FromErrno(errno, "symlink " + visible);
  }
  for (const std::string& existing : ListDir(directory)) {
    if (!existing.starts_with("..") && !tops.contains(existing))
      unlink((directory + "/" + existing).c_str());
  }
  if (old_length > 0)
    (void)RemoveTree(directory + "/" + std::string(old_target, static_cast<size_t>(old_length)));
  return Status::Ok();
}

}  // namespace gantry::node

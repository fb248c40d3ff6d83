#include "client/kubeconfig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "api/base64.h"
#include "api/json_value.h"
#include "api/yaml.h"

namespace gantry::client {
namespace {

using api::JsonValue;

Result<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open " + path);
  std::string text;
  char buffer[16384];
  ssize_t got = 0;
  while ((got = read(fd, buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<size_t>(got));
  const int error = errno;
  close(fd);
  if (got < 0) return FromErrno(error, "read " + path);
  return text;
}

std::string Text(const JsonValue* object, std::string_view key) {
  const JsonValue* value = object ? object->Find(key) : nullptr;
  return value && value->is_string() ? value->as_string() : std::string();
}

bool Flag(const JsonValue* object, std::string_view key) {
  const JsonValue* value = object ? object->Find(key) : nullptr;
  return value && value->is_bool() && value->as_bool();
}

// The value of KEY-data decoded, or else what stands in the file that KEY names.
Result<std::string> DataOrFile(const JsonValue* object, const std::string& key,
                               const std::string& folder) {
  const std::string data = Text(object, key + "-data");
  if (!data.empty()) {
    std::string decoded;
    if (const ptrdiff_t bad = api::DecodeBase64(data, &decoded); bad >= 0) {
      return BadRequest(key + "-data: illegal base64 data at input byte " + std::to_string(bad));
    }
    return decoded;
  }
  const std::string file = Text(object, key);
  if (file.empty()) return std::string();
  return ReadFile((std::filesystem::path(folder) / file).string());
}

// The named entries of a list: {name: N, WHAT: {...}}.
template <class Take>
Status ForEach(const JsonValue& root, std::string_view list, std::string_view what, Take take) {
  const JsonValue* entries = root.Find(list);
  if (!entries || entries->is_null()) return Status::Ok();
  if (!entries->is_array()) return BadRequest(std::string(list) + " is not a list");
  for (const JsonValue& entry : entries->as_array()) {
    const std::string name = Text(&entry, "name");
    GANTRY_TRY(take(name, entry.Find(what)).WithContext(std::string(what) + " \"" + name + "\""));
  }
  return Status::Ok();
}

void AddText(JsonValue& object, std::string_view key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}

void AddData(JsonValue& object, std::string_view key, const std::string& value) {
  if (value.empty()) return;
  std::string encoded;
  api::AppendBase64(value, &encoded);
  object[key] = std::move(encoded);
}

JsonValue Entry(const std::string& name, std::string_view what, JsonValue content) {
  JsonValue entry = JsonValue::MakeObject();
  entry[what] = std::move(content);
  entry["name"] = name;
  return entry;
}

template <class T>
const T* FindByName(const std::vector<T>& all, std::string_view name) {
  auto it = std::find_if(all.begin(), all.end(), [name](const T& one) { return one.name == name; });
  return it == all.end() ? nullptr : &*it;
}

template <class T>
void AddMissing(const std::vector<T>& from, std::vector<T>* to) {
  for (const T& one : from) {
    if (!FindByName(*to, one.name)) to->push_back(one);
  }
}

}  // namespace

Kubeconfig Kubeconfig::Single(std::string name, Cluster cluster, User user) {
  Kubeconfig config;
  cluster.name = name;
  user.name = name;
  Context& context = config.contexts.emplace_back();
  context.name = context.cluster = context.user = name;
  config.clusters.push_back(std::move(cluster));
  config.users.push_back(std::move(user));
  config.current_context = std::move(name);
  return config;
}

const Kubeconfig::Cluster* Kubeconfig::FindCluster(std::string_view name) const {
  return FindByName(clusters, name);
}
const Kubeconfig::User* Kubeconfig::FindUser(std::string_view name) const {
  return FindByName(users, name);
}
const Kubeconfig::Context* Kubeconfig::FindContext(std::string_view name) const {
  return FindByName(contexts, name);
}

void Kubeconfig::MergeFrom(const Kubeconfig& other) {
  AddMissing(other.clusters, &clusters);
  AddMissing(other.users, &users);
  AddMissing(other.contexts, &contexts);
  if (current_context.empty()) current_context = other.current_context;
}

Result<Kubeconfig> ParseKubeconfig(std::string_view text, const std::string& folder) {
  GANTRY_ASSIGN(std::vector<std::string> documents, api::YamlToJson(text));
  Kubeconfig config;
  if (documents.empty()) return config;
  GANTRY_ASSIGN(const JsonValue root, JsonValue::Parse(documents[0]));
  if (!root.is_object())
    return BadRequest("a kubeconfig is a map with clusters, users and contexts");
  if (const std::string kind = Text(&root, "kind"); !kind.empty() && kind != "Config") {
    return BadRequest("no kind \"" + kind + "\" is expected here, but \"Config\"");
  }
  auto take_cluster = [&](const std::string& name, const JsonValue* from) -> Status {
    Kubeconfig::Cluster& cluster = config.clusters.emplace_back();
    cluster.name = name;
    cluster.server = Text(from, "server");
    cluster.tls_server_name = Text(from, "tls-server-name");
    cluster.insecure_skip_tls_verify = Flag(from, "insecure-skip-tls-verify");
    GANTRY_ASSIGN(cluster.certificate_authority, DataOrFile(from, "certificate-authority", folder));
    return Status::Ok();
  };
  auto take_user = [&](const std::string& name, const JsonValue* from) -> Status {
    Kubeconfig::User& user = config.users.emplace_back();
    user.name = name;
    user.token = Text(from, "token");
    user.username = Text(from, "username");
    user.password = Text(from, "password");
    GANTRY_ASSIGN(user.client_certificate, DataOrFile(from, "client-certificate", folder));
    GANTRY_ASSIGN(user.client_key, DataOrFile(from, "client-key", folder));
    if (const std::string file = Text(from, "tokenFile"); !file.empty()) {
      GANTRY_ASSIGN(user.token, ReadFile((std::filesystem::path(folder) / file).string()));
      while (!user.token.empty() && user.token.back() == '\n')
        user.token.pop_back();
    }
    return Status::Ok();
  };
  auto take_context = [&](const std::string& name, const JsonValue* from) -> Status {
    Kubeconfig::Context& context = config.contexts.emplace_back();
    context.name = name;
    context.cluster = Text(from, "cluster");
    context.user = Text(from, "user");
    context.ns = Text(from, "namespace");
    return Status::Ok();
  };
  GANTRY_TRY(ForEach(root, "clusters", "cluster", take_cluster));
  GANTRY_TRY(ForEach(root, "users", "user", take_user));
  GANTRY_TRY(ForEach(root, "contexts", "context", take_context));
  config.current_context = Text(&root, "current-context");
  return config;
}

Result<Kubeconfig> ReadKubeconfig(const std::string& path) {
  GANTRY_ASSIGN(const std::string text, ReadFile(path));
  Result<Kubeconfig> config =
      ParseKubeconfig(text, std::filesystem::path(path).parent_path().string());
  if (!config.ok()) return config.status().WithContext("kubeconfig " + path);
  return config;
}

std::string WriteKubeconfig(const Kubeconfig& config) {
  JsonValue::Array clusters, users, contexts;
  for (const Kubeconfig::Cluster& cluster : config.clusters) {
    JsonValue content = JsonValue::MakeObject();
    AddData(content, "certificate-authority-data", cluster.certificate_authority);
    if (cluster.insecure_skip_tls_verify) content["insecure-skip-tls-verify"] = true;
    content["server"] = cluster.server;
    AddText(content, "tls-server-name", cluster.tls_server_name);
    clusters.push_back(Entry(cluster.name, "cluster", std::move(content)));
  }
  for (const Kubeconfig::User& user : config.users) {
    JsonValue content = JsonValue::MakeObject();
    AddData(content, "client-certificate-data", user.client_certificate);
    AddData(content, "client-key-data", user.client_key);
    AddText(content, "token", user.token);
    AddText(content, "username", user.username);
    AddText(content, "password", user.password);
    users.push_back(Entry(user.name, "user", std::move(content)));
  }
  for (const Kubeconfig::Context& context : config.contexts) {
    JsonValue content = JsonValue::MakeObject();
    content["cluster"] = context.cluster;
    AddText(content, "namespace", context.ns);
    content["user"] = context.user;
    contexts.push_back(Entry(context.name, "context", std::move(content)));
  }
  JsonValue root = JsonValue::MakeObject();
  root["apiVersion"] = "v1";
  root["clusters"] = std::move(clusters);
  root["contexts"] = std::move(contexts);
  root["current-context"] = config.current_context;
  root["kind"] = "Config";
  root["preferences"] = JsonValue::MakeObject();
  root["users"] = std::move(users);
  return api::JsonToYaml(root);
}

Status SaveKubeconfig(const Kubeconfig& config, const std::string& path) {
  const std::string text = WriteKubeconfig(config);
  const std::string fresh = path + ".new";
  unlink(fresh.c_str());
  const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return FromErrno(errno, "write " + path);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = write(fd, text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) break;
    done += static_cast<size_t>(wrote);
  }
  Status status = done == text.size() ? Status::Ok() : FromErrno(errno, "write " + path);
  close(fd);
  if (status.ok() && rename(fresh.c_str(), path.c_str()) != 0)
    status = FromErrno(errno, "write " + path);
  if (!status.ok()) unlink(fresh.c_str());
  return status;
}

}  // namespace gantry::client

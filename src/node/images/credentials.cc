#include "node/images/credentials.h"

#include <fnmatch.h>
#include <openssl/evp.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "api/json_value.h"

namespace gantry::node {
namespace {

using api::JsonValue;

std::string Base64(const std::string& text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                             reinterpret_cast<const unsigned char*>(text.data()),
                             static_cast<int>(text.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

std::string Text(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.Find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

// "host[:port][/beginning of the repository]"
std::string PlainKey(std::string key) {
  for (std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.erase(0, scheme.size());
  }
  size_t slash = key.find('/');
  std::string host = key.substr(0, slash), path;
  if (slash != std::string::npos) path = key.substr(slash);
  // The old addresses of the registry's interface.
  for (std::string_view version : {"/v1/", "/v2/"}) {
    if (path.starts_with(version)) path.erase(0, version.size() - 1);
  }
  if (path == "/v1" || path == "/v2" || path == "/") path.clear();
  if (host == "index.docker.io" || host == "registry-1.docker.io") host = "docker.io";
  while (path.ends_with("/"))
    path.pop_back();
  return host + path;
}

std::optional<std::string> PlainEntry(const JsonValue& entry) {
  if (!entry.is_object()) return std::nullopt;
  JsonValue out = JsonValue::MakeObject();
  std::string auth = Text(entry, "auth"), user = Text(entry, "username");
  if (auth.empty() && !user.empty()) auth = Base64(user + ":" + Text(entry, "password"));
  if (auth.empty()) return std::nullopt;
  out["auth"] = auth;
  if (std::string token = Text(entry, "identitytoken"); !token.empty())
    out["identitytoken"] = token;
  return out.ToString();
}

std::vector<std::string_view> Labels(std::string_view host) {
  std::vector<std::string_view> labels;
  while (true) {
    size_t dot = host.find('.');
    labels.push_back(host.substr(0, dot));
    if (dot == std::string_view::npos) return labels;
    host.remove_prefix(dot + 1);
  }
}

bool Matches(std::string_view key, const ImageReference& image) {
  size_t slash = key.find('/');
  std::string_view host = key.substr(0, slash);
  if (slash != std::string_view::npos) {
    std::string_view path = key.substr(slash + 1);
    if (!std::string_view(image.repository).starts_with(path)) return false;
  }
  if (host == image.domain) return true;
  size_t colon = host.rfind(':'), other_colon = image.domain.rfind(':');
  if ((colon == std::string_view::npos) != (other_colon == std::string::npos)) return false;
  std::string_view domain = image.domain;
  if (colon != std::string_view::npos && host.substr(colon + 1) != domain.substr(other_colon + 1))
    return false;
  std::vector<std::string_view> globs = Labels(host.substr(0, colon));
  std::vector<std::string_view> labels = Labels(domain.substr(0, other_colon));
  if (globs.size() != labels.size()) return false;
  for (size_t i = 0; i < globs.size(); ++i) {
    if (fnmatch(std::string(globs[i]).c_str(), std::string(labels[i]).c_str(), 0) != 0)
      return false;
  }
  return true;
}

}  // namespace

std::vector<std::string> AuthFilesFor(const PullSecrets& secrets, const ImageReference& image) {
  // By the length of the key, the longest first; those of one length as they came.
  std::multimap<size_t, std::string, std::greater<>> found;
  for (const std::string& secret : secrets) {
    Result<JsonValue> config = JsonValue::Parse(secret);
    if (!config.ok() || !config->is_object()) continue;
    const JsonValue* auths = config->Find("auths");
    if (auths == nullptr) auths = &*config;
    if (!auths->is_object()) continue;
    for (const auto& [registry, entry] : auths->as_object()) {
      std::string key = PlainKey(registry);
      std::optional<std::string> auth = PlainEntry(entry);
      if (auth && Matches(key, image)) found.emplace(key.size(), std::move(*auth));
    }
  }
  std::vector<std::string> files;
  for (const auto& [length, auth] : found) {
    JsonValue file = JsonValue::MakeObject();
    Result<JsonValue> entry = JsonValue::Parse(auth);
    file["auths"] = JsonValue::MakeObject();
    file["auths"][image.domain] = *entry;
    std::string text = file.ToString();
    if (std::find(files.begin(), files.end(), text) == files.end()) files.push_back(text);
  }
  return files;
}

}  // namespace gantry::node

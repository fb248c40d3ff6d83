#include "net/cni/config.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.h"

namespace gantry::net::cni {
namespace {

using api::JsonValue;

std::string TextAt(const JsonValue& object, std::string_view key) {
  const JsonValue* value = object.Find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

bool HasExtension(const std::filesystem::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".conflist" || extension == ".conf" || extension == ".json";
}

// "10.22.0.5/16" -> "10.22.0.5".
std::string WithoutPrefix(const std::string& address) {
  return address.substr(0, address.find('/'));
}

}  // namespace

Result<NetworkConfig> NetworkConfig::Parse(const std::string& text) {
  GANTRY_ASSIGN(JsonValue document, JsonValue::Parse(text));
  NetworkConfig config;
  config.name = TextAt(document, "name");
  config.cni_version = TextAt(document, "cniVersion");
  if (config.cni_version.empty()) config.cni_version = "0.1.0";
  if (config.name.empty()) return Status(Code::kInvalid, "the network has no name");
  if (const JsonValue* disabled = document.Find("disableCheck"))
    config.disable_check = disabled->is_bool() && disabled->as_bool();
  if (const JsonValue* plugins = document.Find("plugins")) {
    if (!plugins->is_array()) return Status(Code::kInvalid, "\"plugins\" is no list");
    config.plugins = plugins->as_array();
  } else {
    config.plugins.push_back(std::move(document));
  }
  if (config.plugins.empty())
    return Status(Code::kInvalid, "network " + config.name + " has no plug-ins");
  for (const JsonValue& plugin : config.plugins) {
    if (TextAt(plugin, "type").empty())
      return Status(Code::kInvalid, "a plug-in of network " + config.name + " has no type");
  }
  return config;
}

std::string NetworkConfig::ToString() const {
  JsonValue document = JsonValue::MakeObject();
  document["cniVersion"] = cni_version;
  document["name"] = name;
  document["disableCheck"] = disable_check;
  document["plugins"] = JsonValue::Array(plugins);
  return document.ToString();
}

bool NetworkConfig::KnowsPreviousResult() const {
  int major = 0, minor = 0;
  const char* end = cni_version.data() + cni_version.size();
  auto [dot, error] = std::from_chars(cni_version.data(), end, major);
  if (error == std::errc() && dot != end) std::from_chars(dot + 1, end, minor);
  return major > 0 || minor >= 4;
}

Result<NetworkConfig> LoadConfig(const std::string& directory) {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (HasExtension(entry.path())) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    std::ifstream in(file);
    std::stringstream text;
    text << in.rdbuf();
    Result<NetworkConfig> config = NetworkConfig::Parse(text.str());
    if (config.ok()) return config;
    log::Warning("net", "a CNI configuration is passed over",
                 {{"file", file.string()}, {"reason", config.status().message()}});
  }
  return Status(Code::kNotFound, "no networks found in " + directory);
}

Result<std::vector<std::string>> AddressesOf(const JsonValue& result) {
  std::vector<std::string> addresses;
  if (const JsonValue* ips = result.Find("ips"); ips != nullptr && ips->is_array()) {
    for (const JsonValue& ip : ips->as_array()) {
      if (std::string address = TextAt(ip, "address"); !address.empty())
        addresses.push_back(WithoutPrefix(address));
    }
  }
  // As it was before version 0.3.
  for (const char* family : {"ip4", "ip6"}) {
    if (const JsonValue* old = result.Find(family)) {
      if (std::string address = TextAt(*old, "ip"); !address.empty())
        addresses.push_back(WithoutPrefix(address));
    }
  }
  if (addresses.empty()) return Status(Code::kInvalid, "the network gave the pod no address");
  return addresses;
}

}  // namespace gantry::net::cni

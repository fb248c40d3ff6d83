#include "cli/cluster_network.h"

#include <charconv>
#include <functional>
#include <map>

#include "api/core/v1/config_map.pb.h"
#include "api/same.h"
#include "base/log.h"
#include "client/typed.h"

namespace gantry::cli {
namespace {

using api::core::v1::ConfigMap;

constexpr const char* kNamespace = "kube-system";
constexpr const char* kName = "gantry-network";
constexpr const char* kKeptFile = "network.pb";

// The entries that are text, by flag. An option that still has its default was not told.
struct Row {
  const char* key;
  std::string NetworkOptions::* value;
};
constexpr Row kRows[] = {
    {"cluster-cidr", &NetworkOptions::cluster_cidr},
    {"service-cidr", &NetworkOptions::service_cidr},
    {"cluster-dns", &NetworkOptions::cluster_dns},
    {"cluster-domain", &NetworkOptions::cluster_domain},
    {"overlay", &NetworkOptions::overlay},
};

std::map<std::string, std::string> DataOf(const NetworkOptions& options) {
  std::map<std::string, std::string> data;
  for (const Row& row : kRows)
    data[row.key] = options.*row.value;
  data["vxlan-vni"] = std::to_string(options.vxlan_vni);
  data["vxlan-port"] = std::to_string(options.vxlan_port);
  return data;
}

Status Contradiction(const std::string& key, const std::string& told,
                     const std::string& published) {
  return Status(Code::kInvalid, "--" + key + " " + told + " is not what the cluster has (" +
                                    published +
                                    "): leave the flag out, or change the servers' flag");
}

template <class Number>
Status LearnNumber(const ConfigMap& config, const std::string& key, Number* value) {
  auto found = config.data().find(key);
  if (found == config.data().end()) return Status::Ok();
  const std::string& text = found->second;
  Number published = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), published);
  if (error != std::errc() || end != text.data() + text.size() || published == 0)
    return DataLoss("ConfigMap kube-system/gantry-network: " + key + " \"" + text +
                    "\" is no number");
  if (*value != 0 && *value != published) return Contradiction(key, std::to_string(*value), text);
  *value = published;
  return Status::Ok();
}

Status Learn(const ConfigMap& config, NetworkOptions* options) {
  const NetworkOptions untold;
  for (const Row& row : kRows) {
    auto found = config.data().find(row.key);
    if (found == config.data().end()) continue;
    std::string& value = options->*row.value;
    if (value != untold.*row.value && value != found->second)
      return Contradiction(row.key, value, found->second);
    value = found->second;
  }
  GANTRY_TRY(LearnNumber(config, "vxlan-vni", &options->vxlan_vni));
  return LearnNumber(config, "vxlan-port", &options->vxlan_port);
}

}  // namespace

void FillNetworkDefaults(NetworkOptions* options, const std::string& ca_pem) {
  const net::OverlaySettings defaults;
  if (options->overlay.empty()) options->overlay = net::OverlaySettings::NameOf(defaults.mode);
  if (options->vxlan_port == 0) options->vxlan_port = defaults.port;
  if (options->vxlan_vni != 0) return;
  // FNV-1a, folded to 24 bits.
  uint32_t hash = 2166136261u;
  for (char c : ca_pem)
    hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  options->vxlan_vni = (hash ^ hash >> 24) & 0xffffff;
  if (options->vxlan_vni == 0) options->vxlan_vni = defaults.vni;
}

Task<Status> PublishClusterNetwork(client::Client& client, NetworkOptions options) {
  const std::map<std::string, std::string> wanted = DataOf(options);
  Result<api::Ref<ConfigMap>> there = co_await client::Get<ConfigMap>(client, kNamespace, kName);
  if (there.code() == Code::kNotFound) {
    ConfigMap config;
    config.mutable_metadata()->set_namespace_(kNamespace);
    config.mutable_metadata()->set_name(kName);
    config.mutable_data()->insert(wanted.begin(), wanted.end());
    Result<api::Ref<ConfigMap>> made = co_await client::Create(client, std::move(config));
    // Another server of the cluster was quicker; it will have said the same.
    if (made.code() == Code::kAlreadyExists) co_return Status::Ok();
    co_return made.status();
  }
  GANTRY_CO_TRY(there);
  ConfigMap config = **there;
  bool changed = false;
  for (const auto& [key, value] : wanted) {
    std::string& published = (*config.mutable_data())[key];
    if (published == value) continue;
    log::Warning("server", "the network of the cluster changes: restart all servers and agents",
                 {{"flag", "--" + key}, {"from", published}, {"to", value}});
    published = value;
    changed = true;
  }
  if (!changed) co_return Status::Ok();
  Result<api::Ref<ConfigMap>> updated = co_await client::Update(client, std::move(config));
  co_return updated.status();
}

Task<Result<NetworkOptions>> LearnClusterNetwork(client::Client& client, const DataDir& dir,
                                                 NetworkOptions options) {
  Result<api::Ref<ConfigMap>> config = co_await client::Get<ConfigMap>(client, kNamespace, kName);
  if (config.code() == Code::kNotFound) co_return options;
  if (config.code() == Code::kUnavailable) {
    ConfigMap kept;
    Result<std::string> bytes = dir.Read(kKeptFile);
    if (bytes.ok() && kept.ParseFromString(*bytes)) {
      GANTRY_CO_TRY(Learn(kept, &options));
      co_return options;
    }
  }
  if (!config.ok())
    co_return config.status().WithContext("cannot learn the network of the cluster");
  GANTRY_CO_TRY(Learn(**config, &options));
  ConfigMap keep;
  *keep.mutable_data() = (*config)->data();
  const std::string bytes = api::StableBytes(keep);
  GANTRY_CO_TRY(dir.Write(kKeptFile, bytes));
  co_return options;
}

}  // namespace gantry::cli

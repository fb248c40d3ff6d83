#include "scheduler/config/configuration.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "api/duration.h"
#include "api/yaml.h"
#include "scheduler/config/field_reader.h"
#include "scheduler/config/plugin_args.h"

namespace gantry::scheduler {
namespace {

using Enabled = ProfileConfig::Enabled;

constexpr char kApiVersion[] = "kubescheduler.config.k8s.io/v1";

// What a plugin set (multiPoint, filter, score, ...) says.
struct PluginSet {
  std::vector<Enabled> enabled;  // weight 0: not said
  std::set<std::string> disabled;

  bool Disables(const std::string& name) const {
    return disabled.contains("*") || disabled.contains(name);
  }
};

PluginSet ReadSet(FieldReader& plugins, std::string_view point) {
  PluginSet set;
  FieldReader from = plugins.Object(point);
  from.Objects("enabled", [&](FieldReader& entry) {
    Enabled plugin{entry.Text("name"), entry.Int("weight", 0)};
    if (!IsPlugin(plugin.name)) entry.Fail("name", "there is no plugin \"" + plugin.name + "\"");
    if (plugin.weight < 0) entry.Fail("weight", "must not be negative");
    if (std::any_of(set.enabled.begin(), set.enabled.end(),
                    [&](const Enabled& other) { return other.name == plugin.name; }))
      entry.Fail("name", "plugin \"" + plugin.name + "\" already registered");
    set.enabled.push_back(std::move(plugin));
  });
  from.Objects("disabled", [&](FieldReader& entry) { set.disabled.insert(entry.Text("name")); });
  from.Finish();
  return set;
}

// The defaults with what multiPoint takes away, changes and adds.
std::vector<Enabled> MultiPoint(const PluginSet& set) {
  auto find = [](auto& list, std::string_view name) {
    return std::find_if(list.begin(), list.end(),
                        [&](const auto& one) { return one.name == name; });
  };
  std::vector<Enabled> plugins;
  for (const auto& [name, weight] : DefaultPlugins()) {
    auto again = find(set.enabled, name);
    if (again == set.enabled.end() && set.Disables(std::string(name))) continue;
    const bool weighted = again != set.enabled.end() && again->weight != 0;
    plugins.push_back({std::string(name), weighted ? again->weight : weight});
  }
  // Those that were disabled as defaults stand behind the others, in the order given.
  for (const Enabled& plugin : set.enabled) {
    auto at = find(plugins, plugin.name);
    if (set.Disables(plugin.name)) std::rotate(at, at + 1, plugins.end());
  }
  return plugins;
}

// Those of one extension point: its own first, then the others as far as it does not disable them.
std::vector<Enabled> AtPoint(const PluginSet& set, const std::vector<Enabled>& multi_point,
                             bool (*fits)(std::string_view)) {
  std::vector<Enabled> plugins;
  for (Enabled plugin : set.enabled) {
    if (plugin.weight == 0) plugin.weight = 1;
    plugins.push_back(std::move(plugin));
  }
  for (Enabled plugin : multi_point) {
    if (!fits(plugin.name) || set.Disables(plugin.name)) continue;
    if (std::any_of(set.enabled.begin(), set.enabled.end(),
                    [&](const Enabled& other) { return other.name == plugin.name; }))
      continue;
    if (plugin.weight == 0) plugin.weight = 1;
    plugins.push_back(std::move(plugin));
  }
  return plugins;
}

void CheckPoint(FieldReader& plugins, std::string_view point, const PluginSet& set,
                bool (*fits)(std::string_view)) {
  for (const Enabled& plugin : set.enabled) {
    if (!fits(plugin.name))
      plugins.Fail(point, "plugin \"" + plugin.name + "\" does not extend this point");
  }
}

void ReadPlugins(FieldReader plugins, ProfileConfig* profile) {
  const std::vector<Enabled> multi_point = MultiPoint(ReadSet(plugins, "multiPoint"));
  const PluginSet filters = ReadSet(plugins, "filter");
  const PluginSet scores = ReadSet(plugins, "score");
  const PluginSet post_filters = ReadSet(plugins, "postFilter");
  CheckPoint(plugins, "filter", filters, IsFilter);
  CheckPoint(plugins, "score", scores, IsScore);
  profile->filters = AtPoint(filters, multi_point, IsFilter);
  profile->scores = AtPoint(scores, multi_point, IsScore);
  const auto preempts = AtPoint(post_filters, multi_point,
                                [](std::string_view name) { return name == "DefaultPreemption"; });
  profile->preempts = !preempts.empty();
  // The plug-ins of these points prepare what the others do, or cannot be exchanged here.
  for (const char* point : {"preEnqueue", "queueSort", "preFilter", "preScore", "reserve", "permit",
                            "preBind", "bind", "postBind"})
    (void)ReadSet(plugins, point);
  plugins.Finish();
}

std::string ReadPemFile(FieldReader& from, std::string_view name) {
  const std::string path = from.Text(name);
  if (path.empty()) return {};
  std::ifstream file(path);
  if (!file) {
    from.Fail(name, "cannot read " + path);
    return {};
  }
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void ReadTls(FieldReader tls, ExtenderConfig* extender) {
  extender->insecure = tls.Bool("insecure");
  extender->server_name = tls.Text("serverName");
  auto pem = [&](std::string_view data, std::string_view file) {
    std::string from_file = ReadPemFile(tls, file);
    std::string text = tls.Data(data);
    return text.empty() ? from_file : text;
  };
  extender->certificate_pem = pem("certData", "certFile");
  extender->private_key_pem = pem("keyData", "keyFile");
  extender->ca_pem = pem("caData", "caFile");
  tls.Finish();
}

Duration ReadDuration(FieldReader& from, std::string_view name, Duration fallback) {
  const std::string text = from.Text(name);
  if (text.empty()) return fallback;
  const Result<Duration> duration = api::ParseGoDuration(text);
  if (!duration.ok() || *duration < Duration::zero()) {
    from.Fail(name, "\"" + text + "\" is not a duration");
    return fallback;
  }
  return *duration == Duration::zero() ? fallback : *duration;
}

ExtenderConfig ReadExtender(FieldReader& from, std::vector<std::string>* ignored_resources) {
  ExtenderConfig extender;
  extender.url_prefix = from.Text("urlPrefix");
  if (!extender.url_prefix.starts_with("http://") && !extender.url_prefix.starts_with("https://"))
    from.Fail("urlPrefix", "must begin with http:// or https://");
  while (extender.url_prefix.ends_with('/'))
    extender.url_prefix.pop_back();
  extender.filter_verb = from.Text("filterVerb");
  extender.prioritize_verb = from.Text("prioritizeVerb");
  extender.preempt_verb = from.Text("preemptVerb");
  extender.bind_verb = from.Text("bindVerb");
  extender.weight = from.Int("weight", 0);
  if (!extender.prioritize_verb.empty() && extender.weight <= 0)
    from.Fail("weight", "must have a positive weight applied to it");
  extender.timeout = ReadDuration(from, "httpTimeout", extender.timeout);
  extender.node_cache_capable = from.Bool("nodeCacheCapable");
  extender.ignorable = from.Bool("ignorable");
  from.Objects("managedResources", [&](FieldReader& resource) {
    const std::string name = resource.Text("name");
    if (name.empty()) resource.Fail("name", "is required");
    if (resource.Bool("ignoredByScheduler")) ignored_resources->push_back(name);
    extender.managed_resources.push_back(name);
  });
  const bool https = from.Bool("enableHTTPS");
  ReadTls(from.Object("tlsConfig"), &extender);
  // As kube-scheduler: https without a CA takes any certificate.
  if (https && extender.ca_pem.empty()) extender.insecure = true;
  return extender;
}

void ReadProfiles(FieldReader& document, Configuration* configuration) {
  std::vector<ProfileConfig> profiles;
  document.Objects("profiles", [&](FieldReader& from) {
    ProfileConfig profile;
    profile.name = from.Text("schedulerName", profile.name);
    if (profile.name.empty()) from.Fail("schedulerName", "is required");
    if (std::any_of(profiles.begin(), profiles.end(),
                    [&](const ProfileConfig& other) { return other.name == profile.name; }))
      from.Fail("schedulerName", "\"" + profile.name + "\" is there twice");
    ReadPlugins(from.Object("plugins"), &profile);
    from.Objects("pluginConfig", [&](FieldReader& entry) { ReadPluginConfig(entry, &profile); });
    if (const int64_t share = from.Int("percentageOfNodesToScore"); share < 0 || share > 100)
      from.Fail("percentageOfNodesToScore", "not in the range [0, 100]");
    profiles.push_back(std::move(profile));
  });
  if (!profiles.empty()) configuration->profiles = std::move(profiles);
}

void ReadBackoff(FieldReader& document, Configuration* configuration) {
  const int64_t first = document.Int("podInitialBackoffSeconds", 1);
  const int64_t max = document.Int("podMaxBackoffSeconds", 10);
  if (first <= 0) document.Fail("podInitialBackoffSeconds", "must be greater than 0");
  if (max < first)
    document.Fail("podMaxBackoffSeconds",
                  "must be greater than or equal to podInitialBackoffSeconds");
  configuration->first_backoff = std::chrono::seconds(first);
  configuration->max_backoff = std::chrono::seconds(max);
}

}  // namespace

Result<Configuration> ParseConfiguration(std::string_view text) {
  GANTRY_ASSIGN(const std::vector<std::string> documents, api::YamlToJson(text));
  if (documents.size() != 1)
    return Status(Code::kBadRequest,
                  "one document is expected, there are " + std::to_string(documents.size()));
  GANTRY_ASSIGN(const api::JsonValue value, api::JsonValue::Parse(documents[0]));
  FirstError error;
  FieldReader document(&value, "", &error);
  if (const std::string version = document.Text("apiVersion"); version != kApiVersion)
    document.Fail("apiVersion", "\"" + version + "\" is not " + kApiVersion);
  if (const std::string kind = document.Text("kind"); kind != "KubeSchedulerConfiguration")
    document.Fail("kind", "\"" + kind + "\" is not KubeSchedulerConfiguration");
  Configuration configuration;
  ReadProfiles(document, &configuration);
  std::vector<std::string> ignored_resources;
  document.Objects("extenders", [&](FieldReader& from) {
    configuration.extenders.push_back(ReadExtender(from, &ignored_resources));
  });
  for (ProfileConfig& profile : configuration.profiles) {
    auto& ignored = profile.args.fit.ignored_resources;
    ignored.insert(ignored.end(), ignored_resources.begin(), ignored_resources.end());
  }
  if (std::count_if(configuration.extenders.begin(), configuration.extenders.end(),
                    [](const auto& extender) { return !extender.bind_verb.empty(); }) > 1)
    document.Fail("extenders", "found more than one that implements bind");
  if (const int64_t share = document.Int("percentageOfNodesToScore"); share < 0 || share > 100)
    document.Fail("percentageOfNodesToScore", "not in the range [0, 100]");
  ReadBackoff(document, &configuration);
  document.Ignore({"parallelism", "leaderElection", "clientConnection", "enableProfiling",
                   "enableContentionProfiling", "delayCacheUntilActive", "healthzBindAddress",
                   "metricsBindAddress"});
  document.Finish();
  GANTRY_TRY(error.status());
  return configuration;
}

Result<Configuration> ReadConfiguration(const std::string& path) {
  std::ifstream file(path);
  if (!file)
    return Status(Code::kBadRequest, "scheduler configuration " + path + ": cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  Result<Configuration> parsed = ParseConfiguration(text.str());
  if (parsed.ok()) return parsed;
  return Status(parsed.code(),
                "scheduler configuration " + path + ": " + parsed.status().message());
}

}  // namespace gantry::scheduler

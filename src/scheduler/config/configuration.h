#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/env/time.h"
#include "base/status.h"
#include "scheduler/plugins/profile.h"

namespace gantry::scheduler {

// A program outside that takes part in decisions, asked over HTTP.
struct ExtenderConfig {
  std::string url_prefix;
  // What is appended to it for each question; empty: it is not asked that.
  std::string filter_verb;
  std::string prioritize_verb;
  std::string preempt_verb;
  std::string bind_verb;
  int64_t weight = 1;  // of its scores
  Duration timeout = std::chrono::seconds(5);
  bool node_cache_capable = false;  // it knows the nodes: names are enough
  bool ignorable = false;           // pods are placed without it when it does not answer
  // It is asked about pods that want one of these; about all when there are none.
  std::vector<std::string> managed_resources;
  // For https.
  bool insecure = false;
  std::string server_name;
  std::string ca_pem;
  std::string certificate_pem;
  std::string private_key_pem;
};

// What a KubeSchedulerConfiguration says. Threading: a value.
struct Configuration {
  Configuration() : profiles(1) {}

  std::vector<ProfileConfig> profiles;
  std::vector<ExtenderConfig> extenders;
  Duration first_backoff = std::chrono::seconds(1);
  Duration max_backoff = std::chrono::seconds(10);
};

// Reads a kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration, YAML or JSON. Fields that tune
// how kube-scheduler goes about its work (parallelism, percentageOfNodesToScore, leaderElection and
// the like) are accepted and change nothing. kBadRequest: one line that says which field is wrong.
Result<Configuration> ParseConfiguration(std::string_view text);
// The same from a file; the line names it.
Result<Configuration> ReadConfiguration(const std::string& path);

}  // namespace gantry::scheduler

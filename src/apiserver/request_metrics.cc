#include "apiserver/request_metrics.h"

#include <algorithm>

#include "apiserver/registry/resource_row.h"

namespace gantry::apiserver {
namespace {

std::string Upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

// As the metrics name verbs: by method, but for what reads or deletes many.
std::string VerbOf(const RequestInfo& info) {
  if (info.verb == "create") return "POST";
  if (info.verb == "update") return "PUT";
  return Upper(info.verb);
}

std::string ScopeOf(const RequestInfo& info) {
  if (!info.is_resource) return "";
  if (!info.name.empty() || info.verb == "create") return "resource";
  return info.ns.empty() ? "cluster" : "namespace";
}

}  // namespace

RequestMetrics::RequestMetrics()
    : total_(MetricRegistry::Default().Counters(
          "apiserver_request_total",
          "Counter of apiserver requests broken out for each verb, group, version, resource, scope "
          "and HTTP response code.",
          {"verb", "group", "version", "resource", "subresource", "scope", "code"})),
      seconds_(MetricRegistry::Default().Histograms(
          "apiserver_request_duration_seconds",
          "Response latency distribution in seconds for each verb, group, version, resource, "
          "subresource and scope.",
          {0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 30, 60},
          {"verb", "group", "version", "resource", "subresource", "scope"})),
      running_(MetricRegistry::Default()
                   .Gauges("apiserver_current_inflight_requests", "Requests that are being served.")
                   .With({})) {}

void RequestMetrics::Begin() { running_.Add(1); }

void RequestMetrics::End(const RequestInfo& info, int status, Duration took) {
  running_.Add(-1);
  std::vector<std::string> labels;
  labels.reserve(7);
  if (info.is_resource) {
    // Names that a client made up must not become labels.
    const ResourceRow* row = FindResourceRow(info.group, info.version, info.resource);
    if (row == nullptr) return;
    const bool sub = !info.subresource.empty() && row->FindSub(info.subresource) != nullptr;
    labels.push_back(VerbOf(info));
    labels.push_back(info.group);
    labels.push_back(info.version);
    labels.push_back(info.resource);
    labels.push_back(sub ? info.subresource : "");
    labels.push_back(ScopeOf(info));
  } else {
    const bool usual =
        info.verb == "get" || info.verb == "head" || info.verb == "post" || info.verb == "options";
    labels.push_back(usual ? Upper(info.verb) : "OTHER");
    labels.resize(6);
  }
  seconds_.With(labels).Observe(std::chrono::duration<double>(took).count());
  labels.push_back(std::to_string(status));
  total_.With(labels).Add();
}

}  // namespace gantry::apiserver

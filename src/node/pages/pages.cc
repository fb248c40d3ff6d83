#include "node/pages/pages.h"

#include <sys/stat.h>

#include <algorithm>
#include <sstream>

#include "api/json.h"
#include "api/kinds.h"
#include "base/env/blocking.h"
#include "base/metrics.h"
#include "node/os/fs.h"
#include "node/pages/body.h"

namespace gantry::node {
namespace {

using api::core::v1::Pod;
using client::NodePage;

constexpr char kText[] = "text/plain; charset=utf-8";
constexpr char kJson[] = "application/json";
constexpr char kHtml[] = "text/html; charset=utf-8";
constexpr char kMetrics[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view kLogs = "/logs/";

NodePage MakePage(int status, const char* content_type, std::string text) {
  NodePage page;
  page.status = status;
  page.content_type = content_type;
  page.body = MakeTextBody(std::move(text));
  return page;
}

NodePage NotFoundPage() { return MakePage(404, kText, "404 page not found\n"); }

bool IsDirectory(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string Listing(const std::string& dir) {
  std::string html = "<!doctype html>\n<pre>\n";
  for (std::string name : ListDir(dir)) {
    if (IsDirectory(dir + "/" + name)) name += "/";
    const std::string shown = Escaped(name);
    html += "<a href=\"" + shown + "\">" + shown + "</a>\n";
  }
  return html + "</pre>\n";
}

// Reads the figures of all that `usage` names. Blocks.
void FillIn(const Cgroups& cgroups, const std::string& data_dir, NodeUsage* usage) {
  usage->machine = ReadMachine(data_dir);
  if (Result<CgroupUsage> all = cgroups.Usage("/"); all.ok()) usage->used = *all;
  usage->interfaces = ParseInterfaces(ReadFile("/proc/self/net/dev").value_or(""));
  const std::string uptime = ReadFile("/proc/uptime").value_or("0");
  usage->booted_at = usage->now - std::chrono::seconds(std::atoll(uptime.c_str()));
  for (PodUsage& pod : usage->pods) {
    if (Result<CgroupUsage> used = cgroups.Usage(pod.cgroup); used.ok()) pod.used = *used;
    for (ContainerUsage& container : pod.containers) {
      if (Result<CgroupUsage> used = cgroups.Usage(container.cgroup); used.ok())
        container.used = *used;
    }
    // Any process of the pod sees the pod's network.
    if (!pod.host_network && !pod.containers.empty()) {
      const std::string process = std::to_string(pod.containers.front().pid);
      pod.interfaces = ParseInterfaces(ReadFile("/proc/" + process + "/net/dev").value_or(""));
    }
  }
}

}  // namespace

std::vector<InterfaceUsage> ParseInterfaces(const std::string& text) {
  constexpr int kHeadLines = 2, kReceiveErrors = 2, kSent = 8, kSendErrors = 10, kColumns = 16;
  std::vector<InterfaceUsage> interfaces;
  std::istringstream lines(text);
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    if (++number <= kHeadLines || colon == std::string::npos) continue;
    InterfaceUsage one;
    std::istringstream(line.substr(0, colon)) >> one.name;
    if (one.name == "lo") continue;
    std::istringstream figures(line.substr(colon + 1));
    uint64_t columns[kColumns] = {};
    for (uint64_t& column : columns)
      figures >> column;
    one.received_bytes = columns[0];
    one.received_errors = columns[kReceiveErrors];
    one.sent_bytes = columns[kSent];
    one.sent_errors = columns[kSendErrors];
    interfaces.push_back(std::move(one));
  }
  return interfaces;
}

NodePages::NodePages(Env& env, PodList& pods, const Cgroups& cgroups, Options options)
    : env_(env), pods_(pods), cgroups_(cgroups), options_(std::move(options)) {}

Task<NodeUsage> NodePages::ReadUsage() {
  NodeUsage usage;
  usage.node_name = options_.node_name;
  usage.now = env_.Now();
  usage.pods = co_await pods_.Groups();
  auto fill = [cgroups = cgroups_, data_dir = options_.data_dir,
               usage = std::move(usage)]() mutable {
    FillIn(cgroups, data_dir, &usage);
    return std::move(usage);
  };
  co_return co_await RunBlocking(env_, std::move(fill));
}

Task<std::string> NodePages::PodsJson(bool running_only) {
  const std::vector<api::Ref<Pod>> pods = co_await pods_.Pods();
  std::string json = R"({"kind":"PodList","apiVersion":"v1","metadata":{},"items":[)";
  bool first = true;
  for (const api::Ref<Pod>& pod : pods) {
    if (running_only && pod->status().phase() != "Running") continue;
    if (!first) json.push_back(',');
    first = false;
    api::WriteJson(*pod, &json);
  }
  co_return json + "]}\n";
}

Result<NodePage> NodePages::LogFile(const std::string& path) const {
  // Nothing leads out of the directory but what the machine's own links do.
  if (path.find("/../") != std::string::npos || path.ends_with("/..")) return NotFoundPage();
  const std::string file = options_.log_dir + "/" + path.substr(kLogs.size());
  if (IsDirectory(file)) return MakePage(200, kHtml, Listing(file));
  Result<std::unique_ptr<Stream>> body = OpenFileBody(env_, file);
  if (!body.ok()) return NotFoundPage();
  NodePage page;
  page.content_type = kText;
  page.body = std::move(*body);
  return page;
}

Task<Result<NodePage>> NodePages::Get(std::string path) {
  if (path.starts_with(kLogs) || path == "/logs") {
    if (path == "/logs") path += "/";
    co_return LogFile(path);
  }
  while (path.size() > 1 && path.ends_with('/'))
    path.pop_back();
  if (path == "/healthz" || path == "/healthz/ping" || path == "/healthz/log" ||
      path == "/healthz/syncloop") {
    co_return MakePage(200, kText, "ok");
  }
  if (path == "/pods" || path == "/runningpods") {
    std::string json = co_await PodsJson(path == "/runningpods");
    co_return MakePage(200, kJson, std::move(json));
  }
  if (path == "/metrics") co_return MakePage(200, kMetrics, MetricRegistry::Default().Text());
  struct Figures {
    std::string_view path;
    const char* content_type;
    std::string (*text)(const NodeUsage& usage);
  };
  static constexpr Figures kFigures[] = {
      {"/stats/summary", kJson, StatsSummary},
      {"/metrics/resource", kMetrics, ResourceMetrics},
      {"/metrics/cadvisor", kMetrics, CadvisorMetrics},
  };
  for (const Figures& figures : kFigures) {
    if (path != figures.path) continue;
    const NodeUsage usage = co_await ReadUsage();
    co_return MakePage(200, figures.content_type, figures.text(usage));
  }
  co_return NotFoundPage();
}

}  // namespace gantry::node

#include <algorithm>

#include "api/duration.h"
#include "api/json_value.h"
#include "node/pages/usage.h"

namespace gantry::node {
namespace {

using api::JsonValue;

JsonValue Cpu(const CgroupUsage& used, const std::string& now) {
  JsonValue cpu = JsonValue::MakeObject();
  cpu["time"] = now;
  cpu["usageCoreNanoSeconds"] = used.cpu_nanoseconds;
  return cpu;
}

JsonValue Memory(const CgroupUsage& used, const std::string& now) {
  JsonValue memory = JsonValue::MakeObject();
  memory["time"] = now;
  memory["usageBytes"] = used.memory_bytes;
  memory["workingSetBytes"] = used.working_set_bytes;
  memory["rssBytes"] = used.rss_bytes;
  memory["pageFaults"] = used.page_faults;
  memory["majorPageFaults"] = used.major_page_faults;
  return memory;
}

JsonValue Interface(const InterfaceUsage& used) {
  JsonValue one = JsonValue::MakeObject();
  one["name"] = used.name;
  one["rxBytes"] = static_cast<int64_t>(used.received_bytes);
  one["rxErrors"] = static_cast<int64_t>(used.received_errors);
  one["txBytes"] = static_cast<int64_t>(used.sent_bytes);
  one["txErrors"] = static_cast<int64_t>(used.sent_errors);
  return one;
}

// The first interface stands for the whole; all are listed.
JsonValue Network(const std::vector<InterfaceUsage>& interfaces, const std::string& now) {
  JsonValue network = Interface(interfaces.front());
  network["time"] = now;
  JsonValue::Array all;
  for (const InterfaceUsage& one : interfaces)
    all.push_back(Interface(one));
  network["interfaces"] = JsonValue(std::move(all));
  return network;
}

JsonValue FileSystem(const MachineFacts& machine, const std::string& now) {
  JsonValue fs = JsonValue::MakeObject();
  fs["time"] = now;
  fs["availableBytes"] = machine.disk_free_bytes;
  fs["capacityBytes"] = machine.disk_bytes;
  fs["usedBytes"] = machine.disk_bytes - machine.disk_free_bytes;
  fs["inodesFree"] = machine.inodes_free;
  fs["inodes"] = machine.inodes;
  fs["inodesUsed"] = machine.inodes - machine.inodes_free;
  return fs;
}

JsonValue Pod(const PodUsage& pod, const std::string& now) {
  JsonValue out = JsonValue::MakeObject();
  out["podRef"]["name"] = pod.name;
  out["podRef"]["namespace"] = pod.ns;
  out["podRef"]["uid"] = pod.uid;
  out["startTime"] = api::FormatTime(pod.started_at);
  JsonValue::Array containers;
  for (const ContainerUsage& container : pod.containers) {
    JsonValue one = JsonValue::MakeObject();
    one["name"] = container.name;
    one["startTime"] = api::FormatTime(container.started_at);
    one["cpu"] = Cpu(container.used, now);
    one["memory"] = Memory(container.used, now);
    containers.push_back(std::move(one));
  }
  out["containers"] = JsonValue(std::move(containers));
  out["cpu"] = Cpu(pod.used, now);
  out["memory"] = Memory(pod.used, now);
  if (!pod.interfaces.empty()) out["network"] = Network(pod.interfaces, now);
  out["process_stats"]["process_count"] = pod.used.pids;
  return out;
}

}  // namespace

std::string StatsSummary(const NodeUsage& usage) {
  const std::string now = api::FormatTime(usage.now);
  JsonValue root = JsonValue::MakeObject();
  JsonValue& node = root["node"];
  node["nodeName"] = usage.node_name;
  node["startTime"] = api::FormatTime(usage.booted_at);
  node["cpu"] = Cpu(usage.used, now);
  node["memory"] = Memory(usage.used, now);
  node["memory"]["availableBytes"] =
      std::max<int64_t>(0, usage.machine.memory_bytes - usage.used.working_set_bytes);
  if (!usage.interfaces.empty()) node["network"] = Network(usage.interfaces, now);
  node["fs"] = FileSystem(usage.machine, now);
  node["runtime"]["imageFs"] = FileSystem(usage.machine, now);
  JsonValue::Array pods;
  for (const PodUsage& pod : usage.pods)
    pods.push_back(Pod(pod, now));
  root["pods"] = JsonValue(std::move(pods));
  return root.ToString();
}

}  // namespace gantry::node

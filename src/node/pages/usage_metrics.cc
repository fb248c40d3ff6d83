#include <charconv>
#include <functional>
#include <string>

#include "node/pages/usage.h"

namespace gantry::node {
namespace {

using Labels = std::vector<std::pair<std::string_view, std::string>>;

double Seconds(WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}
int64_t Milliseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::string Number(double value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  return std::string(text, end);
}

// Prometheus' text, one family after another, each sample with the time that it is of.
class MetricsText {
 public:
  explicit MetricsText(WallTime now) : time_(" " + std::to_string(Milliseconds(now)) + "\n") {}

  void Begin(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " +
             std::string(type) + "\n";
  }
  void Add(const Labels& labels, double value) {
    text_ += name_;
    const char* before = "{";
    for (const auto& [label, of] : labels) {
      text_ += before + std::string(label) + "=\"" + Escaped(of) + "\"";
      before = ",";
    }
    if (!labels.empty()) text_ += "}";
    text_ += " " + Number(value) + time_;
  }
  std::string Take() { return std::move(text_); }

 private:
  static std::string Escaped(const std::string& value) {
    std::string out;
    for (const char c : value) {
      if (c == '"' || c == '\\') out.push_back('\\');
      if (c == '\n') {
        out += "\\n";
      } else {
        out.push_back(c);
      }
    }
    return out;
  }

  const std::string time_;
  std::string name_, text_;
};

double CpuSeconds(const CgroupUsage& used) {
  return static_cast<double>(used.cpu_nanoseconds) / 1e9;
}
double WorkingSet(const CgroupUsage& used) { return static_cast<double>(used.working_set_bytes); }

// One figure of a control group, under the name that it has for a container, a pod and the node.
struct ResourceFigure {
  const char* of_container;
  const char* of_pod;
  const char* of_node;
  const char* type;
  const char* help;
  double (*value)(const CgroupUsage& used);
};
constexpr ResourceFigure kResourceFigures[] = {
    {"container_cpu_usage_seconds_total", "pod_cpu_usage_seconds_total",
     "node_cpu_usage_seconds_total", "counter", "Processor time used so far, in seconds.",
     CpuSeconds},
    {"container_memory_working_set_bytes", "pod_memory_working_set_bytes",
     "node_memory_working_set_bytes", "gauge",
     "Memory in use that cannot be dropped at once, in bytes.", WorkingSet},
};

struct CadvisorFigure {
  const char* name;
  const char* type;
  const char* help;
  bool by_cpu;
  double (*value)(const CgroupUsage& used);
};
constexpr CadvisorFigure kCadvisorFigures[] = {
    {"container_cpu_usage_seconds_total", "counter", "Processor time used so far, in seconds.",
     true, CpuSeconds},
    {"container_memory_usage_bytes", "gauge", "Memory in use, with the cache, in bytes.", false,
     [](const CgroupUsage& used) { return static_cast<double>(used.memory_bytes); }},
    {"container_memory_working_set_bytes", "gauge",
     "Memory in use that cannot be dropped at once, in bytes.", false, WorkingSet},
    {"container_memory_rss", "gauge", "Memory of the processes themselves, in bytes.", false,
     [](const CgroupUsage& used) { return static_cast<double>(used.rss_bytes); }},
    {"container_processes", "gauge", "Processes and threads.", false,
     [](const CgroupUsage& used) { return static_cast<double>(used.pids); }},
};

struct NetworkFigure {
  const char* name;
  const char* help;
  uint64_t InterfaceUsage::* value;
};
constexpr NetworkFigure kNetworkFigures[] = {
    {"container_network_receive_bytes_total", "Bytes received.", &InterfaceUsage::received_bytes},
    {"container_network_receive_errors_total", "Errors while receiving.",
     &InterfaceUsage::received_errors},
    {"container_network_transmit_bytes_total", "Bytes sent.", &InterfaceUsage::sent_bytes},
    {"container_network_transmit_errors_total", "Errors while sending.",
     &InterfaceUsage::sent_errors},
};

Labels ContainerLabels(const PodUsage& pod, const ContainerUsage& container) {
  return {{"container", container.name}, {"namespace", pod.ns}, {"pod", pod.name}};
}

// The labels that cAdvisor gives every group; those of a pod or of the machine are empty.
Labels GroupLabels(const std::string& cgroup, const PodUsage* pod, const ContainerUsage* container,
                   bool by_cpu) {
  Labels labels = {{"container", container != nullptr ? container->name : ""}};
  if (by_cpu) labels.emplace_back("cpu", "total");
  labels.emplace_back("id", cgroup);
  labels.emplace_back("image", container != nullptr ? container->image : "");
  labels.emplace_back("name", container != nullptr ? container->id : "");
  labels.emplace_back("namespace", pod != nullptr ? pod->ns : "");
  labels.emplace_back("pod", pod != nullptr ? pod->name : "");
  return labels;
}

}  // namespace

std::string ResourceMetrics(const NodeUsage& usage) {
  MetricsText text(usage.now);
  for (const ResourceFigure& figure : kResourceFigures) {
    text.Begin(figure.of_container, figure.type, figure.help);
    for (const PodUsage& pod : usage.pods) {
      for (const ContainerUsage& container : pod.containers)
        text.Add(ContainerLabels(pod, container), figure.value(container.used));
    }
  }
  text.Begin("container_start_time_seconds", "gauge",
             "When the container started, in seconds since 1970.");
  for (const PodUsage& pod : usage.pods) {
    for (const ContainerUsage& container : pod.containers)
      text.Add(ContainerLabels(pod, container), Seconds(container.started_at));
  }
  for (const ResourceFigure& figure : kResourceFigures) {
    text.Begin(figure.of_node, figure.type, figure.help);
    text.Add({}, figure.value(usage.used));
    text.Begin(figure.of_pod, figure.type, figure.help);
    for (const PodUsage& pod : usage.pods)
      text.Add({{"namespace", pod.ns}, {"pod", pod.name}}, figure.value(pod.used));
  }
  std::string out = text.Take();
  for (const char* name : {"resource_scrape_error", "scrape_error"}) {
    const std::string family(name);
    out += "# HELP " + family + " 1 if there was an error while getting the figures.\n# TYPE " +
           family + " gauge\n" + family + " 0\n";
  }
  return out;
}

std::string CadvisorMetrics(const NodeUsage& usage) {
  MetricsText text(usage.now);
  for (const CadvisorFigure& figure : kCadvisorFigures) {
    text.Begin(figure.name, figure.type, figure.help);
    text.Add(GroupLabels("/", nullptr, nullptr, figure.by_cpu), figure.value(usage.used));
    for (const PodUsage& pod : usage.pods) {
      text.Add(GroupLabels(pod.cgroup, &pod, nullptr, figure.by_cpu), figure.value(pod.used));
      for (const ContainerUsage& container : pod.containers)
        text.Add(GroupLabels(container.cgroup, &pod, &container, figure.by_cpu),
                 figure.value(container.used));
    }
  }
  text.Begin("container_start_time_seconds", "gauge",
             "When the container started, in seconds since 1970.");
  for (const PodUsage& pod : usage.pods) {
    for (const ContainerUsage& container : pod.containers)
      text.Add(GroupLabels(container.cgroup, &pod, &container, false),
               Seconds(container.started_at));
  }
  for (const NetworkFigure& figure : kNetworkFigures) {
    text.Begin(figure.name, "counter", figure.help);
    for (const InterfaceUsage& one : usage.interfaces)
      text.Add({{"id", "/"}, {"interface", one.name}, {"namespace", ""}, {"pod", ""}},
               static_cast<double>(one.*figure.value));
    for (const PodUsage& pod : usage.pods) {
      for (const InterfaceUsage& one : pod.interfaces)
        text.Add(
            {{"id", pod.cgroup}, {"interface", one.name}, {"namespace", pod.ns}, {"pod", pod.name}},
            static_cast<double>(one.*figure.value));
    }
  }
  text.Begin("machine_cpu_cores", "gauge", "Processors of the machine.");
  text.Add({}, static_cast<double>(usage.machine.cpus));
  text.Begin("machine_memory_bytes", "gauge", "Memory of the machine, in bytes.");
  text.Add({}, static_cast<double>(usage.machine.memory_bytes));
  return text.Take();
}

}  // namespace gantry::node

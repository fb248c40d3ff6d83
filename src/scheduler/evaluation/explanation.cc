#include "scheduler/evaluation/explanation.h"

#include <algorithm>

namespace gantry::scheduler {

std::string SummaryOf(int nodes, const std::map<std::string, int>& reasons) {
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons)
    parts.push_back(std::to_string(count) + " " + reason);
  std::sort(parts.begin(), parts.end());
  std::string message = "0/" + std::to_string(nodes) + " nodes are available";
  for (size_t i = 0; i < parts.size(); ++i)
    message += (i == 0 ? ": " : ", ") + parts[i];
  return message + ".";
}

std::string Explanation::Message() const {
  if (nodes == 0) return "no nodes available to schedule pods";
  std::string message = SummaryOf(nodes, reasons);
  if (!preemption.empty()) message += " preemption: " + preemption;
  return message;
}

}  // namespace gantry::scheduler

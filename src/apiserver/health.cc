#include "apiserver/health.h"

#include <algorithm>

#include "apiserver/status_body.h"

namespace gantry::apiserver {

void Health::Add(std::string name, Check check, bool ready_only) {
  entries_.push_back({std::move(name), std::move(check), ready_only});
}

Response Health::Answer(const std::string& path, const Query& query) const {
  std::string_view rest = path;
  rest.remove_prefix(1);
  size_t slash = rest.find('/');
  const std::string_view endpoint = rest.substr(0, slash);
  std::string_view only =
      slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  if (only.ends_with('/')) only.remove_suffix(1);
  const bool ready = endpoint == "readyz";

  std::vector<std::string> excluded = query.All("exclude");
  std::string lines;
  bool failed = false, found = only.empty();
  for (const Entry& entry : entries_) {
    if (entry.ready_only && !ready) continue;
    if (!only.empty() && entry.name != only) continue;
    found = true;
    if (auto it = std::find(excluded.begin(), excluded.end(), entry.name); it != excluded.end()) {
      excluded.erase(it);
      lines += "[+]" + entry.name + " excluded: ok\n";
      continue;
    }
    if (entry.check().ok()) {
      lines += "[+]" + entry.name + " ok\n";
    } else {
      // Why is for the log, not for everybody who may ask.
      lines += "[-]" + entry.name + " failed: reason withheld\n";
      failed = true;
    }
  }
  if (!found) return TextResponse(404, "404 page not found\n");
  if (!excluded.empty()) {
    std::string names;
    for (const std::string& name : excluded)
      names += (names.empty() ? "\"" : "\",\"") + name;
    lines += "warn: some health checks cannot be excluded: no matches for " + names + "\"\n";
  }
  if (failed) return TextResponse(500, lines + std::string(endpoint) + " check failed\n");
  if (!query.Has("verbose") || !only.empty()) return TextResponse(200, "ok");
  return TextResponse(200, lines + std::string(endpoint) + " check passed\n");
}

}  // namespace gantry::apiserver

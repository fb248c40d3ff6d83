#include "cli/ha/backups.h"

#include <algorithm>
#include <vector>

#include "api/duration.h"
#include "api/rfc3339.h"
#include "node/os/fs.h"

namespace gantry::cli {
namespace {

constexpr Duration kInterval = std::chrono::hours(12);
constexpr size_t kKept = 5;
constexpr std::string_view kSuffix = ".snapshot";

// Oldest first.
std::vector<std::string> Backups(const std::string& directory) {
  std::vector<std::string> names = node::ListDir(directory);
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(kSuffix); });
  return names;
}

}  // namespace

bool BackupIsDue(Env& env, const std::string& directory) {
  const std::vector<std::string> names = Backups(directory);
  if (names.empty()) return true;
  const std::string& last = names.back();
  Result<WallTime> made = api::ParseTime(last.substr(0, last.size() - kSuffix.size()));
  // One from the future is of a clock that was wrong.
  return !made.ok() || env.Now() >= *made + kInterval || env.Now() < *made;
}

std::string NextBackup(Env& env, const std::string& directory) {
  // What cannot be made is found out by who writes there.
  static_cast<void>(node::MakeDirs(directory, 0700));
  return directory + "/" + api::FormatTime(env.Now()) + std::string(kSuffix);
}

void RemoveOldBackups(const std::string& directory) {
  const std::vector<std::string> names = Backups(directory);
  for (size_t i = 0; i + kKept < names.size(); ++i)
    static_cast<void>(node::RemoveTree(directory + "/" + names[i]));
}

}  // namespace gantry::cli

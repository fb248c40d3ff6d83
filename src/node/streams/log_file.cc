#include "node/streams/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "api/duration.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

constexpr int64_t kBlock = 64 << 10;

}  // namespace

std::optional<LogLine> ParseLogLine(std::string_view line) {
  LogLine parsed;
  size_t first = line.find(' ');
  if (first == std::string_view::npos) return std::nullopt;
  size_t second = line.find(' ', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  size_t third = line.find(' ', second + 1);
  parsed.time = line.substr(0, first);
  parsed.stream = line.substr(first + 1, second - first - 1);
  std::string_view tag =
      line.substr(second + 1, third == std::string_view::npos ? third : third - second - 1);
  if (tag != "F" && tag != "P") return std::nullopt;
  if (parsed.stream != "stdout" && parsed.stream != "stderr") return std::nullopt;
  parsed.partial = tag == "P";
  if (third != std::string_view::npos) parsed.text = line.substr(third + 1);
  return parsed;
}

std::optional<WallTime> ParseLogTime(std::string_view time) {
  Result<WallTime> parsed = api::ParseTime(time);
  return parsed.ok() ? std::optional<WallTime>(*parsed) : std::nullopt;
}

int64_t TailOffset(int fd, int64_t lines) {
  struct stat st{};
  if (fstat(fd, &st) != 0) return 0;
  int64_t end = st.st_size, at = end, found = 0;
  if (lines <= 0) return end;
  std::vector<char> block(static_cast<size_t>(kBlock));
  while (at > 0) {
    int64_t begin = std::max<int64_t>(0, at - kBlock);
    ssize_t n = pread(fd, block.data(), static_cast<size_t>(at - begin), begin);
    if (n <= 0) return 0;
    for (int64_t i = n - 1; i >= 0; --i) {
      if (block[static_cast<size_t>(i)] != '\n' || begin + i == end - 1) continue;
      if (++found == lines) return begin + i + 1;
    }
    at = begin;
  }
  return 0;
}

std::string TailLogText(const std::string& path, int lines, size_t bytes) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  int64_t offset = TailOffset(fd.get(), lines);
  std::string raw, text;
  char buffer[8192];
  for (ssize_t n; (n = pread(fd.get(), buffer, sizeof buffer, offset)) > 0; offset += n)
    raw.append(buffer, static_cast<size_t>(n));
  for (size_t at = 0; at < raw.size();) {
    size_t end = std::min(raw.find('\n', at), raw.size());
    if (std::optional<LogLine> line = ParseLogLine(std::string_view(raw).substr(at, end - at))) {
      text += line->text;
      if (!line->partial) text += "\n";
    }
    at = end + 1;
  }
  if (text.size() > bytes) text = text.substr(text.size() - bytes);
  return text;
}

bool RotateLogIfLarge(const std::string& path, const LogLimits& limits) {
  struct stat st{};
  if (stat(path.c_str(), &st) != 0 || st.st_size < limits.max_bytes) return false;
  char stamp[32];
  std::snprintf(stamp, sizeof stamp, "%010lld.%09ld", static_cast<long long>(st.st_mtim.tv_sec),
                st.st_mtim.tv_nsec);
  if (rename(path.c_str(), (path + "." + stamp).c_str()) != 0) return false;
  std::vector<std::string> old = RotatedLogs(path);
  const size_t keep = static_cast<size_t>(std::max(1, limits.max_files - 1));
  for (size_t i = 0; i + keep < old.size(); ++i)
    unlink(old[i].c_str());
  return true;
}

std::vector<std::string> RotatedLogs(const std::string& path) {
  size_t slash = path.rfind('/');
  std::string directory = path.substr(0, slash + 1), prefix = path.substr(slash + 1) + ".";
  std::vector<std::string> files;
  for (const std::string& name : ListDir(directory)) {
    if (name.starts_with(prefix)) files.push_back(directory + name);
  }
  return files;
}

}  // namespace gantry::node

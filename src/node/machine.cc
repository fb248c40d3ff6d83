#include "node/machine.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <sstream>

#include "node/os/fs.h"

namespace gantry::node {
namespace {

std::string FirstLine(const std::string& path) {
  std::string text = ReadFile(path).value_or("");
  return text.substr(0, text.find('\n'));
}

int64_t MemInfo(const std::string& text, const std::string& key) {
  size_t at = text.find(key + ":");
  return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + key.size() + 1) * 1024;
}

std::string DefaultRouteInterface() {
  std::istringstream lines(ReadFile("/proc/net/route").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name, destination;
    fields >> name >> destination;
    if (destination == "00000000") return name;
  }
  return {};
}

}  // namespace

MachineFacts ReadMachine(const std::string& data_dir) {
  MachineFacts facts;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) facts.cpus = std::max(1, CPU_COUNT(&set));
  std::string meminfo = ReadFile("/proc/meminfo").value_or("");
  facts.memory_bytes = MemInfo(meminfo, "MemTotal");
  facts.swap_bytes = MemInfo(meminfo, "SwapTotal");
  struct statvfs fs{};
  if (statvfs(data_dir.c_str(), &fs) == 0) {
    facts.disk_bytes = static_cast<int64_t>(fs.f_blocks) * static_cast<int64_t>(fs.f_frsize);
    facts.disk_free_bytes = static_cast<int64_t>(fs.f_bavail) * static_cast<int64_t>(fs.f_frsize);
    facts.inodes = static_cast<int64_t>(fs.f_files);
    facts.inodes_free = static_cast<int64_t>(fs.f_ffree);
  }
  facts.machine_id = FirstLine("/etc/machine-id");
  facts.system_uuid = FirstLine("/sys/class/dmi/id/product_uuid");
  if (facts.system_uuid.empty()) facts.system_uuid = facts.machine_id;
  facts.boot_id = FirstLine("/proc/sys/kernel/random/boot_id");
  utsname name{};
  if (uname(&name) == 0) {
    facts.kernel_version = name.release;
    std::string machine = name.machine;
    facts.architecture = machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;
  }
  std::string release = ReadFile("/etc/os-release").value_or("");
  if (size_t at = release.find("PRETTY_NAME=\""); at != std::string::npos) {
    facts.os_image = release.substr(at + 13, release.find('"', at + 13) - at - 13);
  }
  return facts;
}

std::string DefaultNodeAddress() {
  std::string wanted = DefaultRouteInterface(), fallback;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return "127.0.0.1";
  std::string found;
  for (ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    if ((entry->ifa_flags & IFF_UP) == 0 || (entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
    char text[INET_ADDRSTRLEN];
    auto* address = reinterpret_cast<sockaddr_in*>(entry->ifa_addr);
    inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
    if (entry->ifa_name == wanted && found.empty()) found = text;
    // A bridge of pods is no way to reach the node from elsewhere.
    bool point_to_point = (entry->ifa_flags & IFF_POINTOPOINT) != 0;
    if (fallback.empty() && !point_to_point) fallback = text;
  }
  freeifaddrs(list);
  if (!found.empty()) return found;
  return fallback.empty() ? "127.0.0.1" : fallback;
}

std::string DefaultNodeName() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  std::string out(name);
  for (char& c : out)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out.empty() ? "localhost" : out;
}

}  // namespace gantry::node

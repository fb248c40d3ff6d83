#include "cli/host.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <sstream>

namespace gantry::cli {
namespace {

bool OnPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::stringstream directories(path ? path : "");
  // Services are often started with a short path.
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (access((directory + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return access(("/usr/bin/" + program).c_str(), X_OK) == 0 ||
         access(("/usr/sbin/" + program).c_str(), X_OK) == 0;
}

}  // namespace

std::string HostName() {
  utsname names{};
  uname(&names);
  std::string name = names.nodename;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return name.empty() || name == "(none)" ? "localhost" : name;
}

std::string DefaultAddress() {
  std::string address = "127.0.0.1";
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return address;
  // Connecting a datagram socket sends nothing; it only asks the routing table. The target is a
  // documentation address.
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(53);
  inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
  sockaddr_in own{};
  socklen_t length = sizeof own;
  char text[INET_ADDRSTRLEN];
  if (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
      inet_ntop(AF_INET, &own.sin_addr, text, sizeof text)) {
    address = text;
  }
  close(fd);
  return address;
}

std::vector<std::string> LocalAddresses() {
  std::vector<std::string> addresses;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return addresses;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN];
    const auto* ip = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
    if (inet_ntop(AF_INET, &ip->sin_addr, text, sizeof text)) addresses.emplace_back(text);
  }
  freeifaddrs(first);
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

Status CheckNodeRequirements() {
  if (geteuid() != 0) {
    return Status(
        Code::kForbidden,
        "running containers needs root; run it with sudo, or without containers: --no-agent");
  }
  if (!OnPath("crun") && !OnPath("runc")) {
    return Status(Code::kNotFound, "no container runtime found; install one: apt-get install crun");
  }
  if (!OnPath("conmon")) {
    return Status(Code::kNotFound, "conmon not found; install it: apt-get install conmon");
  }
  return Status::Ok();
}

}  // namespace gantry::cli

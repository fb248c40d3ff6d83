#include "cli/host.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
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

std::string DefaultAddress(bool v6) {
  std::string address;
  const int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return address;
  // Connecting a datagram socket sends nothing; it only asks the routing table. The targets are
  // documentation addresses.
  sockaddr_in to4{};
  to4.sin_family = AF_INET;
  to4.sin_port = htons(53);
  inet_pton(AF_INET, "192.0.2.1", &to4.sin_addr);
  sockaddr_in6 to6{};
  to6.sin6_family = AF_INET6;
  to6.sin6_port = htons(53);
  inet_pton(AF_INET6, "2001:db8::1", &to6.sin6_addr);
  const int connected = v6 ? connect(fd, reinterpret_cast<sockaddr*>(&to6), sizeof to6)
                           : connect(fd, reinterpret_cast<sockaddr*>(&to4), sizeof to4);
  sockaddr_storage own{};
  socklen_t length = sizeof own;
  char text[INET6_ADDRSTRLEN];
  if (connected == 0 && getsockname(fd, reinterpret_cast<sockaddr*>(&own), &length) == 0 &&
      getnameinfo(reinterpret_cast<sockaddr*>(&own), length, text, sizeof text, nullptr, 0,
                  NI_NUMERICHOST) == 0) {
    address = text;
  }
  close(fd);
  return address;
}

std::string DefaultAddress() {
  for (bool v6 : {false, true}) {
    if (std::string address = DefaultAddress(v6); !address.empty()) return address;
  }
  return "127.0.0.1";
}

std::vector<std::string> LocalAddresses() {
  std::vector<std::string> addresses;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return addresses;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN];
    const void* ip = nullptr;
    if (entry->ifa_addr->sa_family == AF_INET) {
      ip = &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr;
    } else if (entry->ifa_addr->sa_family == AF_INET6) {
      const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
      // Nobody comes in by one of a link: it means nothing without the link's name.
      if (!IN6_IS_ADDR_LINKLOCAL(&v6)) ip = &v6;
    }
    if (ip != nullptr && inet_ntop(entry->ifa_addr->sa_family, ip, text, sizeof text))
      addresses.emplace_back(text);
  }
  freeifaddrs(first);
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

Status CheckEtcdInstalled() {
  if (OnPath("etcd")) return Status::Ok();
  return Status(Code::kNotFound, "etcd not found; install it: apt-get install etcd-server");
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

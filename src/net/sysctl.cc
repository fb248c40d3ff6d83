#include "net/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "net/netlink/socket.h"

namespace gantry::net {

Result<std::string> GetNetSysctl(const std::string& name) {
  const std::string path = "/proc/sys/net/" + name;
  UniqueFd in(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) return FromErrno(errno, "open " + path);
  char now[64];
  const ssize_t got = read(in.get(), now, sizeof(now));
  if (got < 0) return FromErrno(errno, "read " + path);
  std::string text(now, static_cast<size_t>(got));
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

Status SetNetSysctl(const std::string& name, std::string_view value) {
  GANTRY_ASSIGN(const std::string now, GetNetSysctl(name));
  if (now == value) return Status::Ok();
  const std::string path = "/proc/sys/net/" + name;
  UniqueFd out(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!out) return FromErrno(errno, "open " + path + " for writing");
  if (write(out.get(), value.data(), value.size()) < 0) {
    return FromErrno(errno, "write " + std::string(value) + " to " + path);
  }
  return Status::Ok();
}

}  // namespace gantry::net

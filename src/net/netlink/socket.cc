#include "net/netlink/socket.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/check.h"

namespace gantry::net {
namespace {

constexpr size_t kReceiveBuffer = 64 << 10;

// Walks the messages in one datagram. False from `each` ends the walk.
template <class Each>
void ForEachMessage(std::span<const char> datagram, Each each) {
  while (datagram.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header = ReadAs<nlmsghdr>(datagram);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) return;
    if (!each(header, datagram.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr))))
      return;
    datagram = datagram.subspan(std::min<size_t>(datagram.size(), NLMSG_ALIGN(header.nlmsg_len)));
  }
}

}  // namespace

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) close(fd_);
}

Result<NetlinkSocket> NetlinkSocket::Open(int protocol) {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return FromErrno(errno, "open a netlink socket of family " + std::to_string(protocol));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return FromErrno(errno, "bind a netlink socket");
  }
  int one = 1;
  setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
  return NetlinkSocket(std::move(fd));
}

Status NetlinkSocket::Send(std::span<const char> bytes, std::string_view what) {
  if (bytes.size() > send_buffer_) {
    send_buffer_ = std::max<size_t>(bytes.size() * 2, 256 << 10);
    int size = static_cast<int>(send_buffer_);
    setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
  }
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  ssize_t sent;
  do {
    sent = sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&kernel),
                  sizeof(kernel));
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return FromErrno(errno, what);
  return Status::Ok();
}

Status NetlinkSocket::Call(MessageWriter& message, std::string_view what) {
  return Dump(message, what, [](uint16_t, std::span<const char>) {});
}

Status NetlinkSocket::Dump(MessageWriter& message, std::string_view what,
                           const std::function<void(uint16_t, std::span<const char>)>& each) {
  std::span<const char> bytes = message.Finish();
  uint32_t sequence = ReadAs<nlmsghdr>(bytes).nlmsg_seq;
  GANTRY_TRY(Send(bytes, what));
  std::vector<char> buffer(kReceiveBuffer);
  std::optional<int> outcome;
  while (!outcome) {
    ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      return FromErrno(errno, what);
    }
    ForEachMessage({buffer.data(), static_cast<size_t>(got)},
                   [&](const nlmsghdr& header, std::span<const char> payload) {
                     if (header.nlmsg_seq != sequence) return true;
                     if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) {
                       outcome = -ReadAs<int32_t>(payload);
                       return false;
                     }
                     each(header.nlmsg_type, payload);
                     return true;
                   });
  }
  if (*outcome != 0) return FromErrno(*outcome, what);
  return Status::Ok();
}

Result<NetlinkSocket::Failure> NetlinkSocket::SendBatch(std::span<const char> batch) {
  GANTRY_TRY(Send(batch, "send an nf_tables batch"));
  // The kernel has worked through the batch when the send returns; only failures are answered.
  std::vector<char> buffer(kReceiveBuffer);
  Failure first;
  while (true) {
    ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return first;
      if (errno == ENOBUFS) {
        if (first.error == 0) first.error = ENOBUFS;
        continue;
      }
      return FromErrno(errno, "read the answers to an nf_tables batch");
    }
    ForEachMessage({buffer.data(), static_cast<size_t>(got)},
                   [&](const nlmsghdr& header, std::span<const char> payload) {
                     int error = header.nlmsg_type == NLMSG_ERROR ? -ReadAs<int32_t>(payload) : 0;
                     if (error != 0 && first.error == 0) {
                       first.sequence = header.nlmsg_seq;
                       first.error = error;
                     }
                     return true;
                   });
  }
}

Status RunInNetns(const std::string& netns_path, const std::function<Status()>& call) {
  UniqueFd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home) return FromErrno(errno, "open the network namespace of this thread");
  UniqueFd there(open(netns_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!there) return FromErrno(errno, "open network namespace " + netns_path);
  if (setns(there.get(), CLONE_NEWNET) != 0) {
    return FromErrno(errno, "enter network namespace " + netns_path);
  }
  Status status = call();
  GANTRY_CHECK(setns(home.get(), CLONE_NEWNET) == 0,
               "cannot return to the host's network namespace");
  return status;
}

Result<NetlinkSocket> OpenNetlinkIn(const std::string& netns_path, int protocol) {
  std::optional<NetlinkSocket> socket;
  GANTRY_TRY(RunInNetns(netns_path, [&]() -> Status {
    GANTRY_ASSIGN(NetlinkSocket opened, NetlinkSocket::Open(protocol));
    socket.emplace(std::move(opened));
    return Status::Ok();
  }));
  return std::move(*socket);
}

}  // namespace gantry::net

#include "net/netlink/link_monitor.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <cerrno>
#include <memory>

#include "net/dns/watchdog.h"
#include "net/netlink/socket.h"

namespace gantry::net {
namespace {

using Descriptor = boost::asio::posix::stream_descriptor;

constexpr auto kUse = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr size_t kBufferSize = 32 << 10;

Result<UniqueFd> OpenSubscription() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  if (!fd) return FromErrno(errno, "open a netlink socket");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return FromErrno(errno, "subscribe to changes of interfaces");
  return fd;
}

void HandOut(std::span<const char> datagram, const std::function<void(int)>& changed) {
  while (datagram.size() >= sizeof(nlmsghdr) + sizeof(ifinfomsg)) {
    const nlmsghdr header = ReadAs<nlmsghdr>(datagram);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) return;
    if (header.nlmsg_type == RTM_NEWLINK || header.nlmsg_type == RTM_DELLINK)
      changed(ReadAs<ifinfomsg>(datagram.subspan(sizeof(nlmsghdr))).ifi_index);
    datagram = datagram.subspan(std::min<size_t>(datagram.size(), NLMSG_ALIGN(header.nlmsg_len)));
  }
}

}  // namespace

Task<Status> FollowLinks(Env& env, Executor strand, std::function<void(int)> changed,
                         CancelToken cancel) {
  GANTRY_CO_ASSIGN(UniqueFd fd, OpenSubscription());
  auto socket = std::make_shared<Descriptor>(strand, fd.release());
  dns::Watchdog<Descriptor> watchdog(env, strand, socket, std::nullopt, cancel);
  std::vector<char> buffer(kBufferSize);
  while (!cancel.cancelled()) {
    auto [error] = co_await socket->async_wait(Descriptor::wait_read, kUse);
    if (error) break;
    while (true) {
      const ssize_t got = recv(socket->native_handle(), buffer.data(), buffer.size(), 0);
      if (got >= 0) {
        HandOut({buffer.data(), static_cast<size_t>(got)}, changed);
      } else if (errno == ENOBUFS) {
        changed(0);
      } else if (errno != EINTR) {
        break;
      }
    }
  }
  co_return Status::Ok();
}

}  // namespace gantry::net

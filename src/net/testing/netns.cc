#include "net/testing/netns.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/check.h"
#include "net/netlink/route.h"

namespace gantry::net::testing {
namespace {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

SocketAddress Address(const std::string& ip, uint16_t port) {
  SocketAddress address;
  if (ip.find(':') == std::string::npos) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    inet_pton(AF_INET, ip.c_str(), &v4.sin_addr);
    address.size = sizeof(v4);
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    inet_pton(AF_INET6, ip.c_str(), &v6.sin6_addr);
    address.size = sizeof(v6);
  }
  return address;
}

std::string Text(const SocketAddress& address) {
  char buffer[INET6_ADDRSTRLEN];
  const void* ip = address.family() == AF_INET
                       ? static_cast<const void*>(
                             &reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr)
                       : &reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr;
  return inet_ntop(address.family(), ip, buffer, sizeof(buffer));
}

}  // namespace

TestNetns::TestNetns() {
  std::thread([this] {
    GANTRY_CHECK(unshare(CLONE_NEWNET) == 0, "unshare a network namespace");
    fd_ = UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }).join();
  path_ = "/proc/self/fd/" + std::to_string(fd_.get());
}

void TestNetns::Run(const std::function<void()>& call) const {
  std::thread([&] {
    GANTRY_CHECK(setns(fd_.get(), CLONE_NEWNET) == 0, "enter a network namespace");
    call();
  }).join();
}

TestServer::TestServer(const TestNetns* netns, std::string name, uint16_t port, bool udp,
                       std::string bind_ip)
    : name_(std::move(name)), udp_(udp), stop_(eventfd(0, EFD_CLOEXEC)) {
  auto open_socket = [&] {
    SocketAddress address = Address(bind_ip, port);
    socket_ =
        UniqueFd(socket(address.family(), (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
    int one = 1;
    setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    GANTRY_CHECK(bind(socket_.get(), address.raw(), address.size) == 0, "bind");
    GANTRY_CHECK(udp || listen(socket_.get(), 128) == 0, "listen");
  };
  if (netns != nullptr) {
    netns->Run(open_socket);
  } else {
    open_socket();
  }
  thread_ = std::thread([this] { Serve(); });
}

TestServer::~TestServer() {
  uint64_t one = 1;
  GANTRY_CHECK(write(stop_.get(), &one, sizeof(one)) == sizeof(one), "stop a test server");
  thread_.join();
}

void TestServer::Serve() {
  while (true) {
    pollfd polled[2] = {{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    poll(polled, 2, -1);
    if (polled[1].revents != 0) return;
    SocketAddress peer;
    if (udp_) {
      char byte;
      if (recvfrom(socket_.get(), &byte, 1, 0, peer.raw(), &peer.size) < 0) continue;
      std::string text = name_ + " " + Text(peer);
      sendto(socket_.get(), text.data(), text.size(), 0, peer.raw(), peer.size);
      continue;
    }
    UniqueFd connection(accept4(socket_.get(), peer.raw(), &peer.size, SOCK_CLOEXEC));
    if (!connection) continue;
    std::string text = name_ + " " + Text(peer);
    if (send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) continue;
  }
}

Reply Ask(const std::string& ip, uint16_t port, bool udp, uint16_t from_port, int timeout_ms) {
  Reply reply;
  auto begin = std::chrono::steady_clock::now();
  SocketAddress to = Address(ip, port);
  UniqueFd fd(socket(to.family(), (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
  timeval timeout{timeout_ms / 1000, (timeout_ms % 1000) * 1000};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  auto step = [&] {
    if (from_port != 0) {
      int one = 1;
      setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
      SocketAddress own = Address(to.family() == AF_INET ? "0.0.0.0" : "::", from_port);
      if (bind(fd.get(), own.raw(), own.size) != 0) return errno;
    }
    if (connect(fd.get(), to.raw(), to.size) != 0) return errno;
    if (udp && send(fd.get(), "?", 1, 0) < 0) return errno;
    char buffer[256];
    ssize_t got = recv(fd.get(), buffer, sizeof(buffer), 0);
    if (got < 0) return errno;
    reply.text.assign(buffer, static_cast<size_t>(got));
    return 0;
  };
  reply.error = step();
  reply.milliseconds =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
  return reply;
}

Reply AskFrom(const TestNetns& netns, const std::string& ip, uint16_t port, bool udp,
              uint16_t from_port, int timeout_ms) {
  Reply reply;
  netns.Run([&] { reply = Ask(ip, port, udp, from_port, timeout_ms); });
  return reply;
}

TestHost::TestHost() {
  if (geteuid() != 0) {
    problem_ = "needs root";
    return;
  }
  if (unshare(CLONE_NEWNET) != 0) {
    problem_ = "cannot make a network namespace";
    return;
  }
  Status status = SetUp();
  if (!status.ok()) problem_ = status.message();
}

Status TestHost::SetUp() {
  char name[] = "/tmp/gantry-net-test-XXXXXX";
  if (mkdtemp(name) == nullptr) return FromErrno(errno, "make a directory");
  data_dir_ = name;
  outside_ = std::make_unique<TestNetns>();
  GANTRY_ASSIGN(RouteSocket host, RouteSocket::Open());
  GANTRY_ASSIGN(Link loopback, host.FindLink("lo"));
  GANTRY_TRY(host.SetUp(loopback.index));
  GANTRY_TRY(host.CreateBridge("uplink", {0x0a, 1, 2, 3, 4, 5}, 1500));
  GANTRY_ASSIGN(Link uplink, host.FindLink("uplink"));
  GANTRY_TRY(host.EnsureAddress(uplink.index, *IpAddress::Parse("192.168.77.1"), 24));
  UniqueFd netns(open(outside_->path().c_str(), O_RDONLY | O_CLOEXEC));
  GANTRY_TRY(host.CreateVeth("up0", uplink.index, netns.get(), "eth0", {0x0a, 1, 2, 3, 4, 6}, 1500,
                             false));
  GANTRY_ASSIGN(RouteSocket there, RouteSocket::OpenIn(outside_->path()));
  GANTRY_ASSIGN(Link eth, there.FindLink("eth0"));
  GANTRY_TRY(there.SetUp(eth.index));
  GANTRY_TRY(there.EnsureAddress(eth.index, *IpAddress::Parse("192.168.77.2"), 24));
  GANTRY_TRY(there.EnsureRoute(
      Route(eth.index, *Cidr::Parse("0.0.0.0/0"), IpAddress::Parse("192.168.77.1"))));
  env_ = std::make_unique<RealEnv>(2, 2);
  return Status::Ok();
}

TestHost::~TestHost() {
  env_.reset();
  std::error_code error;
  if (!data_dir_.empty()) std::filesystem::remove_all(data_dir_, error);
}

}  // namespace gantry::net::testing

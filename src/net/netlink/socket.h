#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/status.h"
#include "net/netlink/message.h"

namespace gantry::net {

// An owned file descriptor. Threading: a value that moves.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// One netlink connection, bound to the network namespace in which it was opened.
// Threading: one request at a time. Calls block, for microseconds.
class NetlinkSocket {
 public:
  // `protocol`: NETLINK_ROUTE, NETLINK_NETFILTER.
  static Result<NetlinkSocket> Open(int protocol);

  uint32_t NextSequence() { return ++sequence_; }

  // Sends one message that asks for an acknowledgement (NLM_F_ACK) and waits for it. `what` names
  // the operation and its operands in the error.
  Status Call(MessageWriter& message, std::string_view what);
  // Sends a dump request, or a get with an answer, and hands each answer's payload to `each`.
  Status Dump(MessageWriter& message, std::string_view what,
              const std::function<void(uint16_t type, std::span<const char> payload)>& each);

  // A failed message of a batch.
  struct Failure {
    uint32_t sequence = 0;
    int error = 0;
  };
  // Sends an nf_tables batch: it is committed, or refused as a whole, when this returns. The first
  // failure, or error 0.
  Result<Failure> SendBatch(std::span<const char> batch);

 private:
  explicit NetlinkSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  Status Send(std::span<const char> bytes, std::string_view what);

  UniqueFd fd_;
  uint32_t sequence_ = 0;
  size_t send_buffer_ = 0;
};

// Opens a socket in another network namespace: the calling thread enters it and comes back.
Result<NetlinkSocket> OpenNetlinkIn(const std::string& netns_path, int protocol);
// Runs `call` with the calling thread inside the namespace. The thread is back in its own
// afterwards; where that fails the process ends, since nothing on that thread could be trusted any
// more.
Status RunInNetns(const std::string& netns_path, const std::function<Status()>& call);

}  // namespace gantry::net

#pragma once

#include <memory>
#include <string>

#include "base/env/stream.h"
#include "base/wire/http1.h"
#include "client/http/transport.h"

namespace gantry::client::internal {

// A request and its answer on an HTTP/1.1 connection. Threading: the stream's strand.
class Http1Exchange {
 public:
  explicit Http1Exchange(std::unique_ptr<Stream> stream) : stream_(std::move(stream)) {}

  // Writes `head` (with its empty line) and `body`, then reads the head of the answer; 100 is
  // skipped.
  Task<Result<wire::ResponseHead>> Begin(std::string head, std::string body, std::string method);
  // The next bytes of the body; empty at the end.
  Task<Result<std::string>> ReadBody();
  // After the end of the body: whether another exchange may follow.
  bool Reusable() const { return keep_alive_ && ended_ && in_.empty(); }
  void Close() { stream_->Close(); }
  // After 101: the connection, with what has come early.
  std::unique_ptr<Stream> Detach();

 private:
  Task<Status> Fill();

  std::unique_ptr<Stream> stream_;
  std::string in_;
  wire::Framing framing_;
  wire::ChunkDecoder chunks_;
  bool keep_alive_ = false;
  bool ended_ = false;
};

}  // namespace gantry::client::internal

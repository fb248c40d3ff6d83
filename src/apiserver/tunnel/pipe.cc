#include "apiserver/tunnel/pipe.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/env/spawn.h"

namespace gantry::apiserver::tunnel {
namespace {

constexpr size_t kCopyBytes = 32 * 1024;

class ChannelStream : public Stream {
 public:
  explicit ChannelStream(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}
  ~ChannelStream() override { channel_->Reset(); }

  Task<Result<size_t>> Read(std::span<char> into) override {
    while (at_ == pending_.size()) {
      GANTRY_CO_ASSIGN(std::optional<std::string> message, co_await channel_->Receive());
      if (!message) co_return size_t{0};
      pending_ = std::move(*message);
      at_ = 0;
    }
    const size_t count = std::min(into.size(), pending_.size() - at_);
    std::memcpy(into.data(), pending_.data() + at_, count);
    at_ += count;
    co_return count;
  }
  Task<Status> Write(std::string_view bytes) override {
    if (bytes.empty()) co_return Status::Ok();
    co_return co_await channel_->Send(std::string(bytes));
  }
  Task<Status> CloseWrite() override { co_return channel_->Finish(); }
  void Close() override { channel_->Reset(); }

 private:
  std::shared_ptr<Channel> channel_;
  std::string pending_;
  size_t at_ = 0;
};

Task<> ChannelToStream(std::shared_ptr<Channel> channel, std::shared_ptr<Stream> stream) {
  while (true) {
    Result<std::optional<std::string>> message = co_await channel->Receive();
    if (!message.ok()) break;
    if (!*message) {
      Status closed = co_await stream->CloseWrite();
      if (!closed.ok()) stream->Close();
      co_return;
    }
    const std::string bytes = std::move(**message);
    if (Status sent = co_await stream->Write(bytes); !sent.ok()) break;
  }
  channel->Reset();
  stream->Close();
}

}  // namespace

std::unique_ptr<Stream> MakeChannelStream(std::shared_ptr<Channel> channel) {
  return std::make_unique<ChannelStream>(std::move(channel));
}

Task<> Splice(Env& env, std::shared_ptr<Channel> channel, std::shared_ptr<Stream> stream) {
  Gate gate;
  const Executor strand = co_await boost::asio::this_coro::executor;
  Spawn(strand, gate, "tunnel splice", ChannelToStream(channel, stream));
  std::array<char, kCopyBytes> buffer;
  while (true) {
    Result<size_t> got = co_await stream->Read(buffer);
    if (!got.ok() || *got == 0) {
      if (!got.ok()) channel->Reset();
      break;
    }
    if (Status sent = co_await channel->Send(std::string(buffer.data(), *got)); !sent.ok()) {
      stream->Close();
      break;
    }
  }
  Status finished = channel->Finish();
  co_await gate.Close(env);
  stream->Close();
}

}  // namespace gantry::apiserver::tunnel

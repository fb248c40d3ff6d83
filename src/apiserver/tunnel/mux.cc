#include "apiserver/tunnel/mux.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <array>
#include <utility>

#include "base/env/spawn.h"

namespace gantry::apiserver::tunnel {
namespace {

constexpr size_t kHeadBytes = 8;
constexpr size_t kWindowBytes = 256 * 1024;
// What is taken from an inbox is granted again in pieces of this size.
constexpr size_t kGrantBytes = 64 * 1024;
constexpr size_t kMaxMessageBytes = 128 * 1024;
constexpr size_t kOutBytes = 1024 * 1024;
constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kMaxChannels = 10'000;

void Put32(uint32_t value, std::string* out) {
  for (int shift = 24; shift >= 0; shift -= 8)
    *out += static_cast<char>(value >> shift);
}

uint32_t Get32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

Mux::Mux(Env& env, Executor strand, std::unique_ptr<Stream> stream, bool dialler,
         Duration dead_after, OnOpen on_open)
    : env_(env),
      strand_(std::move(strand)),
      stream_(std::move(stream)),
      dead_after_(dead_after),
      on_open_(std::move(on_open)),
      heard_(env.Steady().time_since_epoch().count()),
      next_id_(dialler ? 1 : 2) {}

Task<Status> Mux::Run() {
  Gate gate;
  Spawn(strand_, gate, "tunnel writer", WriteLoop());
  Spawn(strand_, gate, "tunnel keep-alive", KeepAlive());
  Status why = co_await ReadLoop();
  Fail(why);
  stream_->Close();
  co_await gate.Close(env_);
  absl::MutexLock lock(&mutex_);
  co_return failure_;
}

void Mux::Close() {
  Fail(Unavailable("the tunnel was closed"));
  boost::asio::post(strand_, [self = shared_from_this()] { self->stream_->Close(); });
}

void Mux::CloseWhenIdle() {
  {
    absl::MutexLock lock(&mutex_);
    retiring_ = true;
    if (!channels_.empty()) return;
  }
  Close();
}

void Mux::Fail(const Status& why) {
  std::map<uint32_t, StatePtr> channels;
  {
    absl::MutexLock lock(&mutex_);
    if (failure_.ok()) failure_ = why;
    channels.swap(channels_);
    for (const auto& [id, state] : channels)
      state->reset = true;
  }
  for (const auto& [id, state] : channels) {
    state->readable.Notify();
    state->writable.Notify();
  }
  over_.Cancel();
}

Task<> Mux::WriteLoop() {
  std::string bytes;
  while (true) {
    bytes.clear();
    {
      absl::MutexLock lock(&mutex_);
      bytes.swap(out_);
    }
    if (bytes.empty()) {
      if (co_await queued_.Wait(env_, over_.token()) == Wake::kCanceled) co_return;
      continue;
    }
    drained_.Notify();
    if (Status sent = co_await stream_->Write(bytes); !sent.ok()) {
      Fail(sent);
      stream_->Close();
      co_return;
    }
    if (bytes.capacity() > kReadBytes) std::string().swap(bytes);
  }
}

Task<> Mux::KeepAlive() {
  while (co_await SleepFor(env_, dead_after_ / 3, over_.token()) != Wake::kCanceled) {
    const Duration silent = env_.Steady() - heard();
    if (silent > dead_after_) {
      Fail(Unavailable("the other end of the tunnel does not answer"));
      stream_->Close();
      co_return;
    }
    if (silent >= dead_after_ / 3) {
      absl::MutexLock lock(&mutex_);
      Queue(0, Type::kPing, "");
    }
  }
}

Task<Status> Mux::ReadLoop() {
  std::string in;
  while (true) {
    std::string_view rest = in;
    while (rest.size() >= kHeadBytes) {
      const uint32_t id = Get32(rest);
      const auto type = static_cast<Type>(rest[4]);
      const size_t length = Get32(rest.substr(4)) & 0xffffff;
      if (length > kMaxMessageBytes) co_return BadRequest("tunnel: a frame is too long");
      if (rest.size() - kHeadBytes < length) break;
      Status taken = Take(id, type, std::string(rest.substr(kHeadBytes, length)));
      if (!taken.ok()) co_return taken;
      rest.remove_prefix(kHeadBytes + length);
    }
    in.erase(0, in.size() - rest.size());
    const size_t had = in.size();
    in.resize(had + kReadBytes);
    Result<size_t> got = co_await stream_->Read(std::span<char>(in.data() + had, kReadBytes));
    if (!got.ok()) co_return got.status();
    if (*got == 0) co_return Unavailable("the other end closed the tunnel");
    in.resize(had + *got);
    heard_ = env_.Steady().time_since_epoch().count();
  }
}

Status Mux::Take(uint32_t id, Type type, std::string payload) {
  StatePtr state;
  {
    absl::MutexLock lock(&mutex_);
    if (type == Type::kPing) Queue(0, Type::kPong, "");
    if (type == Type::kPing || type == Type::kPong) return Status::Ok();
    if (type == Type::kOpen) {
      if (id % 2 == next_id_ % 2 || channels_.contains(id))
        return BadRequest("tunnel: malformed open");
      if (channels_.size() >= kMaxChannels) {
        Queue(id, Type::kReset, "");
        return Status::Ok();
      }
      Add(id);
    } else {
      state = Find(id);
      if (!state) return Status::Ok();  // it was reset here already
      switch (type) {
        case Type::kData:
          if (payload.size() > state->granted) return BadRequest("tunnel: the window was exceeded");
          state->granted -= payload.size();
          state->inbox.push_back(std::move(payload));
          break;
        case Type::kWindow:
          if (payload.size() != 4) return BadRequest("tunnel: malformed window");
          state->credit += Get32(payload);
          break;
        case Type::kFinish:
          state->peer_finished = true;
          break;
        case Type::kReset:
          // What has come before it may still be read, so the channel stays until its owner lets
          // go.
          state->reset = true;
          break;
        default:
          return BadRequest("tunnel: unknown frame");
      }
    }
  }
  if (type == Type::kOpen) {
    on_open_(std::make_unique<Channel>(shared_from_this(), id), std::move(payload));
    return Status::Ok();
  }
  state->readable.Notify();
  state->writable.Notify();
  return Status::Ok();
}

void Mux::Queue(uint32_t id, Type type, std::string_view payload) {
  Put32(id, &out_);
  Put32(static_cast<uint32_t>(type) << 24 | static_cast<uint32_t>(payload.size()), &out_);
  out_ += payload;
  queued_.Notify();
}

Mux::StatePtr Mux::Add(uint32_t id) {
  auto state = std::make_shared<State>();
  state->granted = kWindowBytes;
  state->credit = kWindowBytes;
  channels_[id] = state;
  return state;
}

Mux::StatePtr Mux::Find(uint32_t id) {
  auto it = channels_.find(id);
  return it == channels_.end() ? nullptr : it->second;
}

Result<std::unique_ptr<Channel>> Mux::Open(std::string message) {
  if (message.size() > kMaxMessageBytes) return BadRequest("tunnel: a message is too long");
  absl::MutexLock lock(&mutex_);
  if (!failure_.ok()) return failure_;
  const uint32_t id = next_id_;
  next_id_ += 2;
  Add(id);
  Queue(id, Type::kOpen, message);
  return std::make_unique<Channel>(shared_from_this(), id);
}

void Mux::Forget(uint32_t id) {
  StatePtr state;
  bool close = false;
  {
    absl::MutexLock lock(&mutex_);
    state = Find(id);
    if (!state) return;
    channels_.erase(id);
    if (!std::exchange(state->reset, true)) Queue(id, Type::kReset, "");
    close = retiring_ && channels_.empty();
  }
  if (close) Close();
  state->readable.Notify();
  state->writable.Notify();
}

Channel::~Channel() { mux_->Forget(id_); }

void Channel::Reset() { mux_->Forget(id_); }

Task<Status> Channel::Send(std::string message) {
  size_t at = 0;
  do {
    Mux::StatePtr state;
    bool full = false;
    {
      absl::MutexLock lock(&mux_->mutex_);
      if (!mux_->failure_.ok()) co_return mux_->failure_;
      state = mux_->Find(id_);
      if (!state || state->reset || state->finished) co_return Canceled("the other end has gone");
      full = mux_->out_.size() > kOutBytes;
      if (!full && state->credit > 0) {
        const size_t count =
            std::min({message.size() - at, kMaxMessageBytes, static_cast<size_t>(state->credit)});
        // A message waits until the window takes all of it; only a long one is cut.
        if (count == message.size() - at || count >= kGrantBytes) {
          state->credit -= static_cast<int64_t>(count);
          mux_->Queue(id_, Mux::Type::kData, std::string_view(message).substr(at, count));
          at += count;
          continue;
        }
      }
    }
    if (full) {
      co_await mux_->drained_.Wait(mux_->env_, mux_->over_.token());
    } else {
      co_await state->writable.Wait(mux_->env_);
    }
  } while (at < message.size());
  co_return Status::Ok();
}

Status Channel::Finish() {
  absl::MutexLock lock(&mux_->mutex_);
  Mux::StatePtr state = mux_->Find(id_);
  if (!state) return Canceled("the other end has gone");
  if (!std::exchange(state->finished, true)) mux_->Queue(id_, Mux::Type::kFinish, "");
  return Status::Ok();
}

Task<Result<std::optional<std::string>>> Channel::Receive() {
  while (true) {
    Mux::StatePtr state;
    {
      absl::MutexLock lock(&mux_->mutex_);
      state = mux_->Find(id_);
      if (!state) {
        if (!mux_->failure_.ok()) co_return mux_->failure_;
        co_return Canceled("the other end has gone");
      }
      if (!state->inbox.empty()) {
        std::string message = std::move(state->inbox.front());
        state->inbox.pop_front();
        state->unacknowledged += message.size();
        if (state->unacknowledged >= kGrantBytes) {
          std::string grant;
          Put32(static_cast<uint32_t>(state->unacknowledged), &grant);
          state->granted += std::exchange(state->unacknowledged, 0);
          mux_->Queue(id_, Mux::Type::kWindow, grant);
        }
        co_return std::optional<std::string>(std::move(message));
      }
      if (state->peer_finished) co_return std::optional<std::string>();
      if (state->reset) co_return Canceled("the other end has gone");
    }
    co_await state->readable.Wait(mux_->env_);
  }
}

}  // namespace gantry::apiserver::tunnel

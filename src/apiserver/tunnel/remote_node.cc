#include "apiserver/tunnel/remote_node.h"

#include <algorithm>
#include <utility>

#include "apiserver/tunnel/messages.h"
#include "apiserver/tunnel/mux.h"
#include "apiserver/tunnel/pipe.h"

namespace gantry::apiserver::tunnel {
namespace {

using client::ExecSession;

constexpr size_t kStdinBytes = 32 * 1024;

// A stream that a token ends.
class CancellableStream : public Stream {
 public:
  CancellableStream(std::shared_ptr<Channel> channel, const CancelToken& cancel)
      : stream_(MakeChannelStream(channel)),
        registration_(cancel.OnCancel([channel] { channel->Reset(); })) {}
  Task<Result<size_t>> Read(std::span<char> into) override { return stream_->Read(into); }
  Task<Status> Write(std::string_view bytes) override { return stream_->Write(bytes); }
  Task<Status> CloseWrite() override { return stream_->CloseWrite(); }
  void Close() override { stream_->Close(); }

 private:
  std::unique_ptr<Stream> stream_;
  CancelToken::Registration registration_;
};

class RemoteExec : public ExecSession {
 public:
  RemoteExec(std::shared_ptr<Channel> channel, const CancelToken& cancel)
      : channel_(std::move(channel)),
        registration_(cancel.OnCancel([channel = channel_] { channel->Reset(); })) {}

  Task<Result<std::optional<Output>>> ReadOutput() override {
    if (exit_code_) co_return std::optional<Output>();
    GANTRY_CO_ASSIGN(std::optional<std::string> message, co_await channel_->Receive());
    if (!message) co_return Unavailable("the node ended the session without an exit code");
    ExecFrame frame;
    if (!frame.ParseFromString(*message)) co_return InternalError("tunnel: malformed exec frame");
    if (frame.has_failure()) co_return FromReply(frame.failure());
    if (frame.has_exit_code()) {
      exit_code_ = frame.exit_code();
      co_return std::optional<Output>();
    }
    Output output;
    output.channel = frame.has_stderr() ? Output::Channel::kStderr : Output::Channel::kStdout;
    output.bytes = frame.has_stderr() ? std::move(*frame.mutable_stderr())
                                      : std::move(*frame.mutable_stdout());
    co_return std::optional<Output>(std::move(output));
  }

  Task<Status> WriteStdin(std::string bytes) override {
    for (size_t at = 0; at < bytes.size(); at += kStdinBytes) {
      ExecFrame frame;
      frame.set_stdin(bytes.substr(at, kStdinBytes));
      GANTRY_CO_TRY(co_await channel_->Send(frame.SerializeAsString()));
    }
    co_return Status::Ok();
  }
  Task<Status> CloseStdin() override {
    ExecFrame frame;
    frame.set_close_stdin(true);
    co_return co_await channel_->Send(frame.SerializeAsString());
  }
  Task<Status> Resize(int columns, int rows) override {
    ExecFrame frame;
    frame.mutable_resize()->set_columns(columns);
    frame.mutable_resize()->set_rows(rows);
    co_return co_await channel_->Send(frame.SerializeAsString());
  }
  Task<Result<int>> ExitCode() override {
    if (!exit_code_) co_return InternalError("the process has not ended");
    co_return *exit_code_;
  }
  void Close() override { channel_->Reset(); }

 private:
  std::shared_ptr<Channel> channel_;
  CancelToken::Registration registration_;
  std::optional<int> exit_code_;
};

class RemoteNode : public client::NodeApi {
 public:
  explicit RemoteNode(std::shared_ptr<Mux> mux) : mux_(std::move(mux)) {}

  Task<Result<std::unique_ptr<Stream>>> Logs(client::LogOptions options,
                                             CancelToken cancel) override {
    Call call;
    ToMessage(options, call.mutable_logs());
    GANTRY_CO_ASSIGN(std::shared_ptr<Channel> channel,
                     co_await Begin(mux_, std::move(call), cancel));
    co_return std::unique_ptr<Stream>(
        std::make_unique<CancellableStream>(std::move(channel), cancel));
  }

  Task<Result<std::unique_ptr<ExecSession>>> Exec(client::ExecOptions options,
                                                  CancelToken cancel) override {
    Call call;
    ToMessage(options, call.mutable_exec());
    GANTRY_CO_ASSIGN(std::shared_ptr<Channel> channel,
                     co_await Begin(mux_, std::move(call), cancel));
    co_return std::unique_ptr<ExecSession>(
        std::make_unique<RemoteExec>(std::move(channel), cancel));
  }

  Task<Result<std::unique_ptr<Stream>>> PortForward(std::string ns, std::string pod,
                                                    std::string uid, uint16_t port) override {
    Call call;
    call.mutable_port_forward()->set_namespace_(ns);
    call.mutable_port_forward()->set_pod(pod);
    call.mutable_port_forward()->set_uid(uid);
    call.mutable_port_forward()->set_port(port);
    GANTRY_CO_ASSIGN(std::shared_ptr<Channel> channel,
                     co_await Begin(mux_, std::move(call), CancelToken()));
    co_return MakeChannelStream(std::move(channel));
  }

  Task<Result<std::unique_ptr<Stream>>> Dial(std::string address, uint16_t port) override {
    Call call;
    call.mutable_dial()->set_address(address);
    call.mutable_dial()->set_port(port);
    GANTRY_CO_ASSIGN(std::shared_ptr<Channel> channel,
                     co_await Begin(mux_, std::move(call), CancelToken()));
    co_return MakeChannelStream(std::move(channel));
  }

  Task<Result<client::NodePage>> Page(std::string path, CancelToken cancel) override {
    Call call;
    call.mutable_page()->set_path(std::move(path));
    GANTRY_CO_ASSIGN(std::shared_ptr<Channel> channel,
                     co_await Begin(mux_, std::move(call), cancel));
    GANTRY_CO_ASSIGN(std::optional<std::string> message, co_await channel->Receive());
    PageHead head;
    if (!message || !head.ParseFromString(*message))
      co_return InternalError("tunnel: malformed page");
    client::NodePage page;
    page.status = head.status();
    page.content_type = head.content_type();
    page.body = std::make_unique<CancellableStream>(std::move(channel), cancel);
    co_return std::move(page);
  }

  Task<Status> AwaitDrained(std::vector<std::string> addresses, Duration timeout,
                            CancelToken cancel) override {
    Call call;
    for (std::string& address : addresses)
      call.mutable_drain()->add_addresses(std::move(address));
    call.mutable_drain()->set_timeout_ms(
        std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count());
    Result<std::shared_ptr<Channel>> channel =
        co_await Begin(mux_, std::move(call), std::move(cancel));
    co_return channel.status();
  }

 private:
  // Opens a channel with the call and waits for the node's word.
  static Task<Result<std::shared_ptr<Channel>>> Begin(std::shared_ptr<Mux> mux, Call call,
                                                      CancelToken cancel) {
    GANTRY_CO_ASSIGN(std::unique_ptr<Channel> opened, mux->Open(call.SerializeAsString()));
    std::shared_ptr<Channel> channel = std::move(opened);
    CancelToken::Registration registration = cancel.OnCancel([channel] { channel->Reset(); });
    GANTRY_CO_ASSIGN(std::optional<std::string> message, co_await channel->Receive());
    Reply reply;
    if (!message || !reply.ParseFromString(*message))
      co_return InternalError("tunnel: malformed reply");
    GANTRY_CO_TRY(FromReply(reply));
    co_return channel;
  }

  // The answer to a call that is one text.
  static Task<Result<std::string>> ReadText(std::shared_ptr<Mux> mux, Call call) {
    GANTRY_CO_ASSIGN(std::shared_ptr<Channel> channel,
                     co_await Begin(std::move(mux), std::move(call), CancelToken()));
    std::string out;
    while (true) {
      GANTRY_CO_ASSIGN(std::optional<std::string> part, co_await channel->Receive());
      if (!part) co_return out;
      out += *part;
    }
  }

  const std::shared_ptr<Mux> mux_;
};

}  // namespace

std::shared_ptr<client::NodeApi> MakeRemoteNode(std::shared_ptr<Mux> mux) {
  return std::make_shared<RemoteNode>(std::move(mux));
}

}  // namespace gantry::apiserver::tunnel

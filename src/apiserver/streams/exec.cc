#include <simdjson.h>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "apiserver/streams/exec_status.h"
#include "apiserver/streams/negotiate.h"
#include "apiserver/streams/serve.h"
#include "apiserver/streams/spdy_connection.h"
#include "base/env/spawn.h"
#include "base/wire/deadline.h"
#include "base/wire/websocket.h"

namespace gantry::apiserver::streams {
namespace {

using Output = client::ExecSession::Output;

constexpr std::string_view kV5 = "v5.channel.k8s.io";
constexpr std::string_view kV4 = "v4.channel.k8s.io";
constexpr std::string_view kV4Base64 = "v4.base64.channel.k8s.io";
constexpr std::array<std::string_view, 6> kWebSocketProtocols = {
    kV5, kV4, kV4Base64, "channel.k8s.io", "base64.channel.k8s.io", ""};
constexpr std::array<std::string_view, 5> kSpdyProtocols = {
    kV4, "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io", ""};

// A client has this long to open its streams, and to go once it has been told the outcome.
constexpr Duration kStreamsTimeout = std::chrono::seconds(30);
constexpr Duration kGoodbyeTimeout = std::chrono::seconds(5);

enum Channel : uint8_t {
  kStdin = 0,
  kStdout = 1,
  kStderr = 2,
  kError = 3,
  kResize = 4,
  kCloseSignal = 255
};

struct Input {
  enum class Kind : uint8_t { kStdin, kStdinEnd, kResize, kNothing };
  Kind kind = Kind::kNothing;
  std::string bytes;
  int columns = 0, rows = 0;
};

// {"Width":80,"Height":24}
Input ParseResize(std::string_view json) {
  Input input;
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  uint64_t width = 0, height = 0;
  if (parser.parse(simdjson::padded_string(json)).get(document) != simdjson::SUCCESS ||
      document["Width"].get(width) != simdjson::SUCCESS ||
      document["Height"].get(height) != simdjson::SUCCESS || width > 0xffff || height > 0xffff) {
    return input;
  }
  input.kind = Input::Kind::kResize;
  input.columns = static_cast<int>(width);
  input.rows = static_cast<int>(height);
  return input;
}

// How one protocol carries the streams of an exec. Threading: one strand; Next and the writers may
// overlap.
class ExecWire {
 public:
  virtual ~ExecWire() = default;
  // Until the client has opened all that it asked for.
  virtual Task<Status> Start() = 0;
  // nullopt: the client is gone.
  virtual Task<Result<std::optional<Input>>> Next() = 0;
  virtual Task<Status> Write(Output output) = 0;
  virtual Task<Status> Finish(ExecStatus status) = 0;
  virtual void Close() = 0;
};

class WebSocketExec : public ExecWire {
 public:
  WebSocketExec(Env& env, std::unique_ptr<Stream> stream, client::ExecOptions options,
                std::string protocol)
      : socket_(env, std::move(stream), wire::WebSocketRole::kServer),
        options_(std::move(options)),
        base64_(protocol.find("base64.") != std::string::npos),
        structured_(protocol.starts_with("v")) {}

  // An empty message on the first channel that we write tells the client that it is connected.
  Task<Status> Start() override {
    const Channel channel = options_.stdout_open   ? kStdout
                            : options_.stderr_open ? kStderr
                                                   : kError;
    co_return co_await Send(channel, "");
  }

  Task<Result<std::optional<Input>>> Next() override {
    GANTRY_CO_ASSIGN(std::optional<wire::WebSocketMessage> message, co_await socket_.Read());
    if (!message) co_return std::optional<Input>();
    co_return std::optional<Input>(Understand(std::move(message->payload)));
  }

  Task<Status> Write(Output output) override {
    const Channel channel = output.channel == Output::Channel::kStdout ? kStdout : kStderr;
    co_return co_await Send(channel, std::move(output.bytes));
  }

  Task<Status> Finish(ExecStatus status) override {
    std::string text = structured_ ? status.Json() : status.Text();
    if (!text.empty()) GANTRY_CO_TRY(co_await Send(kError, std::move(text)));
    co_return co_await socket_.SendClose(1000, "");
  }

  void Close() override { socket_.Close(); }

 private:
  Input Understand(std::string payload) {
    Input input;
    if (payload.empty()) return input;
    auto channel = static_cast<uint8_t>(payload[0]);
    if (base64_) {
      std::optional<std::string> plain = wire::FromBase64(std::string_view(payload).substr(1));
      if (!plain || channel < '0') return input;
      channel = static_cast<uint8_t>(channel - '0');
      input.bytes = std::move(*plain);
    } else {
      input.bytes = payload.substr(1);
    }
    if (channel == kResize) return ParseResize(input.bytes);
    if (channel == kStdin && !input.bytes.empty()) input.kind = Input::Kind::kStdin;
    if (channel == kCloseSignal && input.bytes == std::string_view("\0", 1))
      input.kind = Input::Kind::kStdinEnd;
    return input;
  }

  Task<Status> Send(Channel channel, std::string bytes) {
    if (base64_) {
      std::string text(1, static_cast<char>('0' + channel));
      text += wire::Base64(bytes);
      co_return co_await socket_.Write(wire::WebSocketOpcode::kText, std::move(text));
    }
    std::string payload(1, static_cast<char>(channel));
    payload += bytes;
    co_return co_await socket_.Write(wire::WebSocketOpcode::kBinary, std::move(payload));
  }

  wire::WebSocket socket_;
  client::ExecOptions options_;
  bool base64_;
  bool structured_;  // the outcome is a metav1.Status
};

class SpdyExec : public ExecWire {
 public:
  SpdyExec(Env& env, std::unique_ptr<Stream> stream, client::ExecOptions options,
           std::string protocol)
      : env_(env),
        connection_(env, std::move(stream)),
        options_(std::move(options)),
        structured_(protocol == kV4),
        resizes_(protocol == kV4 || protocol == "v3.channel.k8s.io") {}

  Task<Status> Start() override {
    const size_t expected = 1 + size_t{options_.stdin_open} + size_t{options_.stdout_open} +
                            size_t{options_.stderr_open && !options_.tty} +
                            size_t{options_.tty && resizes_};
    const Executor strand = co_await boost::asio::this_coro::executor;
    wire::Deadline deadline(env_, strand, env_.Steady() + kStreamsTimeout,
                            [this] { connection_.Close(); });
    while (streams_.size() < expected) {
      GANTRY_CO_ASSIGN(std::optional<SpdyFrame> frame, co_await connection_.Read());
      if (!frame) co_return Canceled("the client is gone");
      if (frame->type == SpdyType::kSynStream) GANTRY_CO_TRY(co_await Open(*frame));
      // A client may write before all streams are open.
      if (frame->type == SpdyType::kData) early_.push_back(std::move(*frame));
    }
    std::reverse(early_.begin(), early_.end());
    co_return Status::Ok();
  }

  Task<Result<std::optional<Input>>> Next() override {
    if (std::exchange(stdin_ended_, false)) {
      Input end;
      end.kind = Input::Kind::kStdinEnd;
      co_return std::optional<Input>(std::move(end));
    }
    std::optional<SpdyFrame> frame;
    if (!early_.empty()) {
      frame = std::move(early_.back());
      early_.pop_back();
    } else {
      GANTRY_CO_ASSIGN(frame, co_await connection_.Read());
      if (!frame) co_return std::optional<Input>();
    }
    co_return std::optional<Input>(Understand(std::move(*frame)));
  }

  Task<Status> Write(Output output) override {
    const bool to_stdout = output.channel == Output::Channel::kStdout;
    const uint32_t id = IdOf(to_stdout ? "stdout" : "stderr");
    if (id == 0) co_return Status::Ok();
    co_return co_await connection_.Data(id, std::move(output.bytes), false);
  }

  Task<Status> Finish(ExecStatus status) override {
    for (const char* type : {"stdout", "stderr"}) {
      if (const uint32_t id = IdOf(type)) GANTRY_CO_TRY(co_await connection_.Data(id, "", true));
    }
    std::string text = structured_ ? status.Json() : status.Text();
    co_return co_await connection_.Data(IdOf("error"), std::move(text), true);
  }

  void Close() override { connection_.Close(); }

 private:
  uint32_t IdOf(std::string_view type) const {
    auto it = streams_.find(type);
    return it == streams_.end() ? 0 : it->second;
  }

  Task<Status> Open(const SpdyFrame& frame) {
    static constexpr std::array<std::string_view, 5> kTypes = {"error", "stdin", "stdout", "stderr",
                                                               "resize"};
    std::string type;
    for (const auto& [name, value] : frame.headers) {
      if (name == "streamtype") type = value;
    }
    if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
      co_return BadRequest("unexpected stream type: \"" + type + "\"");
    }
    streams_[type] = frame.stream_id;
    co_return co_await connection_.SynReply(frame.stream_id);
  }

  Input Understand(SpdyFrame frame) {
    Input input;
    const bool is_stdin = frame.stream_id == IdOf("stdin");
    if (frame.type == SpdyType::kReset && is_stdin) input.kind = Input::Kind::kStdinEnd;
    if (frame.type != SpdyType::kData) return input;
    if (is_stdin) {
      input.kind = frame.data.empty() ? Input::Kind::kNothing : Input::Kind::kStdin;
      input.bytes = std::move(frame.data);
      stdin_ended_ = frame.fin;
    } else if (frame.stream_id == IdOf("resize")) {
      resize_text_ += frame.data;
      const size_t end = resize_text_.rfind('}');
      if (end == std::string::npos || resize_text_.size() > 4096) return input;
      const size_t begin = resize_text_.rfind('{', end);
      if (begin != std::string::npos)
        input = ParseResize(resize_text_.substr(begin, end - begin + 1));
      resize_text_.clear();
    }
    return input;
  }

  Env& env_;
  SpdyConnection connection_;
  client::ExecOptions options_;
  bool structured_;
  bool resizes_;
  std::map<std::string, uint32_t, std::less<>> streams_;  // by type
  std::vector<SpdyFrame> early_;                          // last first
  bool stdin_ended_ = false;
  std::string resize_text_;
};

// One exec under way.
struct Exec {
  Exec(Env& env, std::unique_ptr<ExecWire> wire, std::shared_ptr<client::ExecSession> session)
      : env(env), wire(std::move(wire)), session(std::move(session)) {}
  Env& env;
  std::unique_ptr<ExecWire> wire;
  std::shared_ptr<client::ExecSession> session;
  bool finished = false;  // the outcome has been told
  Notifier input_ended;
  Gate gate;
};

Task<> PumpInput(Exec& exec) {
  while (true) {
    Result<std::optional<Input>> next = co_await exec.wire->Next();
    if (!next.ok() || !*next) break;
    if (exec.finished) continue;
    Input& input = **next;
    Status passed;
    if (input.kind == Input::Kind::kStdin)
      passed = co_await exec.session->WriteStdin(std::move(input.bytes));
    if (input.kind == Input::Kind::kStdinEnd) passed = co_await exec.session->CloseStdin();
    if (input.kind == Input::Kind::kResize)
      passed = co_await exec.session->Resize(input.columns, input.rows);
    // A process that does not read its input any more may still have something to say.
  }
  if (!exec.finished) exec.session->Close();
  exec.input_ended.Notify();
}

Task<ExecStatus> PumpOutput(Exec& exec) {
  while (true) {
    Result<std::optional<Output>> output = co_await exec.session->ReadOutput();
    if (!output.ok()) co_return ExecStatus::Failed(output.status());
    if (!*output) break;
    Output piece = std::move(**output);
    if (Status sent = co_await exec.wire->Write(std::move(piece)); !sent.ok()) {
      exec.session->Close();
      co_return ExecStatus::Failed(sent);
    }
  }
  Result<int> code = co_await exec.session->ExitCode();
  if (!code.ok()) co_return ExecStatus::Failed(code.status());
  co_return ExecStatus::Exited(*code);
}

Task<> RunExec(Env& env, std::unique_ptr<ExecWire> wire,
               std::shared_ptr<client::ExecSession> session) {
  Exec exec(env, std::move(wire), std::move(session));
  Status started = co_await exec.wire->Start();
  if (started.ok()) {
    const Executor strand = co_await boost::asio::this_coro::executor;
    Spawn(strand, exec.gate, "exec input", PumpInput(exec));
    ExecStatus status = co_await PumpOutput(exec);
    exec.finished = true;
    Status told = co_await exec.wire->Finish(std::move(status));
    // The client closes when it has read to the end; closing first could cost it the last bytes.
    if (told.ok())
      co_await exec.input_ended.Wait(env, CancelToken(), env.Steady() + kGoodbyeTimeout);
  }
  exec.session->Close();
  exec.wire->Close();
  co_await exec.gate.Close(env);
}

template <class Wire>
std::function<Task<void>(std::unique_ptr<Stream>)> Runner(
    Env& env, client::ExecOptions options, std::string protocol,
    std::shared_ptr<client::ExecSession> session) {
  return [&env, options, protocol, session](std::unique_ptr<Stream> stream) {
    return RunExec(env, std::make_unique<Wire>(env, std::move(stream), options, protocol), session);
  };
}

}  // namespace

Result<Response> ServeExec(Env& env, const Request& request, const client::ExecOptions& options,
                           std::unique_ptr<client::ExecSession> session) {
  std::shared_ptr<client::ExecSession> shared = std::move(session);
  const UpgradeKind kind = UpgradeOf(request);
  Result<Upgrade> upgrade = kind == UpgradeKind::kWebSocket
                                ? UpgradeWebSocket(request, kWebSocketProtocols)
                            : kind == UpgradeKind::kSpdy ? UpgradeSpdy(request, kSpdyProtocols)
                                                         : Result<Upgrade>(CheckUpgrade(request));
  if (!upgrade.ok()) {
    shared->Close();
    return upgrade.status();
  }
  Response response = std::move(upgrade->response);
  response.upgrade = kind == UpgradeKind::kWebSocket
                         ? Runner<WebSocketExec>(env, options, upgrade->protocol, std::move(shared))
                         : Runner<SpdyExec>(env, options, upgrade->protocol, std::move(shared));
  return response;
}

Status CheckUpgrade(const Request& request) {
  if (UpgradeOf(request) == UpgradeKind::kNone) return BadRequest("Upgrade request required");
  return Status::Ok();
}

}  // namespace gantry::apiserver::streams

#include "apiserver/streams/testing/fake_node.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <utility>

#include "base/env/notifier.h"

namespace gantry::apiserver::testing {
namespace {

using client::ExecOptions;
using client::ExecSession;

class FakeSession : public ExecSession {
 public:
  FakeSession(Env& env, ExecOptions options, std::atomic<int>& open)
      : env_(env), options_(std::move(options)), open_(open) {
    ++open_;
    const std::string& name = options_.command.empty() ? kAttached : options_.command[0];
    const int number = options_.command.size() > 1 ? std::atoi(options_.command[1].c_str()) : 0;
    if (name == "exit") End(number);
    if (name == "both") {
      Say(Output::Channel::kStdout, "to stdout\n");
      Say(Output::Channel::kStderr, "to stderr\n");
      End(0);
    }
    if (name == "bytes") {
      for (int left = number; left > 0; left -= 10'000) {
        Say(Output::Channel::kStdout,
            std::string(static_cast<size_t>(std::min(left, 10'000)), 'b'));
      }
      End(0);
    }
    if (name == "broken") failure_ = InternalError("the runtime is broken");
    if (name == kAttached) Say(Output::Channel::kStdout, "attached\n");
    cats_ = name == "cat";
    sizes_ = name == "size";
  }
  ~FakeSession() override { --open_; }

  Task<Result<std::optional<Output>>> ReadOutput() override {
    while (true) {
      if (!failure_.ok()) co_return failure_;
      if (!outputs_.empty()) {
        Output output = std::move(outputs_.front());
        outputs_.pop_front();
        co_return std::optional<Output>(std::move(output));
      }
      if (ended_) co_return std::optional<Output>();
      co_await changed_.Wait(env_);
    }
  }
  Task<Status> WriteStdin(std::string bytes) override {
    if (cats_) Say(Output::Channel::kStdout, std::move(bytes));
    co_return Status::Ok();
  }
  Task<Status> CloseStdin() override {
    if (cats_) End(0);
    co_return Status::Ok();
  }
  Task<Status> Resize(int columns, int rows) override {
    if (sizes_) {
      Say(Output::Channel::kStdout, std::to_string(columns) + "x" + std::to_string(rows) + "\n");
      End(0);
    }
    co_return Status::Ok();
  }
  Task<Result<int>> ExitCode() override { co_return code_; }
  void Close() override {
    if (!ended_) End(137);
  }

 private:
  static inline const std::string kAttached = "(attach)";

  void Say(Output::Channel channel, std::string bytes) {
    Output output;
    output.channel = channel;
    output.bytes = std::move(bytes);
    outputs_.push_back(std::move(output));
    changed_.Notify();
  }
  void End(int code) {
    code_ = code;
    ended_ = true;
    changed_.Notify();
  }

  Env& env_;
  ExecOptions options_;
  std::atomic<int>& open_;
  std::deque<Output> outputs_;
  Notifier changed_;
  Status failure_;
  bool cats_ = false, sizes_ = false, ended_ = false;
  int code_ = 0;
};

class FakeStream : public Stream {
 public:
  FakeStream(Env& env, std::string text, bool echoes, bool ended, std::atomic<int>& open)
      : env_(env), text_(std::move(text)), echoes_(echoes), ended_(ended), open_(open) {
    ++open_;
  }
  ~FakeStream() override { --open_; }

  Task<Result<size_t>> Read(std::span<char> into) override {
    while (true) {
      if (!text_.empty()) {
        const size_t count = std::min(into.size(), text_.size());
        std::memcpy(into.data(), text_.data(), count);
        text_.erase(0, count);
        co_return count;
      }
      if (closed_) co_return Canceled("closed");
      if (ended_) co_return size_t{0};
      co_await changed_.Wait(env_, cancel_);
      if (cancel_.cancelled()) ended_ = true;
    }
  }
  Task<Status> Write(std::string_view bytes) override {
    if (closed_) co_return Canceled("closed");
    if (echoes_) text_ += bytes;
    changed_.Notify();
    co_return Status::Ok();
  }
  Task<Status> CloseWrite() override {
    ended_ = true;
    changed_.Notify();
    co_return Status::Ok();
  }
  void Close() override {
    closed_ = true;
    changed_.Notify();
  }
  void set_cancel(CancelToken cancel) { cancel_ = std::move(cancel); }

 private:
  Env& env_;
  std::string text_;
  bool echoes_, ended_, closed_ = false;
  std::atomic<int>& open_;
  CancelToken cancel_;
  Notifier changed_;
};

}  // namespace

Task<Result<std::unique_ptr<Stream>>> FakeNode::Logs(client::LogOptions options,
                                                     CancelToken cancel) {
  if (options.container == "missing")
    co_return BadRequest("container missing is not valid for pod " + options.pod);
  auto stream =
      std::make_unique<FakeStream>(env_, "a log of " + options.ns + "/" + options.pod + "\n", false,
                                   !options.follow, open_streams);
  stream->set_cancel(std::move(cancel));
  co_return std::unique_ptr<Stream>(std::move(stream));
}

Task<Result<std::unique_ptr<ExecSession>>> FakeNode::Exec(ExecOptions options, CancelToken cancel) {
  if (options.container == "missing")
    co_return Status(Code::kNotFound, "container not found (\"missing\")");
  co_return std::unique_ptr<ExecSession>(
      std::make_unique<FakeSession>(env_, std::move(options), open_sessions));
}

Task<Result<std::unique_ptr<Stream>>> FakeNode::PortForward(std::string ns, std::string pod,
                                                            std::string uid, uint16_t port) {
  if (port != 7 && port != 9)
    co_return Unavailable("dial tcp4 127.0.0.1:" + std::to_string(port) +
                          ": connect: connection refused");
  co_return std::unique_ptr<Stream>(std::make_unique<FakeStream>(
      env_, port == 9 ? "hello\n" : "", port == 7, port == 9, open_streams));
}

Task<Result<std::unique_ptr<Stream>>> FakeNode::Dial(std::string address, uint16_t port) {
  co_return co_await PortForward("", "", "", port);
}

Task<Result<client::NodePage>> FakeNode::Page(std::string path, CancelToken) {
  client::NodePage page;
  page.status = path == "/missing" ? 404 : 200;
  page.content_type = "text/plain";
  page.body =
      std::make_unique<FakeStream>(env_, "the page " + path + "\n", false, true, open_streams);
  co_return std::move(page);
}

Task<Status> FakeNode::AwaitDrained(std::vector<std::string> addresses, Duration timeout,
                                    CancelToken cancel) {
  ++drains;
  if (std::find(addresses.begin(), addresses.end(), "stuck") == addresses.end())
    co_return Status::Ok();
  const Wake woken = co_await SleepFor(env_, timeout, cancel);
  if (woken == Wake::kCanceled) co_return Canceled("context canceled");
  co_return Status(Code::kTimeout, "still in use");
}

}  // namespace gantry::apiserver::testing

#include "node/runtime/exec_session.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <cerrno>
#include <cstring>
#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "base/env/notifier.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace asio = boost::asio;
namespace {

using client::ExecSession;
using Descriptor = asio::posix::stream_descriptor;
using Output = ExecSession::Output;
using Channel = Output::Channel;

constexpr size_t kChunk = 16 << 10;
constexpr size_t kMaxQueued = 16;

// The outputs of a session in the order in which they came: each source is read into one bounded
// queue.
class OutputQueue : public std::enable_shared_from_this<OutputQueue> {
 public:
  // `packets`: every read is one packet whose first byte names its channel, as conmon sends them.
  struct Source {
    Source(Executor executor, int fd, Channel channel, bool packets)
        : descriptor(executor, fd), channel(channel), packets(packets) {}
    Descriptor descriptor;
    Channel channel;
    bool packets;
    bool reading = false, ended = false;
    char buffer[kChunk];
  };

  Source& Add(Executor executor, UniqueFd fd, Channel channel, bool packets = false) {
    sources_.push_back(std::make_unique<Source>(executor, fd.release(), channel, packets));
    return *sources_.back();
  }

  void ReadMore() {
    for (auto& source : sources_) {
      if (source->reading || source->ended || queue_.size() >= kMaxQueued) continue;
      source->reading = true;
      source->descriptor.async_read_some(asio::buffer(source->buffer),
                                         [self = shared_from_this(), from = source.get()](
                                             boost::system::error_code error, size_t n) {
                                           from->reading = false;
                                           if (error || n == 0) {
                                             from->ended = true;
                                           } else {
                                             self->Push(*from, n);
                                           }
                                           self->ReadMore();
                                           self->changed_.Notify();
                                         });
    }
  }

  Task<std::optional<Output>> Next(Env& env) {
    while (true) {
      if (!queue_.empty()) {
        std::optional<Output> output(std::move(queue_.front()));
        queue_.pop_front();
        ReadMore();
        co_return output;
      }
      bool open = false;
      for (auto& source : sources_)
        open |= !source->ended;
      if (!open) co_return std::nullopt;
      co_await changed_.Wait(env);
    }
  }

  void Close() {
    boost::system::error_code ignored;
    for (auto& source : sources_) {
      source->descriptor.close(ignored);
      source->ended = true;
    }
    changed_.Notify();
  }

 private:
  void Push(Source& from, size_t n) {
    Output output;
    output.channel = from.channel;
    if (from.packets) {
      output.channel = from.buffer[0] == 3 ? Channel::kStderr : Channel::kStdout;
      output.bytes.assign(from.buffer + 1, n - 1);
    } else {
      output.bytes.assign(from.buffer, n);
    }
    if (!output.bytes.empty()) queue_.push_back(std::move(output));
  }

  std::vector<std::unique_ptr<Source>> sources_;
  std::deque<Output> queue_;
  Notifier changed_;
};

Task<> WriteAll(Descriptor& to, std::string bytes) {
  // A program that does not read its input, or has ended, is no error of the session.
  if (to.is_open())
    co_await asio::async_write(to, asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
}

Status ResizeTerminal(int fd, int columns, int rows) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(rows);
  return ioctl(fd, TIOCSWINSZ, &size) == 0 ? Status::Ok() : FromErrno(errno, "resize terminal");
}

// Waits for the terminal that the runtime makes, and for what the runtime has to say itself.
class Console : public std::enable_shared_from_this<Console> {
 public:
  Console(Executor executor, UniqueFd listener, UniqueFd messages)
      : listener_(executor, listener.release()), messages_(executor, messages.release()) {}

  void Start() {
    listener_.async_wait(Descriptor::wait_read,
                         [self = shared_from_this()](boost::system::error_code error) {
                           if (!error) self->Accept();
                           self->changed_.Notify();
                         });
    ReadMessages();
  }

  // Called when the terminal is there. Not any more after Close.
  std::function<void(UniqueFd terminal)> on_terminal;

  // False when the runtime has ended without a terminal.
  Task<bool> Settled(Env& env) {
    while (!come_ && !ended_)
      co_await changed_.Wait(env);
    changed_.Notify();  // another one may wait
    co_return come_;
  }

  void Close() {
    on_terminal = nullptr;
    boost::system::error_code ignored;
    listener_.close(ignored);
  }

  const std::string& text() const { return text_; }

 private:
  void Accept() {
    UniqueFd from(accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!from) return;
    char byte[256];
    iovec data{byte, sizeof byte};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    // The runtime sends as soon as it is connected.
    timeval limit{5, 0};
    setsockopt(from.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (recvmsg(from.get(), &message, MSG_CMSG_CLOEXEC) < 0) return;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    UniqueFd terminal(fd);
    come_ = true;
    if (on_terminal) on_terminal(std::move(terminal));
    Close();
  }

  // To its end, however long the session is: the runtime must not be stopped by a full pipe.
  void ReadMessages() {
    messages_.async_read_some(
        asio::buffer(buffer_),
        [self = shared_from_this()](boost::system::error_code error, size_t n) {
          if (error || n == 0) {
            // A short run is over before its terminal has been looked for.
            if (!self->come_) self->Accept();
            self->ended_ = true;
            self->changed_.Notify();
            return;
          }
          if (self->text_.size() < sizeof self->buffer_) self->text_.append(self->buffer_, n);
          self->ReadMessages();
        });
  }

  Descriptor listener_, messages_;
  bool come_ = false, ended_ = false;
  std::string text_;
  char buffer_[4096];
  Notifier changed_;
};

// The last line, without colours and time: "ESC[1;31m2024-05-01T12:00:00.1Z: message ESC[0m".
std::string LastMessage(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033') {
      while (i < text.size() && text[i] != 'm')
        ++i;
    } else if (text[i] != '\r') {
      plain += text[i];
    }
  }
  while (!plain.empty() && plain.back() == '\n')
    plain.pop_back();
  size_t line = plain.rfind('\n');
  if (line != std::string::npos) plain.erase(0, line + 1);
  size_t time = plain.find("Z: ");
  if (time != std::string::npos && time <= sizeof "2024-05-01T12:00:00.123456789")
    plain.erase(0, time + 3);
  return plain;
}

// A process of the runtime with pipes, or with a pseudo terminal, for its standard streams.
class ProcessSession : public ExecSession {
 public:
  ProcessSession(Env& env, std::string process_file)
      : env_(env), process_file_(std::move(process_file)) {}
  ~ProcessSession() override {
    Close();
    unlink(process_file_.c_str());
    if (!console_path_.empty()) unlink(console_path_.c_str());
  }

  Task<Result<std::optional<Output>>> ReadOutput() override {
    if (console_ && !co_await console_->Settled(env_)) {
      Result<int> ended = co_await ExitCode();
      co_return InternalError(LastMessage(console_->text()));
    }
    std::shared_ptr<OutputQueue> outputs = outputs_;
    std::optional<Output> next = co_await outputs->Next(env_);
    co_return Result<std::optional<Output>>(std::move(next));
  }

  Task<Status> WriteStdin(std::string bytes) override {
    if (console_ && !co_await console_->Settled(env_)) co_return Status::Ok();
    Descriptor* to = terminal_ != nullptr ? &terminal_->descriptor : in_ ? &*in_ : nullptr;
    if (to != nullptr) co_await WriteAll(*to, std::move(bytes));
    co_return Status::Ok();
  }

  Task<Status> CloseStdin() override {
    if (console_ && !co_await console_->Settled(env_)) co_return Status::Ok();
    if (terminal_ != nullptr) {
      std::string end_of_file(1, '\x04');
      co_await WriteAll(terminal_->descriptor, std::move(end_of_file));
    }
    CloseInput();
    co_return Status::Ok();
  }

  Task<Status> Resize(int columns, int rows) override {
    size_ = {columns, rows};
    if (terminal_ == nullptr || !terminal_->descriptor.is_open()) co_return Status::Ok();
    co_return ResizeTerminal(terminal_->descriptor.native_handle(), columns, rows);
  }

  // The terminal comes from the runtime; until then what is said to it waits.
  void Expect(std::shared_ptr<Console> console, std::string path, Executor executor) {
    console_ = std::move(console);
    console_path_ = std::move(path);
    console_->on_terminal = [this, executor](UniqueFd terminal) {
      if (size_) (void)ResizeTerminal(terminal.get(), size_->first, size_->second);
      terminal_ = &outputs_->Add(executor, std::move(terminal), Channel::kStdout);
      outputs_->ReadMore();
    };
    console_->Start();
  }

  Task<Result<int>> ExitCode() override {
    if (!exit_code_) {
      Process process = std::move(process_);
      exit_code_ = co_await WaitForExit(std::move(process));
    }
    co_return *exit_code_;
  }

  void Close() override {
    if (std::exchange(closed_, true)) return;
    if (process_.pidfd) kill(-process_.pid, SIGKILL);
    CloseInput();
    outputs_->Close();
    if (console_) console_->Close();
  }

  // Set up by StartExec.
  std::shared_ptr<OutputQueue> outputs_ = std::make_shared<OutputQueue>();
  OutputQueue::Source* terminal_ = nullptr;
  std::optional<Descriptor> in_;
  Process process_;

 private:
  void CloseInput() {
    boost::system::error_code ignored;
    if (in_) in_->close(ignored);
  }

  Env& env_;
  std::string process_file_, console_path_;
  std::shared_ptr<Console> console_;
  std::optional<std::pair<int, int>> size_;
  bool closed_ = false;
  std::optional<int> exit_code_;
};

class AttachSession : public ExecSession {
 public:
  AttachSession(Env& env, Runtime& runtime, std::string bundle, bool terminal)
      : env_(env), runtime_(runtime), bundle_(std::move(bundle)), has_terminal_(terminal) {}
  ~AttachSession() override { Close(); }

  Task<Result<std::optional<Output>>> ReadOutput() override {
    std::shared_ptr<OutputQueue> outputs = outputs_;
    std::optional<Output> next = co_await outputs->Next(env_);
    co_return Result<std::optional<Output>>(std::move(next));
  }
  Task<Status> WriteStdin(std::string bytes) override {
    co_await WriteAll(socket_->descriptor, std::move(bytes));
    co_return Status::Ok();
  }
  Task<Status> CloseStdin() override {
    if (socket_->descriptor.is_open()) shutdown(socket_->descriptor.native_handle(), SHUT_WR);
    co_return Status::Ok();
  }
  Task<Status> Resize(int columns, int rows) override {
    if (!has_terminal_) co_return Status::Ok();
    co_return WriteControl(bundle_,
                           "1 " + std::to_string(rows) + " " + std::to_string(columns) + "\n");
  }
  Task<Result<int>> ExitCode() override {
    // The monitor closes its socket just before it writes the exit record.
    for (int attempt = 0; attempt < 50; ++attempt) {
      if (std::optional<ExitRecord> exit = runtime_.ReadExit(bundle_)) co_return exit->exit_code;
      if (runtime_.RunningPid(bundle_) && attempt > 5) co_return 0;  // detached
      co_await SleepFor(env_, std::chrono::milliseconds(20));
    }
    co_return 0;
  }
  void Close() override { outputs_->Close(); }

  std::shared_ptr<OutputQueue> outputs_ = std::make_shared<OutputQueue>();
  OutputQueue::Source* socket_ = nullptr;

 private:
  Env& env_;
  Runtime& runtime_;
  std::string bundle_;
  bool has_terminal_;
};

class FailedSession : public ExecSession {
 public:
  explicit FailedSession(Status why) : why_(std::move(why)) {}
  Task<Result<std::optional<Output>>> ReadOutput() override { co_return why_; }
  Task<Status> WriteStdin(std::string) override { co_return Status::Ok(); }
  Task<Status> CloseStdin() override { co_return Status::Ok(); }
  Task<Status> Resize(int, int) override { co_return Status::Ok(); }
  Task<Result<int>> ExitCode() override { co_return why_; }
  void Close() override {}

 private:
  Status why_;
};

// A pseudo terminal: our side, and the side for the process.
Result<std::pair<UniqueFd, UniqueFd>> OpenTerminal() {
  UniqueFd ours(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!ours || grantpt(ours.get()) != 0 || unlockpt(ours.get()) != 0)
    return FromErrno(errno, "open pseudo terminal");
  char name[64];
  if (ptsname_r(ours.get(), name, sizeof name) != 0)
    return FromErrno(errno, "name of pseudo terminal");
  UniqueFd theirs(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!theirs) return FromErrno(errno, std::string("open ") + name);
  return std::pair<UniqueFd, UniqueFd>(std::move(ours), std::move(theirs));
}

Result<UniqueFd> ListenAt(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return InternalError("socket path too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd.get(), 1) != 0)
    return FromErrno(errno, "listen at " + path);
  return fd;
}

// A unix socket address for a path of any length, by way of a descriptor of its directory.
Result<sockaddr_un> SocketAddress(const std::string& directory, const std::string& name,
                                  UniqueFd* keep) {
  keep->reset(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!*keep) return FromErrno(errno, "open " + directory);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string path = "/proc/self/fd/" + std::to_string(keep->get()) + "/" + name;
  if (path.size() >= sizeof address.sun_path) return InternalError("socket path too long: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

Result<std::string> WriteExecProcess(const std::string& bundle, const std::string& process) {
  std::string path = bundle + "/exec-XXXXXX";
  UniqueFd fd(mkostemp(path.data(), O_CLOEXEC));
  if (!fd) return FromErrno(errno, "create " + path);
  GANTRY_TRY(WriteFile(path, process, 0600));
  return path;
}

Task<Result<std::unique_ptr<ExecSession>>> StartExec(Env& env, ProcessOptions options,
                                                     ExecRequest request, std::string process_file,
                                                     std::string console_socket) {
  Executor executor = co_await asio::this_coro::executor;
  auto session = std::make_unique<ProcessSession>(env, process_file);
  if (request.terminal && !console_socket.empty()) {
    GANTRY_CO_ASSIGN(UniqueFd listener, ListenAt(console_socket));
    GANTRY_CO_ASSIGN(Pipe messages, MakePipe());
    options.argv.insert(options.argv.end(), {"--console-socket", console_socket, request.id});
    options.fds.emplace_back(messages.write_end.get(), 2);
    Result<Process> process = StartProcess(options);
    if (!process.ok()) {
      unlink(console_socket.c_str());
      co_return process.status();
    }
    session->process_ = std::move(*process);
    messages.write_end.reset();
    auto console =
        std::make_shared<Console>(executor, std::move(listener), std::move(messages.read_end));
    session->Expect(std::move(console), console_socket, executor);
  } else if (request.terminal) {
    GANTRY_CO_ASSIGN(auto terminal, OpenTerminal());
    options.argv.push_back(request.id);
    options.take_terminal = true;
    for (int fd = 0; fd <= 2; ++fd)
      options.fds.emplace_back(terminal.second.get(), fd);
    GANTRY_CO_ASSIGN(session->process_, StartProcess(options));
    session->terminal_ =
        &session->outputs_->Add(executor, std::move(terminal.first), Channel::kStdout);
  } else {
    options.argv.push_back(request.id);
    Pipe in, out, err;
    if (request.stdin_open) {
      GANTRY_CO_ASSIGN(in, MakePipe());
      options.fds.emplace_back(in.read_end.get(), 0);
    }
    if (request.stdout_open) {
      GANTRY_CO_ASSIGN(out, MakePipe());
      options.fds.emplace_back(out.write_end.get(), 1);
    }
    if (request.stderr_open) {
      GANTRY_CO_ASSIGN(err, MakePipe());
      options.fds.emplace_back(err.write_end.get(), 2);
    }
    GANTRY_CO_ASSIGN(session->process_, StartProcess(options));
    if (request.stdin_open) session->in_.emplace(executor, in.write_end.release());
    if (request.stdout_open)
      session->outputs_->Add(executor, std::move(out.read_end), Channel::kStdout);
    if (request.stderr_open)
      session->outputs_->Add(executor, std::move(err.read_end), Channel::kStderr);
  }
  session->outputs_->ReadMore();
  co_return Result<std::unique_ptr<ExecSession>>(std::move(session));
}

std::unique_ptr<ExecSession> FailedExec(Status why) {
  return std::make_unique<FailedSession>(std::move(why));
}

Task<Result<std::unique_ptr<ExecSession>>> AttachTo(Env& env, Runtime& runtime, std::string bundle,
                                                    bool stdin_open, bool terminal) {
  UniqueFd directory;
  GANTRY_CO_ASSIGN(sockaddr_un address, SocketAddress(bundle, "attach", &directory));
  UniqueFd socket_fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket_fd) co_return FromErrno(errno, "socket");
  if (connect(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    co_return FromErrno(errno, "attach to container");
  }
  if (!stdin_open) shutdown(socket_fd.get(), SHUT_WR);
  auto session = std::make_unique<AttachSession>(env, runtime, std::move(bundle), terminal);
  Executor executor = co_await asio::this_coro::executor;
  session->socket_ =
      &session->outputs_->Add(executor, std::move(socket_fd), Channel::kStdout, true);
  session->outputs_->ReadMore();
  co_return Result<std::unique_ptr<ExecSession>>(std::move(session));
}

Status WriteControl(const std::string& bundle, const std::string& command) {
  std::string path = bundle + "/ctl";
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return FromErrno(errno, "open " + path);
  if (write(fd.get(), command.data(), command.size()) < 0) return FromErrno(errno, "write " + path);
  return Status::Ok();
}

}  // namespace gantry::node

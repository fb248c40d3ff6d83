#include "cli/client/terminal_session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "api/json_value.h"
#include "base/env/blocking.h"
#include "base/env/real/real_env.h"
#include "base/env/spawn.h"
#include "base/wire/websocket.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

enum Channel : char { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4 };
constexpr char kCloseChannel = '\xff';
constexpr size_t kPieceBytes = 32 * 1024;

// Wakes the thread that waits for input: 'q' ends it, 'w' says that the window has another size.
int wake_pipe[2] = {-1, -1};

void OnWindowChange(int) {
  const int saved = errno;
  const char what = 'w';
  if (::write(wake_pipe[1], &what, 1) < 0) errno = saved;
  errno = saved;
}

// The terminal in raw mode, for as long as it lives.
class RawTerminal {
 public:
  RawTerminal() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios raw = before_;
    ::cfmakeraw(&raw);
    active_ = ::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
    struct sigaction action = {};
    action.sa_handler = OnWindowChange;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGWINCH, &action, nullptr);
  }
  ~RawTerminal() {
    ::signal(SIGWINCH, SIG_DFL);
    if (active_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios before_ = {};
  bool active_ = false;
};

std::string SizeMessage() {
  winsize size = {};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return std::string(1, kResize) + "{\"Width\":" + std::to_string(size.ws_col) +
         ",\"Height\":" + std::to_string(size.ws_row) + "}";
}

struct Input {
  enum class What : uint8_t { kBytes, kEnd, kResized, kQuit };
  What what = What::kEnd;
  std::string bytes;
};

// Blocks until there is something to say to the other side.
Input WaitForInput(bool from_stdin) {
  Input input;
  while (true) {
    pollfd files[2] = {{wake_pipe[0], POLLIN, 0}, {from_stdin ? STDIN_FILENO : -1, POLLIN, 0}};
    if (::poll(files, 2, -1) < 0) continue;
    if (files[0].revents != 0) {
      char what = 0;
      if (::read(wake_pipe[0], &what, 1) != 1) continue;
      input.what = what == 'w' ? Input::What::kResized : Input::What::kQuit;
      return input;
    }
    input.bytes.resize(kPieceBytes);
    const ssize_t count = ::read(STDIN_FILENO, input.bytes.data(), input.bytes.size());
    if (count < 0 && errno == EINTR) continue;
    input.bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
    input.what = count > 0 ? Input::What::kBytes : Input::What::kEnd;
    return input;
  }
}

struct Session {
  RealEnv& env;
  client::HttpTransport& transport;
  std::string target;
  bool with_stdin = false;
  bool tty = false;
  bool can_close = false;  // the protocol knows how to close one channel
  Gate gate;
  Status status;
  std::string outcome;  // the Status that came on the error channel
};

Task<> SendInput(Session& session, wire::WebSocket& socket) {
  bool from_stdin = session.with_stdin;
  while (true) {
    auto wait = [from_stdin] { return WaitForInput(from_stdin); };
    const Input input = co_await RunBlocking(session.env, wait);
    std::string message;
    switch (input.what) {
      case Input::What::kQuit:
        co_return;
      case Input::What::kBytes:
        message = std::string(1, kStdin) + input.bytes;
        break;
      case Input::What::kResized:
        message = SizeMessage();
        break;
      case Input::What::kEnd:
        from_stdin = false;
        if (session.can_close) message = std::string{kCloseChannel, kStdin};
        break;
    }
    if (message.empty()) continue;
    const Status sent = co_await socket.Write(wire::WebSocketOpcode::kBinary, std::move(message));
    if (!sent.ok()) from_stdin = false;
  }
}

Task<> ReceiveOutput(Session& session, wire::WebSocket& socket) {
  while (true) {
    Result<std::optional<wire::WebSocketMessage>> message = co_await socket.Read();
    if (!message.ok()) {
      // After the outcome it does not matter how the connection ends.
      if (session.outcome.empty()) session.status = message.status();
      co_return;
    }
    if (!*message) co_return;
    const std::string& payload = (*message)->payload;
    if (payload.empty()) continue;
    if (payload[0] == kError) {
      session.outcome += payload.substr(1);
    } else if (payload[0] == kStdout || payload[0] == kStderr) {
      FILE* out = payload[0] == kStdout ? stdout : stderr;
      std::fwrite(payload.data() + 1, 1, payload.size() - 1, out);
      std::fflush(out);
    }
  }
}

Task<> RunSession(Session& session) {
  std::vector<std::string> protocols = {"v5.channel.k8s.io", "v4.channel.k8s.io"};
  Result<client::HttpUpgrade> upgrade =
      co_await session.transport.OpenWebSocket(session.target, std::move(protocols));
  if (!upgrade.ok()) {
    session.status = upgrade.status();
    co_return;
  }
  session.can_close = upgrade->headers.Get("sec-websocket-protocol") == "v5.channel.k8s.io";
  wire::WebSocket socket(session.env, std::move(upgrade->stream), wire::WebSocketRole::kClient);
  if (session.tty) {
    std::string size = SizeMessage();
    if (!size.empty()) (void)co_await socket.Write(wire::WebSocketOpcode::kBinary, std::move(size));
  }
  Spawn(session.env.executor(), session.gate, "exec input", SendInput(session, socket));
  co_await ReceiveOutput(session, socket);
  const char quit = 'q';
  (void)!::write(wake_pipe[1], &quit, 1);
  co_await session.gate.Close(session.env);
  socket.Close();
}

// The exit code in what the other side said at the end.
Result<int> OutcomeOf(const Session& session) {
  if (!session.status.ok()) return ServerError(session.status);
  Result<JsonValue> status = JsonValue::Parse(session.outcome);
  if (!status.ok()) return session.outcome.empty() ? Result<int>(0) : LocalError(session.outcome);
  if (TextAt(*status, "status") == "Success") return 0;
  if (TextAt(*status, "reason") == "NonZeroExitCode") {
    for (const JsonValue& cause : ItemsAt(*status, "details.causes")) {
      if (TextAt(cause, "reason") != "ExitCode") continue;
      const std::string code = TextAt(cause, "message");
      std::fprintf(stderr, "command terminated with exit code %s\n", code.c_str());
      return static_cast<int>(std::strtol(code.c_str(), nullptr, 10));
    }
  }
  return LocalError(TextAt(*status, "message"));
}

}  // namespace

Result<int> RunTerminalSession(Connection& connection, const std::string& target, bool with_stdin,
                               bool tty) {
  if (::pipe2(wake_pipe, O_CLOEXEC) != 0) return LocalError(FromErrno(errno, "pipe2").message());
  Session session{connection.env(), connection.transport(), target, with_stdin, tty};
  {
    std::optional<RawTerminal> raw;
    if (tty) raw.emplace();
    connection.env().RunToEnd(RunSession(session));
  }
  return OutcomeOf(session);
}

bool StdinIsTerminal() { return ::isatty(STDIN_FILENO) != 0; }

}  // namespace gantry::cli

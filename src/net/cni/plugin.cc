#include "net/cni/plugin.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "api/json_value.h"
#include "net/netlink/socket.h"

namespace gantry::net::cni {
namespace {

struct Pipe {
  UniqueFd read, write;

  static Result<Pipe> Open() {
    // A pair of sockets: a write to a pipe that nobody reads would end the process.
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return FromErrno(errno, "make a pipe");
    Pipe pipe;
    pipe.read = UniqueFd(ends[0]);
    pipe.write = UniqueFd(ends[1]);
    return pipe;
  }
};

Result<pid_t> Spawn(const std::string& path, const Variables& environment, int in, int out,
                    int err) {
  std::vector<std::string> texts;
  // Plug-ins call programs of the system.
  const char* search = std::getenv("PATH");
  texts.push_back(std::string("PATH=") +
                  (search != nullptr ? search : "/usr/sbin:/usr/bin:/sbin:/bin"));
  for (const auto& [name, value] : environment)
    texts.push_back(name + "=" + value);
  std::vector<char*> variables;
  for (std::string& text : texts)
    variables.push_back(text.data());
  variables.push_back(nullptr);
  std::string program = path;
  std::array<char*, 2> arguments = {program.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, path.c_str(), &actions, nullptr, arguments.data(), variables.data());
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return FromErrno(error, "start " + path);
  return child;
}

// Feeds the input and collects both outputs until the program closes them. False when it is late.
bool Converse(Pipe& in, Pipe& out, Pipe& err, std::string_view input, int silence_ms,
              std::string* output, std::string* errors) {
  fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  struct Source {
    int fd;
    std::string* into;
  };
  std::array<Source, 2> sources = {Source{out.read.get(), output}, Source{err.read.get(), errors}};
  int open = 2;
  while (open > 0) {
    if (input.empty()) in.write = UniqueFd();
    std::array<pollfd, 3> polled = {pollfd{sources[0].fd, POLLIN, 0},
                                    pollfd{sources[1].fd, POLLIN, 0},
                                    pollfd{in.write.get(), POLLOUT, 0}};
    const int ready = poll(polled.data(), polled.size(), silence_ms);
    if (ready == 0 || (ready < 0 && errno != EINTR)) return false;
    if (ready < 0) continue;
    if (polled[2].revents != 0) {
      const ssize_t sent = send(in.write.get(), input.data(), input.size(), MSG_NOSIGNAL);
      // A plug-in that reads nothing has closed its end.
      input.remove_prefix(sent > 0          ? static_cast<size_t>(sent)
                          : errno == EAGAIN ? 0
                                            : input.size());
    }
    for (size_t i = 0; i < sources.size(); ++i) {
      if (polled[i].revents == 0) continue;
      std::array<char, 4096> buffer;
      const ssize_t got = read(sources[i].fd, buffer.data(), buffer.size());
      if (got > 0) {
        sources[i].into->append(buffer.data(), static_cast<size_t>(got));
      } else if (got == 0 || errno != EINTR) {
        sources[i].fd = -1;
        --open;
      }
    }
  }
  return true;
}

// What a plug-in says of its failure: "msg; details".
std::string Explanation(const std::string& output, const std::string& errors) {
  Result<api::JsonValue> said = api::JsonValue::Parse(output);
  auto text = [&](std::string_view key) {
    const api::JsonValue* value = said.ok() ? said->Find(key) : nullptr;
    return value != nullptr && value->is_string() ? value->as_string() : std::string();
  };
  const std::string message = text("msg"), details = text("details");
  if (!message.empty()) return details.empty() ? message : message + "; " + details;
  return "netplugin failed with no error message: " + (errors.empty() ? output : errors);
}

}  // namespace

Result<std::string> FindPlugin(const std::string& type,
                               const std::vector<std::string>& directories) {
  std::string searched;
  for (const std::string& directory : directories) {
    const std::string path = directory + "/" + type;
    if (type.find('/') == std::string::npos && access(path.c_str(), X_OK) == 0) return path;
    searched += (searched.empty() ? "" : " ") + directory;
  }
  return Status(Code::kNotFound,
                "failed to find plugin \"" + type + "\" in path [" + searched + "]");
}

Result<std::string> RunPlugin(const std::string& path, const Variables& environment,
                              const std::string& input, int silence_ms) {
  GANTRY_ASSIGN(Pipe in, Pipe::Open());
  GANTRY_ASSIGN(Pipe out, Pipe::Open());
  GANTRY_ASSIGN(Pipe err, Pipe::Open());
  GANTRY_ASSIGN(const pid_t child,
                Spawn(path, environment, in.read.get(), out.write.get(), err.write.get()));
  in.read = UniqueFd();
  out.write = UniqueFd();
  err.write = UniqueFd();
  std::string output, errors;
  const bool in_time = Converse(in, out, err, input, silence_ms, &output, &errors);
  if (!in_time) kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!in_time) return Status(Code::kTimeout, path + " did not end in time and was killed");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return output;
  return Status(Code::kUnknown, Explanation(output, errors));
}

}  // namespace gantry::net::cni

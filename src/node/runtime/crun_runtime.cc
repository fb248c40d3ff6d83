#include "node/runtime/crun_runtime.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "api/json_value.h"
#include "base/env/blocking.h"
#include "base/env/spawn.h"
#include "base/log.h"
#include "node/os/child.h"
#include "node/os/process.h"
#include "node/runtime/exec_session.h"
#include "node/runtime/oci_config.h"
#include "node/runtime/pinned_program.h"
#include "node/runtime/program.h"

namespace gantry::node {
namespace asio = boost::asio;
namespace {

using api::JsonValue;

constexpr Duration kVersionTimeout = std::chrono::seconds(5);

std::string FindInPath(std::string_view name) {
  for (const char* dir : {"/usr/local/bin/", "/usr/local/sbin/", "/usr/bin/", "/usr/sbin/", "/bin/",
                          "/sbin/", "/usr/libexec/podman/"}) {
    std::string path = dir + std::string(name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

std::string Trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.pop_back();
  return text;
}

// "pid starttime": the runtime's pid file says the first only.
struct Identity {
  pid_t pid = -1;
  uint64_t start_time = 0;
};

std::optional<Identity> ReadIdentity(const std::string& bundle) {
  Result<std::string> text = ReadFile(bundle + "/process");
  if (!text.ok()) return std::nullopt;
  Identity identity;
  if (std::sscanf(text->c_str(), "%d %lu", &identity.pid, &identity.start_time) != 2)
    return std::nullopt;
  return identity;
}

// What conmon says on its synchronisation pipe: {"data": pid, "message": "…"}.
Result<pid_t> ParseSyncMessage(std::string_view text) {
  Result<JsonValue> value = JsonValue::Parse(text);
  if (!value.ok()) return InternalError("conmon ended before the container was created");
  const JsonValue* data = value->Find("data");
  if (data == nullptr) data = value->Find("pid");
  int64_t pid = data != nullptr && data->is_int() ? data->as_int() : -1;
  if (pid > 0) return static_cast<pid_t>(pid);
  const JsonValue* message = value->Find("message");
  std::string reason =
      message != nullptr && message->is_string() ? Trimmed(message->as_string()) : "unknown error";
  return InternalError(std::move(reason));
}

// The monitor of a container, held so that its pid cannot become somebody else's; empty when it is
// gone.
UniqueFd HoldMonitor(const std::string& bundle, const std::string& id) {
  const pid_t pid = std::atoi(ReadFile(bundle + "/conmon.pid").value_or("").c_str());
  if (pid <= 0) return UniqueFd();
  UniqueFd held(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const std::string command = ReadFile("/proc/" + std::to_string(pid) + "/cmdline").value_or("");
  return held && command.find(id) != std::string::npos ? std::move(held) : UniqueFd();
}

bool IsAlive(const UniqueFd& process) {
  return process && syscall(SYS_pidfd_send_signal, process.get(), 0, nullptr, 0) == 0;
}

// Ends a process that was started in a container and outlived the runtime's command for it.
void KillInside(const std::string& id, const std::string& pid_file) {
  Result<std::string> text = ReadFile(pid_file);
  pid_t pid = text.ok() ? std::atoi(text->c_str()) : 0;
  if (pid <= 0) return;
  // Held first, so that it cannot become somebody else between the look and the signal.
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  std::string group = ReadFile("/proc/" + std::to_string(pid) + "/cgroup").value_or("");
  if (pidfd && group.find(id) != std::string::npos)
    syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
}

}  // namespace

// Reads the directory into which conmon puts one file per ended container.
struct CrunRuntime::ExitWatch : std::enable_shared_from_this<CrunRuntime::ExitWatch> {
  ExitWatch(Executor executor, int fd, std::string directory)
      : descriptor(executor, fd), directory(std::move(directory)) {}

  void Read() {
    descriptor.async_read_some(
        asio::buffer(buffer),
        [self = shared_from_this()](boost::system::error_code error, size_t size) {
          if (error) return;
          for (size_t at = 0; at + sizeof(inotify_event) <= size;) {
            inotify_event event{};
            std::memcpy(&event, self->buffer + at, sizeof event);
            const char* name = self->buffer + at + sizeof event;
            if (event.len > 0 && (event.mask & (IN_MOVED_TO | IN_CLOSE_WRITE)) != 0)
              self->Ended(name);
            at += sizeof event + event.len;
          }
          self->Read();
        });
  }

  void Ended(const std::string& id) {
    if (id.find('.') != std::string::npos) return;  // conmon's temporary name
    unlink((directory + "/" + id).c_str());
    if (callback) callback(id);
  }

  asio::posix::stream_descriptor descriptor;
  std::string directory;
  std::function<void(const std::string&)> callback;
  alignas(inotify_event) char buffer[8192];
};

Result<std::unique_ptr<CrunRuntime>> CrunRuntime::Open(Env& env, const Paths& paths,
                                                       const Cgroups& cgroups,
                                                       const std::string& wanted) {
  if (!wanted.empty() && wanted != "crun" && wanted != "runc") {
    return Status(Code::kInvalid,
                  "--oci-runtime \"" + wanted + "\" is not known: it is crun or runc");
  }
  std::unique_ptr<CrunRuntime> runtime(new CrunRuntime(env, paths, cgroups));
  runtime->conmon_ = FindInPath("conmon");
  if (runtime->conmon_.empty())
    return Status(Code::kNotFound, "conmon is not installed: apt-get install conmon");
  std::string crun = wanted == "runc" ? std::string() : FindInPath("crun");
  std::string runc = wanted == "crun" ? std::string() : FindInPath("runc");
  // What we mount below these directories must show in the mount namespace of the runtime.
  GANTRY_TRY(MakeSharedMount(paths.Pods()));
  std::string sandboxes = paths.run_dir() + "/ns";
  GANTRY_TRY(MakeDirs(sandboxes, 0711));
  // Secrets stand there, and /run need not be in memory.
  if (!IsMountPoint(sandboxes))
    GANTRY_TRY(Mount("gantry", sandboxes, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0711"));
  GANTRY_TRY(MakeSharedMount(sandboxes));
  Result<std::string> pinned = Status(Code::kNotFound, "no crun");
  if (!crun.empty()) pinned = PinProgram(crun, paths.run_dir() + "/crun");
  if (!crun.empty() && !cgroups.hybrid_mount().empty()) {
    Result<int> ns = MakeMountNamespaceWithout(cgroups.hybrid_mount());
    if (ns.ok()) {
      runtime->mount_namespace_.reset(*ns);
    } else {
      log::Warning("node", "crun needs a mount namespace of its own on this machine; using runc",
                   {{"error", ns.status().ToString()}});
      crun.clear();
    }
  }
  runtime->pinned_ = !crun.empty() && pinned.ok();
  runtime->program_ = runtime->pinned_ ? *pinned : !crun.empty() ? crun : runc;
  if (runtime->program_.empty())
    return Status(Code::kNotFound, wanted.empty()
                                       ? "neither crun nor runc is installed: apt-get install crun"
                                       : wanted + " is not installed: apt-get install " + wanted);
  GANTRY_TRY(MakeDirs(paths.RuntimeState(), 0700));
  GANTRY_TRY(MakeDirs(paths.Exits(), 0700));
  UniqueFd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) return FromErrno(errno, "inotify");
  if (inotify_add_watch(inotify.get(), paths.Exits().c_str(), IN_MOVED_TO | IN_CLOSE_WRITE) < 0) {
    return FromErrno(errno, "watch " + paths.Exits());
  }
  runtime->exits_ = std::make_shared<ExitWatch>(env.MakeStrand(), inotify.release(), paths.Exits());
  runtime->is_crun_ = !crun.empty();
  return runtime;
}

CrunRuntime::~CrunRuntime() {
  asio::post(exits_->descriptor.get_executor(), [exits = exits_] {
    boost::system::error_code ignored;
    exits->descriptor.close(ignored);
  });
}

// They say "crun version 1.8.1" and "runc version 1.1.5+ds1" first.
Task<std::string> CrunRuntime::Version() {
  const std::string name = is_crun_ ? "crun" : "runc", words = name + " version ";
  ProcessOptions options;
  options.argv = {program_, "--version"};
  Result<CommandResult> said =
      co_await RunCommand(env_, std::move(options), std::string(), kVersionTimeout);
  std::string version;
  if (said.ok() && said->out.starts_with(words))
    version = said->out.substr(words.size(), said->out.find('\n') - words.size());
  co_return name + "://" + version;
}

void CrunRuntime::OnExit(std::function<void(const std::string&)> callback) {
  asio::post(exits_->descriptor.get_executor(),
             [exits = exits_, callback = std::move(callback)]() mutable {
               exits->callback = std::move(callback);
               exits->Read();
             });
}

std::vector<std::string> CrunRuntime::Command(std::initializer_list<std::string> arguments) const {
  std::vector<std::string> argv = {program_, "--root", paths_.RuntimeState()};
  argv.insert(argv.end(), arguments);
  return argv;
}

std::vector<std::string> CrunRuntime::Environment() const {
  std::vector<std::string> environment = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  if (pinned_) environment.emplace_back(kPinnedProgramSign);
  return environment;
}

Task<Result<std::string>> CrunRuntime::Run(std::vector<std::string> argv) {
  ProcessOptions options;
  options.argv = std::move(argv);
  options.env = Environment();
  options.mount_namespace = mount_namespace_.get();
  Result<CommandResult> done =
      co_await RunCommand(env_, std::move(options), std::string(), std::chrono::minutes(2));
  if (!done.ok()) co_return done.status();
  if (done->timed_out) co_return InternalError("the container runtime did not answer");
  if (done->exit_code != 0) co_return InternalError(Trimmed(done->err));
  co_return std::move(done->out);
}

Task<Result<pid_t>> CrunRuntime::Create(CreateRequest request) {
  GANTRY_CO_ASSIGN(Pipe sync, MakePipe());
  ProcessOptions options;
  options.argv = {conmon_,
                  "--api-version",
                  "1",
                  "-c",
                  request.id,
                  "-u",
                  request.id,
                  "-n",
                  request.id,
                  "-r",
                  program_,
                  "--runtime-arg",
                  "--root=" + paths_.RuntimeState(),
                  "-b",
                  request.bundle,
                  "-p",
                  request.bundle + "/pid",
                  "-P",
                  request.bundle + "/conmon.pid",
                  "--exit-dir",
                  paths_.Exits(),
                  "--persist-dir",
                  request.bundle,
                  "-l",
                  "k8s-file:" + request.log_path,
                  "--full-attach",
                  "--log-level",
                  "error",
                  "--no-new-keyring",
                  "--no-sync-log"};
  if (request.terminal) options.argv.push_back("-t");
  if (request.stdin_open) options.argv.push_back("-i");
  if (request.stdin_open && !request.stdin_once) options.argv.push_back("--leave-stdin-open");
  options.working_dir = request.bundle;  // where it leaves a file when memory runs out
  options.env = Environment();
  options.env.emplace_back("_OCI_SYNCPIPE=3");
  options.fds.emplace_back(sync.write_end.get(), 3);
  options.mount_namespace = mount_namespace_.get();
  GANTRY_CO_ASSIGN(Process conmon, StartProcess(options));
  sync.write_end.reset();

  asio::posix::stream_descriptor from(co_await asio::this_coro::executor, sync.read_end.release());
  std::string message;
  char buffer[4096];
  while (message.find('\n') == std::string::npos) {
    auto [error, n] =
        co_await from.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
    if (error) break;
    message.append(buffer, n);
  }
  co_await WaitForExit(std::move(conmon));  // it has left its child behind
  GANTRY_CO_ASSIGN(pid_t pid, ParseSyncMessage(message));
  uint64_t start_time = ProcessStartTime(pid).value_or(0);
  GANTRY_CO_TRY(WriteFile(request.bundle + "/process",
                          std::to_string(pid) + " " + std::to_string(start_time)));
  co_return pid;
}

// What `crun start` does, without a program that must be started for it: the container's first
// process waits at the other end of a pipe. That the pipe is gone says that it was started.
// Whoever is killed between the two leaves a container that runs and whose pipe is there: it is
// taken for one that was not started, and replaced.
bool CrunRuntime::StartInPlace(const std::string& id) {
  if (!is_crun_) return false;
  std::string pipe = paths_.RuntimeState() + "/" + id + "/exec.fifo";
  UniqueFd fd(open(pipe.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return false;
  // A reader of our own, so that no signal comes should the other one end now.
  UniqueFd reader(open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!reader || write(fd.get(), "", 1) != 1) return false;
  unlink(pipe.c_str());
  return true;
}

std::optional<WallTime> CrunRuntime::StartedAt(const std::string& id) {
  struct stat st{};
  std::string state = paths_.RuntimeState() + "/" + id;
  if (Exists(state + "/exec.fifo") || stat(state.c_str(), &st) != 0) return std::nullopt;
  // The pipe's end was the last change there.
  return WallTime(std::chrono::seconds(st.st_mtim.tv_sec) +
                  std::chrono::nanoseconds(st.st_mtim.tv_nsec));
}

Task<Status> CrunRuntime::Start(std::string id) {
  if (StartInPlace(id)) co_return Status::Ok();
  std::vector<std::string> argv = Command({"start", id});
  Result<std::string> done = co_await Run(std::move(argv));
  co_return done.status();
}

Task<Status> CrunRuntime::Kill(std::string id, std::string bundle, int signal) {
  std::optional<Identity> identity = ReadIdentity(bundle);
  if (!identity) co_return Status(Code::kNotFound, "container " + id + " has no process");
  // The pid may belong to somebody else by now: hold it, look who it is, then signal what is held.
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, identity->pid, 0)));
  if (!pidfd || ProcessStartTime(identity->pid) != identity->start_time) {
    co_return Status(Code::kNotFound, "container " + id + " is not running");
  }
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0) {
    if (errno == ESRCH) co_return Status(Code::kNotFound, "container " + id + " is not running");
    co_return FromErrno(errno, "signal container " + id);
  }
  co_return Status::Ok();
}

// What `crun delete` does for a container that has ended: its control groups go, and then what the
// runtime remembers of it.
Task<bool> CrunRuntime::DeleteInPlace(std::string state) {
  if (!is_crun_) co_return false;
  Result<JsonValue> status = JsonValue::Parse(ReadFile(state + "/status").value_or(""));
  if (!status.ok()) co_return false;
  const JsonValue* group = status->Find("cgroup-path");
  const JsonValue* pid = status->Find("pid");
  const JsonValue* started = status->Find("process-start-time");
  if (group == nullptr || !group->is_string() || group->as_string().size() < 2 || pid == nullptr ||
      !pid->is_int() || started == nullptr || !started->is_int())
    co_return false;
  std::optional<uint64_t> living = ProcessStartTime(static_cast<pid_t>(pid->as_int()));
  if (living && *living == static_cast<uint64_t>(started->as_int())) co_return false;
  auto remove = [&cgroups = cgroups_, path = group->as_string(), state]() -> Status {
    GANTRY_TRY(cgroups.Remove(path));
    return RemoveTree(state);
  };
  Status removed = co_await RunBlocking(env_, std::move(remove));
  co_return removed.ok();
}

Task<Status> CrunRuntime::Delete(std::string id) {
  std::string state = paths_.RuntimeState() + "/" + id;
  if (!Exists(state)) co_return Status::Ok();
  if (co_await DeleteInPlace(std::move(state))) co_return Status::Ok();
  std::vector<std::string> argv = Command({"delete", "--force", id});
  Result<std::string> done = co_await Run(std::move(argv));
  co_return done.status();
}

// A monitor that makes its container is waited for, so that none comes to be behind our back; one
// that does not get there is ended.
Task<Status> CrunRuntime::Discard(std::string id, std::string bundle) {
  constexpr int kLooks = 100;
  constexpr Duration kBetweenLooks = std::chrono::milliseconds(50);
  const UniqueFd monitor = HoldMonitor(bundle, id);
  const std::string made = bundle + "/pid";
  for (int look = 0; look < kLooks && IsAlive(monitor) && !Exists(made); ++look)
    co_await SleepFor(env_, kBetweenLooks);
  if (IsAlive(monitor) && !Exists(made))
    syscall(SYS_pidfd_send_signal, monitor.get(), SIGKILL, nullptr, 0);
  std::string container = id;
  co_return co_await Delete(std::move(container));
}

std::optional<pid_t> CrunRuntime::RunningPid(const std::string& bundle) {
  std::optional<Identity> identity = ReadIdentity(bundle);
  if (!identity || ProcessStartTime(identity->pid) != identity->start_time) return std::nullopt;
  return identity->pid;
}

std::optional<ExitRecord> CrunRuntime::ReadExit(const std::string& bundle) {
  std::string path = bundle + "/exit";
  struct stat st{};
  Result<std::string> text = ReadFile(path);
  if (!text.ok() || stat(path.c_str(), &st) != 0) return std::nullopt;
  ExitRecord record;
  auto parsed = std::from_chars(text->data(), text->data() + text->size(), record.exit_code);
  if (parsed.ec != std::errc()) return std::nullopt;
  record.oom_killed = Exists(bundle + "/oom");
  record.finished_at = WallTime(std::chrono::seconds(st.st_mtim.tv_sec) +
                                std::chrono::nanoseconds(st.st_mtim.tv_nsec));
  return record;
}

Task<Result<ExecOutcome>> CrunRuntime::ExecSync(ExecRequest request, Duration timeout,
                                                CancelToken cancel) {
  GANTRY_CO_ASSIGN(std::string config, ReadFile(request.bundle + "/config.json"));
  GANTRY_CO_ASSIGN(std::string process, BuildExecProcess(config, request.command, false));
  GANTRY_CO_ASSIGN(std::string file, WriteExecProcess(request.bundle, process));
  ProcessOptions options;
  std::string pid_file = file + ".pid";
  options.argv = Command({"exec", "--process", file, "--pid-file", pid_file, request.id});
  options.env = Environment();
  options.mount_namespace = mount_namespace_.get();
  Result<CommandResult> done =
      co_await RunCommand(env_, std::move(options), std::string(), timeout, cancel);
  if (done.ok() && done->timed_out) KillInside(request.id, pid_file);
  unlink(file.c_str());
  unlink(pid_file.c_str());
  if (!done.ok()) co_return done.status();
  ExecOutcome outcome;
  outcome.exit_code = done->exit_code;
  outcome.timed_out = done->timed_out;
  outcome.output = done->out + done->err;
  outcome.error_output = std::move(done->err);
  co_return outcome;
}

Task<Result<std::unique_ptr<client::ExecSession>>> CrunRuntime::Exec(ExecRequest request) {
  GANTRY_CO_ASSIGN(std::string config, ReadFile(request.bundle + "/config.json"));
  if (std::optional<pid_t> pid = RunningPid(request.bundle)) {
    Status found =
        CheckProgram("/proc/" + std::to_string(*pid) + "/root", config, request.command.front());
    if (!found.ok()) co_return FailedExec(std::move(found));
  }
  GANTRY_CO_ASSIGN(std::string process,
                   BuildExecProcess(config, request.command, request.terminal));
  GANTRY_CO_ASSIGN(std::string file, WriteExecProcess(request.bundle, process));
  ProcessOptions options;
  options.argv = Command({"exec", "--process", file});
  options.env = Environment();
  options.mount_namespace = mount_namespace_.get();
  // runc hands terminals over only when it does not wait for the process.
  std::string console;
  if (request.terminal && is_crun_)
    console = paths_.run_dir() + "/" + file.substr(file.rfind('/') + 1);
  co_return co_await StartExec(env_, std::move(options), std::move(request), std::move(file),
                               std::move(console));
}

Task<Result<std::unique_ptr<client::ExecSession>>> CrunRuntime::Attach(std::string bundle,
                                                                       bool stdin_open,
                                                                       bool terminal) {
  co_return co_await AttachTo(env_, *this, std::move(bundle), stdin_open, terminal);
}

Status CrunRuntime::ReopenLog(const std::string& bundle) { return WriteControl(bundle, "2 0 0\n"); }

}  // namespace gantry::node

#include "node/os/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/env/notifier.h"
#include "base/env/spawn.h"

namespace gantry::node {
namespace asio = boost::asio;
namespace {

constexpr size_t kMaxOutput = 4 << 20;
constexpr size_t kChildStack = 64 << 10;

// Everything that the child needs, made before it exists: it must not allocate.
struct ChildPlan {
  const char* path;
  char* const* argv;
  char* const* env;
  const char* working_dir;
  const std::pair<int, int>* fds;
  size_t fd_count;
  int first_free_fd;
  int dev_null;
  int mount_namespace;
  bool new_session;
  bool take_terminal;
  int error = 0;  // shared memory: the parent reads it after exec or exit
};

int ChildMain(void* argument) {
  auto* plan = static_cast<ChildPlan*>(argument);
  auto fail = [plan] {
    plan->error = errno;
    _exit(127);
  };
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action{};
    if (sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) {
      action.sa_handler = SIG_DFL;
      action.sa_flags = 0;
      sigaction(signal, &action, nullptr);
    }
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan->new_session) setsid();
  // Sources move out of the way of the targets first.
  int moved[16];
  for (size_t i = 0; i < plan->fd_count; ++i) {
    moved[i] = fcntl(plan->fds[i].first, F_DUPFD_CLOEXEC, plan->first_free_fd);
    if (moved[i] < 0) fail();
  }
  int mount_namespace = plan->mount_namespace;
  if (mount_namespace >= 0 && mount_namespace < plan->first_free_fd) {
    mount_namespace = fcntl(mount_namespace, F_DUPFD_CLOEXEC, plan->first_free_fd);
  }
  int dev_null = fcntl(plan->dev_null, F_DUPFD_CLOEXEC, plan->first_free_fd);
  for (int fd = 0; fd <= 2; ++fd)
    dup2(dev_null, fd);
  for (size_t i = 0; i < plan->fd_count; ++i) {
    if (dup2(moved[i], plan->fds[i].second) < 0) fail();
  }
  if (plan->take_terminal) ioctl(0, TIOCSCTTY, 0);
  if (plan->first_free_fd > 3) {
    for (int fd = 3; fd < plan->first_free_fd; ++fd) {
      bool wanted = false;
      for (size_t i = 0; i < plan->fd_count; ++i)
        wanted |= plan->fds[i].second == fd;
      if (!wanted) fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
  }
  close_range(static_cast<unsigned>(plan->first_free_fd), ~0U, CLOSE_RANGE_CLOEXEC);
  if (mount_namespace >= 0 && setns(mount_namespace, CLONE_NEWNS) != 0) fail();
  if (plan->working_dir != nullptr && chdir(plan->working_dir) != 0) fail();
  execve(plan->path, plan->argv, plan->env);
  fail();
  return 127;
}

std::string FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (const char* dir :
       {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    std::string path = dir + name;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return name;
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings)
    pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

Task<> ReadToEnd(asio::posix::stream_descriptor& from, std::string& into) {
  char buffer[16384];
  while (true) {
    auto [error, n] =
        co_await from.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
    if (error) co_return;
    into.append(buffer, std::min(n, kMaxOutput - std::min(kMaxOutput, into.size())));
  }
}

Task<> WriteInput(asio::posix::stream_descriptor& to, const std::string& input) {
  co_await asio::async_write(to, asio::buffer(input), asio::as_tuple(asio::use_awaitable));
  boost::system::error_code ignored;
  to.close(ignored);
}

}  // namespace

Result<Process> StartProcess(const ProcessOptions& options) {
  std::string path = FindProgram(options.argv.at(0));
  std::vector<char*> argv = Pointers(options.argv), env = Pointers(options.env);
  UniqueFd dev_null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!dev_null) return FromErrno(errno, "open /dev/null");
  ChildPlan plan{};
  plan.path = path.c_str();
  plan.argv = argv.data();
  plan.env = options.env.empty() ? environ : env.data();
  plan.working_dir = options.working_dir.empty() ? nullptr : options.working_dir.c_str();
  plan.fds = options.fds.data();
  plan.fd_count = std::min<size_t>(options.fds.size(), 16);
  plan.first_free_fd = 3;
  for (const auto& [ours, theirs] : options.fds)
    plan.first_free_fd = std::max(plan.first_free_fd, theirs + 1);
  plan.dev_null = dev_null.get();
  plan.mount_namespace = options.mount_namespace;
  plan.new_session = options.new_session;
  plan.take_terminal = options.take_terminal;

  auto stack = std::make_unique<char[]>(kChildStack);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  pid_t pid = clone(ChildMain, stack.get() + kChildStack,
                    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  int clone_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return FromErrno(clone_error, "start " + path);
  Process process;
  process.pid = pid;
  process.pidfd.reset(pidfd);
  if (plan.error != 0) {
    waitpid(pid, nullptr, 0);
    return FromErrno(plan.error, "run " + path);
  }
  return process;
}

Task<int> WaitForExit(Process process) {
  auto executor = co_await asio::this_coro::executor;
  siginfo_t info{};
  int fd = process.pidfd.release();
  asio::posix::stream_descriptor descriptor(executor, fd);
  while (true) {
    info = {};
    if (waitid(P_PIDFD, static_cast<id_t>(fd), &info, WEXITED | WNOHANG) != 0 && errno != EINTR) {
      co_return 255;  // not our child, or reaped elsewhere
    }
    if (info.si_pid != 0) break;
    co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                                   asio::as_tuple(asio::use_awaitable));
  }
  co_return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

Task<Result<CommandResult>> RunCommand(Env& env, ProcessOptions options, std::string input,
                                       std::optional<Duration> timeout, CancelToken cancel) {
  using asio::experimental::awaitable_operators::operator&&;
  GANTRY_CO_ASSIGN(Pipe in, MakePipe());
  GANTRY_CO_ASSIGN(Pipe out, MakePipe());
  GANTRY_CO_ASSIGN(Pipe err, MakePipe());
  options.fds.emplace_back(in.read_end.get(), 0);
  options.fds.emplace_back(out.write_end.get(), 1);
  options.fds.emplace_back(err.write_end.get(), 2);
  GANTRY_CO_ASSIGN(Process process, StartProcess(options));
  in.read_end.reset();
  out.write_end.reset();
  err.write_end.reset();

  auto executor = co_await asio::this_coro::executor;
  struct Running {
    Running(Executor executor, pid_t pid, int in, int out, int err)
        : pid(pid), to(executor, in), from_out(executor, out), from_err(executor, err) {}
    pid_t pid;
    std::atomic<bool> killed{false};
    asio::posix::stream_descriptor to, from_out, from_err;
  };
  auto running = std::make_shared<Running>(executor, process.pid, in.write_end.release(),
                                           out.read_end.release(), err.read_end.release());
  auto kill_session = [running, executor] {
    running->killed = true;
    kill(-running->pid, SIGKILL);
    kill(running->pid, SIGKILL);
    // What it has started elsewhere may live on and hold the pipes.
    asio::post(executor, [running] {
      boost::system::error_code ignored;
      for (auto* end : {&running->to, &running->from_out, &running->from_err})
        end->close(ignored);
    });
  };
  std::unique_ptr<TimerHandle> timer;
  if (timeout) timer = env.CallAt(env.Steady() + *timeout, kill_session);
  CancelToken::Registration registration = cancel.OnCancel(kill_session);

  CommandResult result;
  co_await (ReadToEnd(running->from_out, result.out) && ReadToEnd(running->from_err, result.err) &&
            WriteInput(running->to, input));
  result.exit_code = co_await WaitForExit(std::move(process));
  timer.reset();
  result.timed_out = running->killed;
  co_return result;
}

std::optional<uint64_t> ProcessStartTime(pid_t pid) {
  Result<std::string> stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  if (!stat.ok()) return std::nullopt;
  size_t after_name = stat->rfind(')');
  if (after_name == std::string::npos || after_name + 2 >= stat->size()) return std::nullopt;
  std::string_view rest = std::string_view(*stat).substr(after_name + 2);
  if (rest[0] == 'Z' || rest[0] == 'X') return std::nullopt;
  for (int field = 3; field < 22; ++field)
    rest.remove_prefix(rest.find(' ') + 1);
  return std::strtoull(rest.data(), nullptr, 10);
}

Result<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FromErrno(errno, "pipe");
  Pipe pipe;
  pipe.read_end.reset(ends[0]);
  pipe.write_end.reset(ends[1]);
  return pipe;
}

}  // namespace gantry::node

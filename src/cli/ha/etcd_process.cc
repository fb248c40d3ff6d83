#include "cli/ha/etcd_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "api/json_value.h"
#include "cli/text_field.h"
#include "node/os/process.h"

namespace gantry::cli {
namespace {

namespace asio = boost::asio;
using node::UniqueFd;

constexpr Duration kPatience = std::chrono::seconds(10);
constexpr int kPatienceMs = 10'000;
constexpr off_t kLogLimit = 8 << 20;
constexpr int64_t kTail = 64 << 10;

std::string ProcessFile(const std::string& directory) { return directory + "/process"; }
std::string LogFile(const std::string& directory) { return directory + "/log"; }

struct Found {
  pid_t pid = -1;
  UniqueFd pidfd;
};

// The process that the file names, held so that its pid cannot become somebody else's; empty when
// it has ended.
Found FindProcess(const std::string& directory) {
  Found found;
  const std::string text = node::ReadFile(ProcessFile(directory)).value_or("");
  int pid = -1;
  uint64_t start = 0;
  if (std::sscanf(text.c_str(), "%d %" SCNu64, &pid, &start) != 2 || pid <= 0) return found;
  UniqueFd held(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!held || node::ProcessStartTime(pid) != start) return found;
  found.pid = pid;
  found.pidfd = std::move(held);
  return found;
}

int64_t SizeOf(const std::string& file) {
  struct stat status{};
  return stat(file.c_str(), &status) == 0 ? status.st_size : 0;
}

// What configures etcd are its arguments alone; but one variable has no flag.
std::vector<std::string> Environment() {
  constexpr char kUnsupported[] = "ETCD_UNSUPPORTED_ARCH";
  std::vector<std::string> environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  if (const char* value = std::getenv(kUnsupported))
    environment.push_back(std::string(kUnsupported) + "=" + value);
  return environment;
}

}  // namespace

// Shared with what waits for the end, which goes on when nobody else does.
struct EtcdProcess::Watched : std::enable_shared_from_this<EtcdProcess::Watched> {
  Watched(const Executor& e, pid_t p, int pidfd) : executor(e), pid(p), descriptor(e, pidfd) {}

  void Wait() {
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](boost::system::error_code error) {
                            if (error) return;
                            // Nobody else's child by now, unless it was taken up.
                            waitpid(self->pid, nullptr, WNOHANG);
                            self->ended = true;
                            self->changed.Notify();
                          });
  }

  const Executor executor;
  const pid_t pid;
  asio::posix::stream_descriptor descriptor;
  std::atomic<bool> ended = false;
  Notifier changed;
};

EtcdProcess::EtcdProcess(Env& env, std::string directory)
    : env_(env), directory_(std::move(directory)), since_(env.Steady()) {}

void EtcdProcess::Watch(int pid, int pidfd) {
  since_ = env_.Steady();
  watched_ = std::make_shared<Watched>(env_.MakeStrand(), pid, pidfd);
  asio::post(watched_->executor, [watched = watched_] { watched->Wait(); });
}

bool EtcdProcess::Adopt() {
  Found found = FindProcess(directory_);
  if (!found.pidfd) return false;
  log_start_ = SizeOf(LogFile(directory_));
  Watch(found.pid, found.pidfd.release());
  return true;
}

Status EtcdProcess::Start(std::vector<std::string> arguments) {
  const std::string file = LogFile(directory_);
  UniqueFd log(open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return FromErrno(errno, "open " + file);
  log_start_ = SizeOf(file);
  node::ProcessOptions options;
  options.argv = std::move(arguments);
  options.env = Environment();
  options.working_dir = directory_;
  options.fds = {{log.get(), 1}, {log.get(), 2}};
  GANTRY_ASSIGN(node::Process process, node::StartProcess(options));
  // One that has ended again is found out by the watch.
  const uint64_t start = node::ProcessStartTime(process.pid).value_or(0);
  Status noted =
      node::WriteFileAtomic(ProcessFile(directory_),
                            std::to_string(process.pid) + " " + std::to_string(start) + "\n", 0600);
  Watch(process.pid, process.pidfd.release());
  if (!noted.ok()) Signal(SIGKILL);
  return noted;
}

bool EtcdProcess::running() const { return watched_ && !watched_->ended; }

Duration EtcdProcess::age() const { return env_.Steady() - since_; }

void EtcdProcess::Signal(int signal) {
  if (!running()) return;
  syscall(SYS_pidfd_send_signal, watched_->descriptor.native_handle(), signal, nullptr, 0);
}

Task<Wake> EtcdProcess::AwaitEnd(CancelToken cancel, std::optional<SteadyTime> deadline) {
  const std::shared_ptr<Watched> watched = watched_;
  while (watched && !watched->ended) {
    const Wake wake = co_await watched->changed.Wait(env_, cancel, deadline);
    if (wake != Wake::kNotified) co_return wake;
  }
  co_return Wake::kNotified;
}

Task<> EtcdProcess::End() {
  if (!running()) co_return;
  Signal(SIGTERM);
  const Wake wake = co_await AwaitEnd(CancelToken(), env_.Steady() + kPatience);
  if (wake != Wake::kNotified) {
    Signal(SIGKILL);
    co_await AwaitEnd(CancelToken(), env_.Steady() + kPatience);
  }
  unlink(ProcessFile(directory_).c_str());
}

std::string EtcdProcess::LastWords() const {
  if (!watched_) return std::string();
  const std::string file = LogFile(directory_);
  UniqueFd log(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!log) return std::string();
  const int64_t size = SizeOf(file);
  const int64_t from = std::max(std::min(log_start_, size), size - kTail);
  std::string tail(static_cast<size_t>(size - from), '\0');
  const ssize_t got = pread(log.get(), tail.data(), tail.size(), from);
  tail.resize(static_cast<size_t>(std::max<ssize_t>(got, 0)));
  return FailureInLog(tail);
}

// The process appends to the file: it goes on at the beginning of an empty one.
void EtcdProcess::TrimLog() {
  const std::string file = LogFile(directory_);
  if (SizeOf(file) <= kLogLimit) return;
  if (Result<std::string> text = node::ReadFile(file); text.ok()) {
    Status kept = node::WriteFile(file + ".1", *text, 0600);
    if (!kept.ok()) return;
  }
  if (truncate(file.c_str(), 0) == 0) log_start_ = 0;
}

std::string FailureInLog(const std::string& log) {
  std::istringstream lines(log);
  std::string said, panic;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("panic: ")) panic = line.substr(7);
    if (!line.starts_with('{')) continue;
    Result<api::JsonValue> parsed = api::JsonValue::Parse(line);
    if (!parsed.ok()) continue;
    const std::string level = TextField(*parsed, "level");
    if (level != "fatal" && level != "panic" && level != "error") continue;
    const std::string error = TextField(*parsed, "error");
    said = TextField(*parsed, "msg") + (error.empty() ? "" : ": " + error);
  }
  return said.empty() ? panic : said;
}

Status EndEtcdProcess(const std::string& directory) {
  Found found = FindProcess(directory);
  for (int signal : {SIGTERM, SIGKILL}) {
    if (!found.pidfd) break;
    syscall(SYS_pidfd_send_signal, found.pidfd.get(), signal, nullptr, 0);
    pollfd ended{found.pidfd.get(), POLLIN, 0};
    if (poll(&ended, 1, kPatienceMs) > 0) found.pidfd.reset();
  }
  if (found.pidfd) {
    return InternalError("etcd (process " + std::to_string(found.pid) + ") does not end");
  }
  unlink(ProcessFile(directory).c_str());
  return Status::Ok();
}

}  // namespace gantry::cli

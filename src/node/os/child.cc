#include "node/os/child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

namespace gantry::node {
namespace {

constexpr size_t kStack = 256 << 10;

struct Job {
  absl::FunctionRef<Status()> call;
  Status status;
};

int Main(void* argument) {
  auto* job = static_cast<Job*>(argument);
  job->status = job->call();
  _exit(0);
}

}  // namespace

Status RunInChild(int clone_flags, absl::FunctionRef<Status()> call) {
  Job job{call, InternalError("child process ended early")};
  auto stack = std::make_unique<char[]>(kStack);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = clone(Main, stack.get() + kStack,
                    CLONE_VM | CLONE_VFORK | CLONE_FILES | clone_flags | SIGCHLD, &job);
  int error = errno;
  if (pid > 0) {
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return FromErrno(error, "clone");
  return job.status;
}

Result<int> MakeMountNamespaceWithout(const std::string& hidden) {
  int fd = -1;
  Status status = RunInChild(CLONE_NEWNS, [&]() -> Status {
    // The unmounting stays here: the mount above shares nothing. All others go on as they were, so
    // that what a container mounts in a shared directory is seen outside, and the other way round.
    std::string above = hidden;
    do {
      above.resize(above.rfind('/'));
      if (above.empty()) above = "/";
      if (mount(nullptr, above.c_str(), nullptr, MS_PRIVATE, nullptr) == 0) break;
      if (errno != EINVAL || above == "/") return FromErrno(errno, "make " + above + " private");
    } while (true);
    if (umount2(hidden.c_str(), MNT_DETACH) != 0) return FromErrno(errno, "unmount " + hidden);
    fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    return fd >= 0 ? Status::Ok() : FromErrno(errno, "open mount namespace");
  });
  if (!status.ok()) return status;
  return fd;
}

}  // namespace gantry::node

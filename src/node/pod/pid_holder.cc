#include "node/pod/pid_holder.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "node/os/fs.h"

// The program of pid_holder_main.c, put here by the assembler.
extern "C" const char gantry_pid_holder_begin[];
extern "C" const char gantry_pid_holder_end[];

namespace gantry::node {
namespace {

struct Plan {
  int program;
  int error = 0;
};

int HolderMain(void* argument) {
  auto* plan = static_cast<Plan*>(argument);
  setsid();
  char name[] = "pause";
  char* argv[] = {name, nullptr};
  char* env[] = {nullptr};
  for (int fd = 0; fd < 3; ++fd)
    close(fd);
  fexecve(plan->program, argv, env);
  plan->error = errno;
  _exit(127);
}

}  // namespace

Result<pid_t> StartPidHolder() {
  UniqueFd program(memfd_create("pause", MFD_CLOEXEC));
  if (!program) return FromErrno(errno, "memfd");
  size_t size = static_cast<size_t>(gantry_pid_holder_end - gantry_pid_holder_begin);
  if (write(program.get(), gantry_pid_holder_begin, size) != static_cast<ssize_t>(size))
    return FromErrno(errno, "write memfd");
  Plan plan{program.get()};
  constexpr size_t kStack = 64 << 10;
  auto stack = std::make_unique<char[]>(kStack);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = clone(HolderMain, stack.get() + kStack,
                    CLONE_VM | CLONE_VFORK | CLONE_NEWPID | SIGCHLD, &plan);
  int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return FromErrno(error, "clone");
  if (plan.error != 0) return FromErrno(plan.error, "run the pid holder");
  return pid;
}

}  // namespace gantry::node

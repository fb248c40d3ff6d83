#include "node/runtime/seccomp.h"

#include <algorithm>
#include <sstream>

namespace gantry::node {
namespace {

using api::JsonValue;

constexpr const char* kAllowed =
    "accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown "
    "chown32 clock_adjtime "
    "clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 "
    "clock_nanosleep "
    "clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 "
    "epoll_create epoll_create1 "
    "epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 "
    "execve execveat exit "
    "exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod "
    "fchmodat fchmodat2 "
    "fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr "
    "fsetxattr fstat "
    "fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue "
    "futex_time64 futex_wait "
    "futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid "
    "geteuid32 getgid "
    "getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid "
    "getpriority getrandom "
    "getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid "
    "getsockname getsockopt "
    "get_thread_area gettid gettimeofday getuid getuid32 getxattr inotify_add_watch inotify_init "
    "inotify_init1 "
    "inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 "
    "ioprio_get ioprio_set "
    "io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self "
    "lchown lchown32 "
    "lgetxattr link linkat listen listxattr llistxattr _llseek lremovexattr lseek lsetxattr lstat "
    "lstat64 madvise "
    "map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat "
    "mlock mlock2 mlockall "
    "mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 "
    "mq_timedsend "
    "mq_timedsend_time64 mq_unlink mremap msgctl msgget msgrcv msgsnd msync munlock munlockall "
    "munmap "
    "name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open "
    "pidfd_send_signal pipe "
    "pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 "
    "prlimit64 "
    "process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink "
    "readlinkat readv recv "
    "recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr rename renameat "
    "renameat2 restart_syscall "
    "rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn "
    "rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam "
    "sched_get_priority_max "
    "sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity "
    "sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget "
    "semop semtimedop "
    "semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 "
    "setfsuid setfsuid32 setgid "
    "setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid "
    "setresgid32 setresuid "
    "setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area "
    "set_tid_address setuid "
    "setuid32 setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 "
    "sigprocmask sigreturn "
    "socketcall socketpair splice stat stat64 statfs statfs64 statx symlink symlinkat sync "
    "sync_file_range syncfs "
    "sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime "
    "timer_gettime64 timer_settime "
    "timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime "
    "timerfd_settime64 times tkill "
    "truncate truncate64 ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 "
    "utimes vfork vmsplice "
    "wait4 waitid waitpid write writev process_vm_readv process_vm_writev ptrace arch_prctl "
    "modify_ldt";

struct ByCapability {
  const char* capability;
  const char* calls;
};
constexpr ByCapability kByCapability[] = {
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_SYS_ADMIN",
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount "
     "mount_setattr move_mount "
     "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount "
     "umount2 unshare"},
    {"CAP_SYS_BOOT", "reboot"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_SYS_MODULE", "delete_module init_module finit_module"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_RAWIO", "iopl ioperm"},
    {"CAP_SYS_TIME", "settimeofday stime clock_settime clock_settime64"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"},
};

constexpr int64_t kNewNamespaces = 0x7E020000;  // CLONE_NEW* that clone() would take
constexpr int kNoSuchCall = 38;                 // ENOSYS: programs then fall back to clone()

JsonValue Names(const char* list) {
  JsonValue::Array names;
  std::istringstream in(list);
  for (std::string name; in >> name;)
    names.emplace_back(name);
  return JsonValue(std::move(names));
}

JsonValue Rule(JsonValue names, const char* action) {
  JsonValue rule = JsonValue::MakeObject();
  rule["names"] = std::move(names);
  rule["action"] = action;
  return rule;
}

JsonValue Argument(int index, int64_t value, const char* op, int64_t value_two = 0) {
  JsonValue argument = JsonValue::MakeObject();
  argument["index"] = index;
  argument["value"] = value;
  if (value_two != 0 || std::string_view(op) == "SCMP_CMP_MASKED_EQ")
    argument["valueTwo"] = value_two;
  argument["op"] = op;
  return argument;
}

}  // namespace

JsonValue DefaultSeccompProfile(const std::vector<std::string>& capabilities) {
  auto holds = [&](std::string_view name) {
    return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
  };
  JsonValue profile = JsonValue::MakeObject();
  profile["defaultAction"] = "SCMP_ACT_ERRNO";
  JsonValue::Array architectures;
#if defined(__aarch64__)
  for (const char* name : {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"})
    architectures.emplace_back(name);
#else
  for (const char* name : {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"})
    architectures.emplace_back(name);
#endif
  profile["architectures"] = JsonValue(std::move(architectures));
  JsonValue::Array rules;
  rules.push_back(Rule(Names(kAllowed), "SCMP_ACT_ALLOW"));
  // Sockets of every family but vsock, through which a guest could talk to its host.
  JsonValue socket = Rule(Names("socket"), "SCMP_ACT_ALLOW");
  socket["args"] = JsonValue(JsonValue::Array{Argument(0, 40, "SCMP_CMP_NE")});
  rules.push_back(std::move(socket));
  for (int64_t personality : {0x0, 0x8, 0x20000, 0x20008}) {
    JsonValue rule = Rule(Names("personality"), "SCMP_ACT_ALLOW");
    rule["args"] = JsonValue(JsonValue::Array{Argument(0, personality, "SCMP_CMP_EQ")});
    rules.push_back(std::move(rule));
  }
  JsonValue query = Rule(Names("personality"), "SCMP_ACT_ALLOW");
  query["args"] = JsonValue(JsonValue::Array{Argument(0, 0xffffffff, "SCMP_CMP_EQ")});
  rules.push_back(std::move(query));
  if (!holds("CAP_SYS_ADMIN")) {
    JsonValue clone = Rule(Names("clone"), "SCMP_ACT_ALLOW");
    clone["args"] =
        JsonValue(JsonValue::Array{Argument(0, kNewNamespaces, "SCMP_CMP_MASKED_EQ", 0)});
    rules.push_back(std::move(clone));
    JsonValue clone3 = Rule(Names("clone3"), "SCMP_ACT_ERRNO");
    clone3["errnoRet"] = kNoSuchCall;
    rules.push_back(std::move(clone3));
  }
  for (const ByCapability& entry : kByCapability) {
    if (holds(entry.capability)) rules.push_back(Rule(Names(entry.calls), "SCMP_ACT_ALLOW"));
  }
  profile["syscalls"] = JsonValue(std::move(rules));
  return profile;
}

}  // namespace gantry::node

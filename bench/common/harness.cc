#include "common/harness.h"

#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "common/accounting.h"
#include "common/cluster.h"
#include "net/netlink/route.h"
#include "node/os/fs.h"

namespace gantry::bench {
namespace {

namespace fs = std::filesystem;

volatile pid_t measuring = -1;

void EndChild(int) {
  if (measuring > 0) kill(measuring, SIGKILL);
}

int Fail(const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, message.c_str());
  return 1;
}

Status EnterNetwork() {
  if (unshare(CLONE_NEWNET) != 0) return FromErrno(errno, "make a network namespace");
  GANTRY_ASSIGN(net::RouteSocket routes, net::RouteSocket::Open());
  GANTRY_ASSIGN(const net::Link loopback, routes.FindLink("lo"));
  GANTRY_TRY(routes.SetUp(loopback.index));
  constexpr std::array<uint8_t, 6> kMac = {2, 0, 0, 0, 0, 1};
  GANTRY_TRY(routes.CreateBridge("machine", kMac, 1500));
  GANTRY_ASSIGN(const net::Link machine, routes.FindLink("machine"));
  GANTRY_TRY(routes.SetUp(machine.index));
  GANTRY_TRY(routes.EnsureAddress(machine.index, *net::IpAddress::Parse(kMachineAddress), 24));
  return routes.EnsureRoute(net::Route(machine.index, *net::Cidr::Parse("0.0.0.0/0"),
                                       net::IpAddress::Parse("192.0.2.1")));
}

// The servers have died with the child, or are about to.
bool CleanUp(const Bench& bench) {
  bool clean = true;
  for (const std::string& name : node::ListDir(bench.dir)) {
    const std::string data_dir = bench.dir + "/" + name;
    if (!node::Exists(data_dir + "/lock")) continue;
    const std::vector<std::string> command = {bench.gantry, "cleanup", "--data-dir", data_dir};
    if (RunProgram(command).ok()) continue;
    usleep(500'000);
    if (Status status = RunProgram(command); !status.ok()) {
      Fail(status.message());
      clean = false;
    }
  }
  CpuGroup::RemoveAll(bench.instance + "-");
  if (Status removed = node::RemoveTree(bench.dir); !removed.ok()) {
    Fail(removed.message());
    clean = false;
  }
  return clean;
}

// Machines have /run in memory; some containers do not. There, the part of it that gantry uses is
// put in memory for this program and what it starts, since files on a disk cost several times as
// much.
Status EnterMounts() {
  struct statfs run{};
  if (statfs("/run", &run) != 0) return FromErrno(errno, "statfs /run");
  if (run.f_type == TMPFS_MAGIC) return Status::Ok();
  if (unshare(CLONE_NEWNS) != 0) return FromErrno(errno, "make a mount namespace");
  GANTRY_TRY(node::Mount("none", "/", "", MS_REC | MS_SLAVE, ""));
  GANTRY_TRY(node::MakeDirs("/run/gantry"));
  Say("/run is not in memory on this machine: /run/gantry is, for this program");
  return node::Mount("tmpfs", "/run/gantry", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
}

int Measure(Bench& bench, Status (*measure)(Bench&)) {
  Say("load average before: %s", LoadAverage().c_str());
  if (Status status = measure(bench); !status.ok()) return Fail(status.message());
  Say("load average after: %s", LoadAverage().c_str());
  bench.report.Print();
  return 0;
}

void RaiseFileLimit() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

int Main(int argc, char** argv, const char* about, Status (*measure)(Bench&)) {
  Bench bench;
  std::error_code error;
  bench.gantry = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path() / "gantry";
  std::string parent = fs::temp_directory_path(error);
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--short") {
      bench.short_run = true;
    } else if (flag == "--gantry" && i + 1 < argc) {
      bench.gantry = fs::absolute(argv[++i]);
    } else if (flag == "--only" && i + 1 < argc) {
      bench.only = argv[++i];
    } else if (flag == "--dir" && i + 1 < argc) {
      parent = fs::absolute(argv[++i]);
    } else {
      std::fprintf(stderr, "%s\nusage: %s [--gantry PATH] [--short] [--only PART] [--dir DIR]\n",
                   about, program_invocation_short_name);
      return flag == "--help" ? 0 : 1;
    }
  }
  if (geteuid() != 0)
    return Fail("needs root: it makes a network namespace and control groups; run it with sudo");
  if (access(bench.gantry.c_str(), X_OK) != 0)
    return Fail(bench.gantry + " is not there; build it, or name it with --gantry");
  std::string dir = parent + "/gantry-bench-XXXXXX";
  if (mkdtemp(dir.data()) == nullptr) return Fail("cannot make a directory in " + parent);
  bench.dir = dir;
  bench.instance = "gantry-bench-" + std::to_string(getpid());
  Status entered = EnterNetwork();
  if (entered.ok()) entered = EnterMounts();
  if (!entered.ok()) {
    rmdir(dir.c_str());
    return Fail(entered.message());
  }
  RaiseFileLimit();

  signal(SIGINT, EndChild);
  signal(SIGTERM, EndChild);
  signal(SIGHUP, EndChild);
  measuring = fork();
  if (measuring == 0) {
    signal(SIGINT, SIG_IGN);  // the parent decides
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::exit(Measure(bench, measure));
  }
  int state = -1;
  while (measuring > 0 && waitpid(measuring, &state, 0) < 0 && errno == EINTR) {
  }
  measuring = -1;
  signal(SIGINT, SIG_IGN);
  if (WIFSIGNALED(state)) usleep(500'000);  // its servers get their signal when it is gone
  const bool clean = CleanUp(bench);
  if (WIFSIGNALED(state)) return Fail("ended by signal " + std::to_string(WTERMSIG(state)));
  if (!clean) return Fail("not everything could be cleaned up");
  return WIFEXITED(state) ? WEXITSTATUS(state) : 1;
}

}  // namespace gantry::bench

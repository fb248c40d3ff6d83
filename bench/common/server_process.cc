#include "common/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/cluster.h"
#include "node/os/fs.h"

namespace gantry::bench {
namespace {

// Between fork and exec only calls that are safe there.
[[noreturn]] void BecomeServer(char* const* argv, const char* procs_file, const char* log_file) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int procs = open(procs_file, O_WRONLY);
  if (procs < 0 || write(procs, "0", 1) != 1) _exit(126);
  close(procs);
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(log_file, O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  close_range(3, ~0U, 0);
  signal(SIGINT, SIG_DFL);
  signal(SIGHUP, SIG_DFL);
  signal(SIGPIPE, SIG_DFL);
  execv(argv[0], argv);
  _exit(127);
}

}  // namespace

Result<std::unique_ptr<ServerProcess>> ServerProcess::Start(Bench& bench, const std::string& name,
                                                            const std::vector<std::string>& extra) {
  std::unique_ptr<ServerProcess> server(new ServerProcess);
  server->gantry_ = bench.gantry;
  server->data_dir_ = bench.dir + "/" + name;
  GANTRY_ASSIGN(server->cpu_, CpuGroup::Make(bench.instance + "-" + name));
  std::vector<std::string> words = {bench.gantry,      "server",       "--data-dir",
                                    server->data_dir_, "--https-port", std::to_string(kApiPort),
                                    "--node-name",     kNodeName,      "--advertise-address",
                                    kMachineAddress};
  words.insert(words.end(), extra.begin(), extra.end());
  std::vector<char*> argv;
  for (std::string& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string procs = server->cpu_->ProcsFile(), log = server->data_dir_ + ".log";
  server->pid_ = fork();
  if (server->pid_ == 0) BecomeServer(argv.data(), procs.c_str(), log.c_str());
  if (server->pid_ < 0) return FromErrno(errno, "start " + bench.gantry);
  return server;
}

ServerProcess::~ServerProcess() {
  if (Status stopped = Stop(); !stopped.ok()) Say("%s", stopped.message().c_str());
}

bool ServerProcess::Running() {
  if (pid_ > 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

Status ServerProcess::Stop() {
  if (data_dir_.empty()) return Status::Ok();
  if (pid_ > 0) kill(pid_, SIGTERM);
  for (int i = 0; i < 1000 && Running(); ++i)
    usleep(10'000);
  if (pid_ > 0) {
    Say("the server did not end within ten seconds of SIGTERM");
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  const std::string data_dir = std::exchange(data_dir_, "");
  return RunProgram({gantry_, "cleanup", "--data-dir", data_dir});
}

std::string ServerProcess::LastWords() const {
  const std::string text = node::ReadFile(data_dir_ + ".log").value_or("");
  return text.size() > 2000 ? text.substr(text.size() - 2000) : text;
}

Result<client::Kubeconfig> ServerProcess::AwaitKubeconfig() {
  const std::string path = data_dir_ + "/kubeconfig";
  for (int i = 0; i < 60'000; ++i) {
    if (node::Exists(path)) return client::ReadKubeconfig(path);
    if (!Running()) return InternalError("the server ended: " + LastWords());
    usleep(1000);
  }
  return InternalError("no kubeconfig after a minute: " + LastWords());
}

}  // namespace gantry::bench

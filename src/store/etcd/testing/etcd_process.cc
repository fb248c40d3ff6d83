#include "store/etcd/testing/etcd_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <thread>

namespace gantry::store::testing {
namespace {

uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    std::perror("a free port");
    std::abort();
  }
  close(fd);
  return ntohs(address.sin_port);
}

std::string PeerUrl(uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); }

}  // namespace

std::string EtcdCluster::UrlOf(uint16_t port) const {
  return std::string(tls_ ? "https" : "http") + "://127.0.0.1:" + std::to_string(port);
}

// An authority, and one certificate that serves both ends.
void EtcdCluster::MakeCertificates() {
  const std::string commands =
      "cd " + directory_ +
      " && exec 2>/dev/null && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
      "-nodes "
      "-days 2 -subj /CN=ca -keyout ca.key -out ca.crt && openssl req -newkey ec -pkeyopt "
      "ec_paramgen_curve:P-256 -nodes -subj /CN=etcd -keyout client.key -out client.csr && printf "
      "'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth' >ext && openssl x509 "
      "-req -in client.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out "
      "client.crt";
  if (std::system(commands.c_str()) != 0) std::abort();
}

EtcdCluster::EtcdCluster(int members, bool tls)
    : tls_(tls), members_(static_cast<size_t>(members)) {
  char name[] = "/tmp/gantry-etcd-XXXXXX";
  if (mkdtemp(name) == nullptr) std::abort();
  directory_ = name;
  if (tls_) MakeCertificates();
  for (Member& member : members_) {
    member.client_port = FreePort();
    member.peer_port = FreePort();
  }
  for (int i = 0; i < members; ++i)
    Start(i);
  WaitUntilHealthy();
}

EtcdCluster::~EtcdCluster() {
  for (int i = 0; i < static_cast<int>(members_.size()); ++i)
    Kill(i);
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string EtcdCluster::url() const {
  std::string all;
  for (const Member& member : members_)
    all += (all.empty() ? "etcd://127.0.0.1:" : ",127.0.0.1:") + std::to_string(member.client_port);
  return all;
}

std::string EtcdCluster::url(int member) const {
  return "etcd://127.0.0.1:" + std::to_string(members_[static_cast<size_t>(member)].client_port);
}

void EtcdCluster::Start(int member) {
  Member& started = members_[static_cast<size_t>(member)];
  if (started.pid != 0) return;
  auto name = [](int i) { return "m" + std::to_string(i); };
  std::string cluster;
  for (int i = 0; i < static_cast<int>(members_.size()); ++i) {
    cluster +=
        (i == 0 ? "" : ",") + name(i) + "=" + PeerUrl(members_[static_cast<size_t>(i)].peer_port);
  }
  std::vector<std::string> arguments = {
      "etcd",
      "--name=" + name(member),
      "--data-dir=" + directory_ + "/" + name(member),
      "--listen-client-urls=" + UrlOf(started.client_port),
      "--advertise-client-urls=" + UrlOf(started.client_port),
      "--listen-peer-urls=" + PeerUrl(started.peer_port),
      "--initial-advertise-peer-urls=" + PeerUrl(started.peer_port),
      "--initial-cluster=" + cluster,
      "--heartbeat-interval=50",
      "--election-timeout=300",
      "--logger=zap",
      "--log-level=error"};
  if (tls_) {
    for (const char* flag : {"--client-cert-auth", "--trusted-ca-file=ca.crt",
                             "--cert-file=client.crt", "--key-file=client.key"})
      arguments.push_back(flag);
  }
  const pid_t parent = getpid();
  started.pid = fork();
  if (started.pid != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  const int log = open((directory_ + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (chdir(directory_.c_str()) != 0) _exit(1);
  dup2(log, 1);
  dup2(log, 2);
  std::vector<char*> argv;
  for (std::string& argument : arguments)
    argv.push_back(argument.data());
  argv.push_back(nullptr);
  execvp("etcd", argv.data());
  _exit(127);
}

void EtcdCluster::Kill(int member) {
  Member& killed = members_[static_cast<size_t>(member)];
  if (killed.pid <= 0) return;
  kill(killed.pid, SIGKILL);
  waitpid(killed.pid, nullptr, 0);
  killed.pid = 0;
}

void EtcdCluster::Pause(int member) { kill(members_[static_cast<size_t>(member)].pid, SIGSTOP); }
void EtcdCluster::Resume(int member) { kill(members_[static_cast<size_t>(member)].pid, SIGCONT); }

std::string EtcdCluster::Ctl(const std::string& arguments) const {
  std::string endpoints;
  for (const Member& member : members_) {
    if (member.pid > 0) endpoints += (endpoints.empty() ? "" : ",") + UrlOf(member.client_port);
  }
  const std::string tls = tls_ ? " --cacert=ca.crt --cert=client.crt --key=client.key" : "";
  const std::string command =
      "cd " + directory_ +
      " && ETCDCTL_API=3 etcdctl --command-timeout=2s --endpoints=" + endpoints + tls + " " +
      arguments + " 2>&1";
  std::string out;
  FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return out;
  char buffer[4096];
  while (size_t got = fread(buffer, 1, sizeof buffer, pipe))
    out.append(buffer, got);
  pclose(pipe);
  return out;
}

int EtcdCluster::Leader() const {
  const std::string status = Ctl("endpoint status");
  for (size_t i = 0; i < members_.size(); ++i) {
    const size_t line = status.find(UrlOf(members_[i].client_port) + ",");
    if (line == std::string::npos) continue;
    if (status.substr(line, status.find('\n', line) - line).find(", true,") != std::string::npos)
      return static_cast<int>(i);
  }
  return -1;
}

void EtcdCluster::MoveLeader() {
  const int leader = Leader();
  if (leader < 0) return;
  const size_t next = (static_cast<size_t>(leader) + 1) % members_.size();
  const std::string status = Ctl("endpoint status");
  const size_t line = status.find(UrlOf(members_[next].client_port) + ", ");
  const size_t id = status.find(", ", line) + 2;
  Ctl("move-leader " + status.substr(id, status.find(',', id) - id));
}

void EtcdCluster::WaitUntilHealthy() const {
  for (int i = 0; i < 300; ++i) {
    if (Ctl("put /healthy x").starts_with("OK")) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::fprintf(stderr, "etcd does not come up; is it installed? (scripts/install-deps test)\n");
  std::abort();
}

}  // namespace gantry::store::testing

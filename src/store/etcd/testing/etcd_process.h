#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace gantry::store::testing {

// An etcd cluster of real processes on loopback ports, with its data in a directory of its own.
// Everything goes with the object, also when the test dies. Threading: one thread.
class EtcdCluster {
 public:
  // With `tls` clients need a certificate: files "ca.crt", "client.crt" and "client.key" of
  // directory().
  explicit EtcdCluster(int members = 1, bool tls = false);
  ~EtcdCluster();
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;

  // "etcd://127.0.0.1:P,..." of all members; of one.
  std::string url() const;
  std::string url(int member) const;

  void Start(int member);
  void Kill(int member);
  // SIGSTOP and SIGCONT: as a machine that hangs, or is cut off.
  void Pause(int member);
  void Resume(int member);
  int Leader() const;  // -1: none
  void MoveLeader();
  void WaitUntilHealthy() const;

  const std::string& directory() const { return directory_; }

  // etcdctl with these arguments, at all members that run; what it printed.
  std::string Ctl(const std::string& arguments) const;

 private:
  struct Member {
    pid_t pid = 0;
    uint16_t client_port = 0, peer_port = 0;
  };
  std::string UrlOf(uint16_t port) const;
  void MakeCertificates();

  const bool tls_;
  std::string directory_;
  std::vector<Member> members_;
};

}  // namespace gantry::store::testing

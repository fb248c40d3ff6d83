#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/stream.h"
#include "base/env/time.h"
#include "base/status.h"

namespace gantry::client {

struct LogOptions {
  LogOptions() = default;
  std::string ns, pod, uid, container;
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<int64_t> tail_lines;
  std::optional<int64_t> limit_bytes;
  std::optional<WallTime> since;
};

struct ExecOptions {
  ExecOptions() = default;
  std::string ns, pod, uid, container;
  std::vector<std::string> command;  // empty: attach to the container's main process
  bool stdin_open = false;
  bool stdout_open = false;
  bool stderr_open = false;
  bool tty = false;
};

// A running exec or attach. Threading: the strand on which NodeApi::Exec was awaited (its
// descriptors live there); reads and writes may overlap.
class ExecSession {
 public:
  virtual ~ExecSession() = default;

  struct Output {
    enum class Channel : uint8_t { kStdout, kStderr } channel = Channel::kStdout;
    std::string bytes;
  };
  // The next output, or nullopt at the end.
  virtual Task<Result<std::optional<Output>>> ReadOutput() = 0;
  virtual Task<Status> WriteStdin(std::string bytes) = 0;
  virtual Task<Status> CloseStdin() = 0;
  virtual Task<Status> Resize(int columns, int rows) = 0;
  // After the end of output: the exit code of the process.
  virtual Task<Result<int>> ExitCode() = 0;
  // Ends an exec'd process; detaches from an attached one.
  virtual void Close() = 0;
};

// An answer of a node to whoever asks for one of its pages.
struct NodePage {
  NodePage() = default;
  int status = 200;
  std::string content_type;
  std::unique_ptr<Stream> body;  // only Read and Close are used
};

// What the API server asks of a node: the kubelet's own endpoints. Implemented by the node agent;
// for an agent in another process by the tunnel. Errors are worded as the kubelet words them.
// Threading: any strand; what a call hands out belongs to the strand that awaited it.
class NodeApi {
 public:
  virtual ~NodeApi() = default;

  // The log's bytes, as a stream that ends (or goes on with `follow` until cancelled). Only Read
  // and Close are used.
  virtual Task<Result<std::unique_ptr<Stream>>> Logs(LogOptions options, CancelToken cancel) = 0;
  virtual Task<Result<std::unique_ptr<ExecSession>>> Exec(ExecOptions options,
                                                          CancelToken cancel) = 0;
  // A connection to a port inside the pod's network namespace (127.0.0.1 there).
  virtual Task<Result<std::unique_ptr<Stream>>> PortForward(std::string ns, std::string pod,
                                                            std::string uid, uint16_t port) = 0;
  // A connection from the node to an address of the cluster (pods and services for the proxy
  // subresource).
  virtual Task<Result<std::unique_ptr<Stream>>> Dial(std::string address, uint16_t port) = 0;
  // What the kubelet's own pages show: "/healthz", "/pods", "/stats/summary", "/metrics" and those
  // below it, "/logs/" (decoded, without a query). A page that is not there has status 404.
  virtual Task<Result<NodePage>> Page(std::string path, CancelToken cancel) = 0;
  // Returns when none of the node's service maps sends new connections to any of the addresses;
  // kTimeout when they still do after `timeout`.
  virtual Task<Status> AwaitDrained(std::vector<std::string> addresses, Duration timeout,
                                    CancelToken cancel) = 0;
};

// Finds the NodeApi of a node. Implemented in cli wiring (in process) and the tunnel (remote).
class NodeDirectory {
 public:
  virtual ~NodeDirectory() = default;
  // kUnavailable when the node is not connected.
  virtual Result<std::shared_ptr<NodeApi>> Find(const std::string& node_name) = 0;
};

}  // namespace gantry::client

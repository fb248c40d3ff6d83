#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/env/cancel.h"
#include "base/env/spawn.h"
#include "common/api_client.h"

namespace gantry::bench {

struct SeenPod {
  std::string phase;
  bool ready = false;
  SteadyTime running_at{};  // when the event that first said Running had come
};
using SeenPods = std::map<std::string, SeenPod>;  // by name

// The pods of the namespace default, as a watcher sees them. Threading: the main thread calls;
// events come on a loop thread.
class PodWatch {
 public:
  explicit PodWatch(ApiClient& client);
  ~PodWatch();

  // Waits until `holds`; fails after `timeout` or when the watch has ended.
  Status Until(const std::string& what, std::chrono::seconds timeout,
               const std::function<bool(const SeenPods&)>& holds);
  SeenPods Seen();

 private:
  static Task<> Run(PodWatch& self);
  void OnLine(std::string_view line);
  void End(const std::string& why);

  ApiClient& client_;
  CancelSource cancel_;
  Gate gate_;
  std::mutex mutex_;
  std::condition_variable changed_;
  SeenPods pods_;
  std::string ended_;
};

}  // namespace gantry::bench

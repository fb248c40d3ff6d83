#pragma once

#include <memory>
#include <string>

#include "base/env/env.h"
#include "client/client.h"

namespace gantry::client {

// Records core/v1 Events about objects, folding repeats into a count and limiting floods as
// client-go's recorder does (spam filter: burst 25, one per 300 s per source and object;
// aggregation of more than 10 alike in 10 minutes). Never blocks and never fails the caller: an
// event that cannot be written after some tries is dropped. Threading: any thread.
class EventRecorder {
 public:
  // `component`: "kubelet", "default-scheduler", "deployment-controller"; `host` may be empty.
  EventRecorder(Env& env, Client& client, std::string component, std::string host = {});
  ~EventRecorder();

  void Record(const api::ObjectPtr& about, std::string type, std::string reason,
              std::string message, std::string field_path = {});
  Task<> Stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace gantry::client

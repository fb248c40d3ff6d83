#pragma once

#include <string>

#include "base/status.h"

namespace gantry::apiserver::streams {

// How an exec ended, as kubelet tells the client.
class ExecStatus {
 public:
  static ExecStatus Exited(int code);
  static ExecStatus Failed(const Status& why);

  // A metav1.Status, for version 4 of the protocol and later.
  std::string Json() const;
  // For the versions before; empty after success.
  std::string Text() const;

 private:
  int code_ = 0;
  std::string failure_;
};

}  // namespace gantry::apiserver::streams

#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "apiserver/http/handler.h"
#include "apiserver/query.h"
#include "base/status.h"

namespace gantry::apiserver {

// The named checks behind /livez, /readyz and /healthz. Threading: checks are added before the
// first request.
class Health {
 public:
  using Check = std::function<Status()>;

  // `ready_only`: a part of /readyz alone.
  void Add(std::string name, Check check, bool ready_only);

  // Answers "/readyz", "/readyz/NAME" and the like, with ?verbose and ?exclude as kube-apiserver
  // has them.
  Response Answer(const std::string& path, const Query& query) const;

 private:
  struct Entry {
    std::string name;
    Check check;
    bool ready_only;
  };
  std::vector<Entry> entries_;
};

}  // namespace gantry::apiserver

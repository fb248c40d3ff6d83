#pragma once

#include <string_view>

namespace gantry::store {

// Told of the places inside a commit where a crash would hurt most, so that tests can crash there:
// "commit.begin", "commit.checked", "log.begin", "log.row", "log.garbage", "log.before_commit",
// "log.after_commit", "commit.durable", "commit.published", "commit.answered", "log.checkpoint".
class Failpoints {
 public:
  virtual ~Failpoints() = default;
  virtual void Reached(std::string_view place) = 0;
};

}  // namespace gantry::store

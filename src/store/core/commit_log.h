#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::store {

// One change as a log keeps it.
struct LogRow {
  int64_t id = 0;  // ascending, never used twice
  int64_t revision = 0;
  int64_t create_revision = 0;
  std::string_view key;
  const std::string* value = nullptr;  // null: deleted
};

// Where a store's changes become durable. Threading: one thread at a time.
class CommitLog {
 public:
  virtual ~CommitLog() = default;

  // In one durable step, all or nothing: adds `rows`, forgets the rows `garbage`, and remembers
  // `compacted_revision`. kServiceUnavailable: there is no room just now, and nothing was done. Any
  // other failure is final: the log is not written to again.
  virtual Status Append(std::span<const LogRow> rows, std::span<const int64_t> garbage,
                        int64_t compacted_revision) = 0;

  // Housekeeping between appends; `idle` when nobody waits. What there is no room for is left for
  // another time; a failure is final.
  virtual Status Maintain(bool idle) = 0;
};

}  // namespace gantry::store

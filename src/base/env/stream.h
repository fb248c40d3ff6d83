#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/env/task.h"
#include "base/status.h"

namespace gantry {

// A two-way byte stream: a connection, a tunnel's channel, a process' terminal. Threading: one
// reader and one writer at a time, on one strand; Close from anywhere on that strand.
class Stream {
 public:
  virtual ~Stream() = default;

  // At least one byte, or 0 at the end of the stream. kCanceled after Close.
  virtual Task<Result<size_t>> Read(std::span<char> into) = 0;

  // All of `bytes`, which must stay valid until it returns.
  virtual Task<Status> Write(std::string_view bytes) = 0;

  // Nothing more will be written; the other side reads to the end.
  virtual Task<Status> CloseWrite() = 0;

  // Ends both directions at once. Idempotent. Pending reads and writes fail.
  virtual void Close() = 0;
};

}  // namespace gantry

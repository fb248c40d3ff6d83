#pragma once

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>

#include "base/env/task.h"

namespace gantry {

namespace internal {
template <class T>
Task<> StoreInto(Task<T> task, std::optional<T>* out) {
  *out = co_await std::move(task);
}
}  // namespace internal

// Runs `task` on `executor` (another service's strand) and resumes on the caller's with its result.
template <class T>
Task<T> RunOn(Executor executor, Task<T> task) {
  std::optional<T> out;
  co_await boost::asio::co_spawn(executor, internal::StoreInto(std::move(task), &out),
                                 boost::asio::use_awaitable);
  co_return std::move(*out);
}

}  // namespace gantry

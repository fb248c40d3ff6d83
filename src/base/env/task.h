#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace gantry {

// A coroutine that has not started. `co_await` runs it on the awaiting coroutine's executor; only
// Spawn (base/env/spawn.h) starts one from plain code.
template <class T = void>
using Task = boost::asio::awaitable<T>;

// Where coroutines run: the pool of loop threads, or a strand on it.
using Executor = boost::asio::any_io_executor;

}  // namespace gantry

#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <optional>
#include <type_traits>
#include <utility>

#include "base/env/env.h"

namespace gantry {

// Runs `call` on a thread that may block and resumes on the caller's executor with its result.
// `call` owns what it captures (name the lambda before the co_await: STYLE 11.6); it must not throw
// and must return a value (a Status where there is nothing else to say).
template <class Call>
Task<std::invoke_result_t<Call&>> RunBlocking(Env& env, Call call) {
  std::optional<std::invoke_result_t<Call&>> result;
  Executor pool = env.blocking();
  auto initiate = [&](auto handler) {
    auto home = boost::asio::get_associated_executor(handler);
    boost::asio::post(pool, [&, home, handler = std::move(handler)]() mutable {
      result.emplace(call());
      boost::asio::post(home, std::move(handler));
    });
  };
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      initiate, boost::asio::use_awaitable);
  co_return std::move(*result);
}

}  // namespace gantry

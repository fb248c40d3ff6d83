#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <optional>
#include <type_traits>
#include <utility>

#include "base/env/task.h"

namespace gantry::node {

// Runs a short call on another executor (somebody's strand) and resumes on the caller's with its
// result. `call` owns what it captures and must not throw.
template <class Call>
Task<std::invoke_result_t<Call&>> RunOn(Executor executor, Call call) {
  std::optional<std::invoke_result_t<Call&>> result;
  auto initiate = [&](auto handler) {
    auto home = boost::asio::get_associated_executor(handler);
    boost::asio::post(executor, [&, home, handler = std::move(handler)]() mutable {
      result.emplace(call());
      boost::asio::post(home, std::move(handler));
    });
  };
  co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
      initiate, boost::asio::use_awaitable);
  co_return std::move(*result);
}

}  // namespace gantry::node

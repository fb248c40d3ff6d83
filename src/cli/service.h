#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_future.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>

#include "base/env/real/real_env.h"
#include "base/status.h"
#include "cli/startup_memory.h"

namespace gantry::cli {

// Opens and starts a `Service` (Open, Start, Stop), prints one line when it is ready, and stops it
// on SIGTERM or SIGINT. Before that a signal ends the process at once: it may wait for others for a
// long time, and leaves nothing that the next one does not take up.
template <class Service, class Options, class ReadyLine>
Status RunService(const Options& options, ReadyLine ready_line) {
  RealEnv env;
  // A client that hangs up is an error of its connection, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  GANTRY_ASSIGN(std::unique_ptr<Service> service, Service::Open(env, options));
  Status started;
  auto start = [](Service& service, Status* started) -> Task<> {
    *started = co_await service.Start();
  };
  env.RunToEnd(start(*service, &started));
  if (started.ok()) {
    boost::asio::signal_set signals(env.io(), SIGTERM, SIGINT);
    std::printf("%s\n", ready_line(*service).c_str());
    std::fflush(stdout);
    auto settled = env.CallAt(env.Steady() + std::chrono::seconds(5), [&env] {
      boost::asio::post(env.blocking(), [] { ReleaseStartupMemory(); });
    });
    signals.async_wait(boost::asio::use_future).get();
  }
  env.RunToEnd(service->Stop());
  env.Stop();
  return started;
}

}  // namespace gantry::cli

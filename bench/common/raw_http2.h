#pragma once

#include <atomic>
#include <string>

#include "base/env/cancel.h"
#include "base/env/notifier.h"
#include "common/raw_connection.h"

namespace gantry::bench {

// What many watchers share.
struct Watched {
  std::atomic<int> open = 0;    // streams that were answered with 200
  std::atomic<int> events = 0;  // lines that have come, of all
  std::atomic<int> broken = 0;  // streams or connections that failed or ended
  std::atomic<int> wanted = 0;  // `progress` tells when `open` or `events` has come so far
  Notifier progress;
};

// Opens an HTTP/2 connection with `streams` GETs of `target` (at most 100 characters) on it, and
// counts what comes until `cancel`. It reads no more of the protocol than that takes, so that ten
// thousand watchers cost little themselves. Runs on the awaiting coroutine's executor, which must
// be a strand.
Task<> RunWatches(Env& env, RawTarget server, std::string target, int streams, Watched& watched,
                  CancelToken cancel);

}  // namespace gantry::bench

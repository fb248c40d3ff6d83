#pragma once

#include <memory>
#include <optional>

#include "api/kinds.h"
#include "apiserver/http/handler.h"
#include "apiserver/rest/negotiation.h"
#include "base/env/env.h"
#include "store/cache/watch_cache.h"

namespace gantry::apiserver {

struct WatchOptions {
  WatchOptions() = default;
  bool bookmarks = false;
  bool mark_initial_end = false;  // a bookmark says when the initial events are over
  std::optional<int64_t> timeout_seconds;
  int table_include = 0;
};

// The body of a watch: every event of `watch` as one line (JSON) or one length-delimited frame.
// Bytes of an event are made once for all watchers with the same kind of output.
Response WatchResponse(Env& env, const api::KindInfo& kind, const Output& output,
                       std::unique_ptr<store::CacheWatch> watch, WatchOptions options,
                       CancelToken cancel);

// A watch that ends at once with one ERROR event: how a revision that is too old is told.
Response WatchErrorResponse(const Output& output, const Status& status);

}  // namespace gantry::apiserver

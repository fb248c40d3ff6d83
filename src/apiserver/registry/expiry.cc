#include "apiserver/registry/expiry.h"

#include <algorithm>

#include "api/core/v1/event.pb.h"
#include "api/duration.h"
#include "base/env/notifier.h"
#include "base/log.h"

namespace gantry::apiserver {
namespace {

constexpr Duration kEvery = std::chrono::minutes(5);

// When the object was last written, as far as it says itself.
WallTime LastWrite(const api::Object& object) {
  WallTime last = api::ToWallTime(object.meta().creation_timestamp());
  if (object.kind().kind != "Event") return last;
  const auto& event = object.As<api::core::v1::Event>();
  last = std::max(last, api::ToWallTime(event.last_timestamp()));
  last = std::max(last, api::ToWallTime(event.event_time()));
  return std::max(last, api::ToWallTime(event.series().last_observed_time()));
}

Task<Status> ExpireKind(Registry& registry, const ResourceRow& row) {
  const WallTime limit = registry.env().Now() - std::chrono::seconds(row.strategy->ttl_seconds);
  store::Selection selection;
  selection.matches = [limit](const api::Object& object) { return LastWrite(object) < limit; };
  while (true) {
    std::vector<api::ObjectPtr> old =
        registry.CacheOf(*row.kind).List(selection, {}, store::kMaxWrites).objects;
    if (old.empty()) co_return Status();
    std::vector<store::Write> writes;
    for (const api::ObjectPtr& object : old) {
      store::Write write;
      write.key = object->Key();
      writes.push_back(std::move(write));
    }
    Result<store::CommitResult> result = co_await registry.store().Commit(std::move(writes));
    if (!result.ok()) co_return result.status();
    Status seen = co_await registry.caches().WaitFor(result->revision);
    if (!seen.ok()) co_return seen;
  }
}

}  // namespace

Task<> ExpireObjects(Registry& registry, CancelToken cancel) {
  while (co_await SleepFor(registry.env(), kEvery, cancel) == Wake::kTimeout) {
    for (const ResourceRow& row : AllResources()) {
      if (row.strategy->ttl_seconds == 0 || row.kind != row.kind->storage_kind) continue;
      Status expired = co_await ExpireKind(registry, row);
      if (!expired.ok())
        log::Warning("apiserver", "old events stay", {{"error", expired.ToString()}});
    }
  }
}

}  // namespace gantry::apiserver

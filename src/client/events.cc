#include "client/events.h"

#include <absl/synchronization/mutex.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "api/core/v1/event.pb.h"
#include "api/json_value.h"
#include "base/env/spawn.h"
#include "base/log.h"
#include "client/event_correlator.h"

namespace gantry::client {
namespace {

constexpr size_t kQueueLimit = 1000;
constexpr int kTries = 12;
constexpr Duration kPause = std::chrono::seconds(10);
// Events come in bursts, amid work that is waited for. What was recorded within this time is
// written at once, so that the store commits it at once, and behind that work.
constexpr Duration kGather = std::chrono::milliseconds(40);
constexpr size_t kMostAtOnce = 64;

api::core::v1::Event MakeEvent(const api::Object& about, WallTime now) {
  api::core::v1::Event event;
  const std::string ns = about.ns().empty() ? "default" : about.ns();
  event.mutable_metadata()->set_name(
      fmt::format("{}.{:x}", about.name(), now.time_since_epoch().count()));
  event.mutable_metadata()->set_namespace_(ns);
  api::core::v1::ObjectReference& object = *event.mutable_involved_object();
  object.set_kind(std::string(about.kind().kind));
  object.set_api_version(about.kind().ApiVersion());
  object.set_namespace_(about.ns());
  object.set_name(about.name());
  object.set_uid(about.uid());
  if (about.revision() > 0) object.set_resource_version(std::to_string(about.revision()));
  const int64_t seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  event.mutable_first_timestamp()->set_seconds(seconds);
  event.mutable_last_timestamp()->set_seconds(seconds);
  event.set_count(1);
  return event;
}

// What changes of an event that happened again.
std::string RepeatPatch(const api::core::v1::Event& event) {
  api::JsonValue patch = api::JsonValue::MakeObject();
  const std::chrono::sys_seconds last{std::chrono::seconds(event.last_timestamp().seconds())};
  const std::chrono::sys_days day = std::chrono::floor<std::chrono::days>(last);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(last - day);
  patch["count"] = int64_t{event.count()};
  patch["lastTimestamp"] =
      fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  time.hours().count(), time.minutes().count(), time.seconds().count());
  patch["message"] = event.message();
  return patch.ToString();
}

// The API server looked at it and said no; it would say so again.
bool Rejected(Code code) {
  switch (code) {
    case Code::kUnavailable:
    case Code::kServiceUnavailable:
    case Code::kTooManyRequests:
    case Code::kServerTimeout:
    case Code::kTimeout:
    case Code::kCanceled:
      return false;
    default:
      return true;
  }
}

}  // namespace

struct EventRecorder::State {
  State(Env& env, Client& client, std::string component, std::string host)
      : env(env),
        client(client),
        component(std::move(component)),
        host(std::move(host)),
        strand(env.MakeStrand()) {}

  // In order, but for different events that wait at the same time.
  Task<> WriteAll() {
    while (co_await SleepFor(env, kGather, stop.token()) != Wake::kCanceled) {
      std::vector<api::core::v1::Event> events = TakeSome();
      if (events.empty()) co_return;
      Gate writing_now;
      std::set<std::string> names;
      std::vector<api::core::v1::Event> repeats;
      for (api::core::v1::Event& event : events) {
        if (!correlator.Correlate(&event, env.Steady(), env.Now())) continue;
        if (names.insert(event.metadata().name()).second) {
          Spawn(strand, writing_now, "event", WriteOne(std::move(event)));
        } else {
          repeats.push_back(std::move(event));
        }
      }
      co_await writing_now.Close(env);
      for (api::core::v1::Event& event : repeats)
        co_await WriteOne(std::move(event));
    }
  }

  // Nothing: the writer is to end.
  std::vector<api::core::v1::Event> TakeSome() {
    absl::MutexLock lock(&mutex);
    const auto end = queue.begin() + static_cast<ptrdiff_t>(std::min(queue.size(), kMostAtOnce));
    std::vector<api::core::v1::Event> events(std::make_move_iterator(queue.begin()),
                                             std::make_move_iterator(end));
    queue.erase(queue.begin(), end);
    if (events.empty()) writing = false;
    return events;
  }

  Task<> WriteOne(api::core::v1::Event event) {
    for (int attempt = 1; attempt <= kTries; ++attempt) {
      Status status = co_await Send(event);
      if (status.ok()) co_return;
      if (Rejected(status.code()) || attempt == kTries) {
        log::Debug("client", "event dropped",
                   {{"event", event.metadata().name()}, {"error", status.ToString()}});
        co_return;
      }
      // The first pause is random, so that many recorders do not come back together.
      const Duration pause = attempt == 1 ? Duration(static_cast<int64_t>(RandomBelow(
                                                env, static_cast<uint64_t>(kPause.count()))))
                                          : kPause;
      if (co_await SleepFor(env, pause, stop.token()) == Wake::kCanceled) co_return;
    }
  }

  Task<Status> Send(const api::core::v1::Event& event) {
    const api::KindInfo& kind = api::KindOf<api::core::v1::Event>();
    if (event.count() > 1) {
      Result<api::ObjectPtr> patched = co_await client.Patch(
          kind, event.metadata().namespace_(), event.metadata().name(), std::string(),
          PatchType::kMerge, RepeatPatch(event), WriteOptions());
      if (patched.code() != Code::kNotFound) co_return patched.status();
    }
    std::unique_ptr<google::protobuf::Message> message =
        std::make_unique<api::core::v1::Event>(event);
    Result<api::ObjectPtr> created =
        co_await client.Create(kind, event.metadata().namespace_(), event.metadata().name(),
                               std::string(), std::move(message), WriteOptions());
    co_return created.status();
  }

  Env& env;
  Client& client;
  const std::string component;
  const std::string host;
  const Executor strand;
  CancelSource stop;
  Gate gate;
  EventCorrelator correlator;  // on the strand

  // A time for the next event's name, which is made of it: never the same twice.
  WallTime NextTime() {
    absl::MutexLock lock(&mutex);
    last_time = std::max(env.Now(), last_time + Duration(1));
    return last_time;
  }

  absl::Mutex mutex;
  WallTime last_time ABSL_GUARDED_BY(mutex){};
  bool writing ABSL_GUARDED_BY(mutex) = false;
  std::deque<api::core::v1::Event> queue ABSL_GUARDED_BY(mutex);
};

EventRecorder::EventRecorder(Env& env, Client& client, std::string component, std::string host)
    : state_(std::make_shared<State>(env, client, std::move(component), std::move(host))) {}
EventRecorder::~EventRecorder() = default;

void EventRecorder::Record(const api::ObjectPtr& about, std::string type, std::string reason,
                           std::string message, std::string field_path) {
  api::core::v1::Event event = MakeEvent(*about, state_->NextTime());
  if (!field_path.empty()) event.mutable_involved_object()->set_field_path(std::move(field_path));
  event.set_type(std::move(type));
  event.set_reason(std::move(reason));
  event.set_message(std::move(message));
  event.mutable_source()->set_component(state_->component);
  event.set_reporting_component(state_->component);
  if (!state_->host.empty()) {
    event.mutable_source()->set_host(state_->host);
    event.set_reporting_instance(state_->host);
  }
  bool start = false;
  {
    absl::MutexLock lock(&state_->mutex);
    if (state_->queue.size() >= kQueueLimit) return;
    state_->queue.push_back(std::move(event));
    start = !std::exchange(state_->writing, true);
  }
  if (start) Spawn(state_->strand, state_->gate, "event recorder", state_->WriteAll());
}

Task<> EventRecorder::Stop() {
  state_->stop.Cancel();
  co_await state_->gate.Close(state_->env);
}

}  // namespace gantry::client

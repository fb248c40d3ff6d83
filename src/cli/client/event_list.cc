#include "cli/client/event_list.h"

#include <algorithm>

#include "api/duration.h"
#include "cli/client/connection.h"
#include "cli/client/fields.h"
#include "client/http/transport.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

std::string FirstOf(const JsonValue& event, std::initializer_list<const char*> paths) {
  for (const char* path : paths) {
    std::string text = TextAt(event, path);
    if (!text.empty()) return text;
  }
  return {};
}

}  // namespace

std::string EventTime(const JsonValue& event) {
  return FirstOf(event, {"series.lastObservedTime", "lastTimestamp", "eventTime", "firstTimestamp",
                         "metadata.creationTimestamp"});
}

int64_t EventCount(const JsonValue& event) {
  return std::max<int64_t>({IntAt(event, "series.count"), IntAt(event, "count"), 1});
}

Result<std::vector<JsonValue>> EventsOf(Connection& connection, const std::string& ns,
                                        const std::string& kind, const std::string& name,
                                        const std::string& uid) {
  std::string selector = "involvedObject.name=" + name;
  if (!kind.empty()) selector += ",involvedObject.kind=" + kind;
  if (!uid.empty()) selector += ",involvedObject.uid=" + uid;
  const std::string path = ns.empty() ? "/api/v1/events" : "/api/v1/namespaces/" + ns + "/events";
  GANTRY_ASSIGN(const JsonValue list,
                connection.GetJson(path + "?fieldSelector=" + client::QueryEscape(selector)));
  std::vector<JsonValue> events = ItemsAt(list, "items");
  SortEvents(&events);
  return events;
}

void SortEvents(std::vector<JsonValue>* events) {
  std::stable_sort(events->begin(), events->end(), [](const JsonValue& a, const JsonValue& b) {
    const std::string x = EventTime(a), y = EventTime(b);
    if (x != y) return x < y;
    // Within a second: as they were written.
    const std::string v = TextAt(a, "metadata.resourceVersion");
    const std::string w = TextAt(b, "metadata.resourceVersion");
    return v.size() != w.size() ? v.size() < w.size() : v < w;
  });
}

std::string AgeOf(const std::string& time, WallTime now) {
  const Result<WallTime> then = api::ParseTime(time);
  return then.ok() ? api::HumanDuration(now - *then) : "<unknown>";
}

std::string EventAge(const JsonValue& event, WallTime now) {
  const std::string last = AgeOf(EventTime(event), now);
  const int64_t count = EventCount(event);
  if (count <= 1) return last;
  const std::string first =
      AgeOf(FirstOf(event, {"firstTimestamp", "eventTime", "metadata.creationTimestamp"}), now);
  return last + " (x" + std::to_string(count) + " over " + first + ")";
}

}  // namespace gantry::cli

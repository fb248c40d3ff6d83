#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/env/time.h"
#include "base/status.h"

namespace gantry::cli {

class Connection;

// The events about one object, oldest first. `kind` empty: any.
Result<std::vector<api::JsonValue>> EventsOf(Connection& connection, const std::string& ns,
                                             const std::string& kind, const std::string& name,
                                             const std::string& uid = {});
void SortEvents(std::vector<api::JsonValue>* events);

// "3m (x5 over 10m)", as event tables have it.
std::string EventAge(const api::JsonValue& event, WallTime now);
// "45s"; "<unknown>" where there is no such time.
std::string AgeOf(const std::string& time, WallTime now);
// How often it happened.
int64_t EventCount(const api::JsonValue& event);
std::string EventTime(const api::JsonValue& event);

}  // namespace gantry::cli

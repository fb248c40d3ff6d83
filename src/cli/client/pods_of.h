#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"

namespace gantry::cli {

class Connection;

// A LabelSelector, or the plain map that services and replication controllers have, as the text of
// a query.
std::string SelectorQuery(const api::JsonValue& selector);

Result<std::vector<api::JsonValue>> ListPods(Connection& connection, const std::string& ns,
                                             const std::string& selector);
// The pods that `arg` means: a pod's name, or TYPE/NAME of something with a selector. Running and
// ready pods first, then the older.
enum class PodUse : uint8_t { kLogs, kAttach };  // for the wording of failures
Result<std::vector<api::JsonValue>> FindPods(Connection& connection, const std::string& arg,
                                             PodUse use);

// The container to use where none is named; says so on standard error when there are several.
std::string DefaultContainer(const api::JsonValue& pod);

}  // namespace gantry::cli

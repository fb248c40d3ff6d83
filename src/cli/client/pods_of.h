#pragma once

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
// The pods that `args` mean: a pod's name, or TYPE/NAME of something with a selector. Ready pods
// first, then the older.
Result<std::vector<api::JsonValue>> FindPods(Connection& connection, const std::string& arg);

// The container to use where none is named; says so on standard error when there are several.
std::string DefaultContainer(const api::JsonValue& pod);

}  // namespace gantry::cli

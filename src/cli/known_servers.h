#pragma once

#include <string>
#include <vector>

#include "api/object.h"
#include "cli/data_dir.h"
#include "client/informer.h"

namespace gantry::cli {

// The URLs of the servers that the endpoint slices of the service "kubernetes" name, in order.
std::vector<std::string> ServersOfSlices(const std::vector<api::ObjectPtr>& slices);

// The servers that were known last, kept in the data directory; `given` are those of the command
// line. All of them, none twice, the given ones first.
std::vector<std::string> LoadServers(const DataDir& dir, const std::vector<std::string>& given);
Status SaveServers(const DataDir& dir, const std::vector<std::string>& servers);
// `found`, then those of `given` that are not among them: the command line may name an address that
// only works from here.
std::vector<std::string> Merge(std::vector<std::string> found,
                               const std::vector<std::string>& given);

}  // namespace gantry::cli

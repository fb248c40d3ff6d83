#pragma once

#include <string>

#include "base/status.h"
#include "cli/data_dir.h"
#include "store/snapshot.h"

namespace gantry::cli {

// What belongs to a cluster beside its objects (tokens and certificates that clients hold are only
// worth something to the authority that issued them): its keys, as snapshots carry them.

// Those that are under a data directory.
Result<store::SnapshotFiles> ReadClusterFiles(const std::string& data_dir);
// Puts them there. Another cluster's are kept aside, with all that was issued with them.
Status PutClusterFiles(const DataDir& dir, const store::SnapshotFiles& files);

}  // namespace gantry::cli

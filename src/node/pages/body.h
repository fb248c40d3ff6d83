#pragma once

#include <memory>
#include <string>

#include "base/env/env.h"
#include "base/env/stream.h"

namespace gantry::node {

// Bodies of pages, of which only Read and Close work.

std::unique_ptr<Stream> MakeTextBody(std::string text);
// A plain file, read piece by piece on the blocking pool. kNotFound when it is none. `env` outlives
// it.
Result<std::unique_ptr<Stream>> OpenFileBody(Env& env, const std::string& path);

}  // namespace gantry::node

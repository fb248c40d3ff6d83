#pragma once

#include <string>

#include "base/status.h"

// A Status of the client commands carries the whole line that its user reads.
namespace gantry::cli {

// "error: MESSAGE": what is wrong with the command itself.
Status LocalError(const std::string& message);
// A failure that a server (or the way to it) gave, in kubectl's words: "Error from server
// (NotFound): pods "x" not found". Keeps the code and the details.
Status ServerError(const Status& status);

}  // namespace gantry::cli

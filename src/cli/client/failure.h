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

// What the server said, with what was done and from which file (empty: none): "error when creating
// "web.yaml":
// ...".
Status WithSource(const Status& status, const std::string& doing, const std::string& source);
// A list that was refused, with what was asked for, as kubectl words it; other failures are left
// as they are. `resource` is Resource::Text().
Status ListError(const Status& status, const std::string& resource, const std::string& labels,
                 const std::string& fields);

}  // namespace gantry::cli

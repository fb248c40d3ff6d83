#pragma once

#include <string>
#include <string_view>

#include "api/object.h"
#include "base/status.h"
#include "client/client.h"

// What an API server's answers hold, in the binary encoding.
namespace gantry::client::internal {

// An object; null for a Status of success. A Status of failure is that failure.
Result<api::ObjectPtr> ReadObject(std::string_view body);
Result<List> ReadList(const api::KindInfo& kind, std::string_view body);
// One event of a watch without its length.
Result<WatchEvent> ReadEvent(std::string_view frame);
// The failure in the body of an answer with `http_status` >= 400, in either encoding.
Status ReadFailure(int http_status, std::string_view body);

}  // namespace gantry::client::internal

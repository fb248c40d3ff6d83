#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::apiserver {

// Where a list goes on: as of which revision, and behind which key (without the resource's own
// prefix). The text is what a Kubernetes server makes of it, opaque to clients.
struct ContinueToken {
  int64_t revision = 0;  // -1: as of now (the token of an "Expired" answer)
  std::string start;     // "default/web-1"
};

std::string EncodeContinueToken(const ContinueToken& token);
// kBadRequest for anything that no server gave out.
Result<ContinueToken> DecodeContinueToken(std::string_view text);

}  // namespace gantry::apiserver

#pragma once

#include <string>
#include <string_view>

#include "base/env/env.h"
#include "base/status.h"

namespace gantry::cli {

// Text that only who knows the secret can read, and nobody can change unseen: AES-256-GCM with a
// key derived from the secret (PBKDF2, SHA-256). As one line of JSON, which says how it was made.
Result<std::string> Seal(Env& env, std::string_view secret, std::string_view text);
// kForbidden for another secret (or a changed box), kDataLoss for what is no box.
Result<std::string> Unseal(std::string_view secret, std::string_view box);

}  // namespace gantry::cli

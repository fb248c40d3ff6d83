#pragma once

#include <string>
#include <vector>

#include "api/json_value.h"
#include "base/status.h"

namespace gantry::cli {

// What `create KIND NAME` makes without a file.
struct CreateFlags {
  std::vector<std::string> literals, files, env_files;  // KEY=VALUE; [KEY=]PATH
  std::string type;                                     // of a secret
};

// `words` are those behind "create": "configmap NAME", "secret generic NAME", "namespace NAME",
// "serviceaccount NAME". Reads files.
Result<api::JsonValue> ObjectOfWords(const std::vector<std::string>& words,
                                     const CreateFlags& flags);

}  // namespace gantry::cli

#pragma once

#include <string>
#include <string_view>

#include "node/images/reference.h"

namespace gantry::node {

// True when a failed skopeo says that the registry wants (other) credentials.
bool IsDenied(std::string_view skopeo_output);

// What skopeo says on failure, as one line in the words that users of Kubernetes know.
std::string DescribePullError(const ImageReference& image, std::string_view skopeo_output,
                              bool with_credentials);

}  // namespace gantry::node

#pragma once

#include <string>
#include <vector>

#include "node/images/reference.h"

namespace gantry::node {

// Credentials of registries: the contents of imagePullSecrets, each a Docker configuration
// ({"auths": {…}}, or the older form without the envelope).
using PullSecrets = std::vector<std::string>;

// The authentication files ({"auths": {REGISTRY: …}}) to try for an image, one after the other: the
// entries whose key is its registry, with "*" for a part of the host name and optionally the
// beginning of a repository; the longest key first. Empty when the secrets hold nothing for it.
std::vector<std::string> AuthFilesFor(const PullSecrets& secrets, const ImageReference& image);

}  // namespace gantry::node

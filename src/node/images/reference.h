#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::node {

// The name of an image as users write it, in full: "nginx" is docker.io/library/nginx:latest.
struct ImageReference {
  std::string domain;      // "docker.io", "localhost:5000"
  std::string repository;  // "library/nginx"
  std::string tag;         // empty when there is only a digest
  std::string digest;      // "sha256:…" or empty

  std::string Name() const { return domain + "/" + repository; }
  // What the store knows it by: name:tag, or name@digest when there is a digest.
  std::string ToString() const;
};

// kInvalid, worded as the reference library of the field words it, for text that names no image.
Result<ImageReference> ParseImageReference(std::string_view text);

}  // namespace gantry::node

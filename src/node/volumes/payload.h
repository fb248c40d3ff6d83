#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/core/v1/volume.pb.h"
#include "node/pod/environment.h"

namespace gantry::node {

struct FileProjection {
  std::string bytes;
  int mode = 0644;
  std::optional<int64_t> user = std::nullopt;  // its owner when not root
  bool operator==(const FileProjection&) const = default;
};
// Relative path -> file.
using Payload = std::map<std::string, FileProjection>;

struct PayloadInputs {
  const api::core::v1::Pod* pod = nullptr;
  const ReferencedObjects* objects = nullptr;
  // Tokens by (audience, expiration seconds).
  std::map<std::pair<std::string, int64_t>, std::string> tokens;
  std::vector<std::string> host_ips;
  std::vector<std::string> pod_ips;
  NodeAllocatable allocatable;
};

// What the files of a configMap, secret, downwardAPI or projected volume are. Errors as the kubelet
// words them
// (`configmap "x" not found`, `configmap references non-existent config key: k`). Pure.
Result<Payload> BuildPayload(const api::core::v1::VolumeSource& source,
                             const PayloadInputs& inputs);

bool HasPayload(const api::core::v1::VolumeSource& source);
void AddVolumeReferences(const api::core::v1::VolumeSource& source, ObjectNames* names);

struct TokenSource {
  std::string audience;
  int64_t expiration_seconds = 3600;
};
std::vector<TokenSource> TokensOf(const api::core::v1::VolumeSource& source);

// Makes `directory` show exactly these files, all at once: they stand in a new directory to which
// the link ..data is switched, and each name is a link through ..data. Files are given to `group`
// when there is one. Unchanged: nothing happens.
Status WritePayload(const std::string& directory, const Payload& payload,
                    std::optional<int64_t> group);

}  // namespace gantry::node

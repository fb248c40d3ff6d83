#pragma once

#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "node/paths.h"

namespace gantry::node {

struct Image {
  std::string id;                         // "sha256:…": the digest of its configuration
  std::vector<std::string> repo_tags;     // "docker.io/library/nginx:1.25"
  std::vector<std::string> repo_digests;  // "docker.io/library/nginx@sha256:…"
  std::vector<std::string> layers;        // directories under Paths::Layers(), the lowest first
  int64_t size = 0;
};
using ImagePtr = std::shared_ptr<const Image>;

// What an image says about how to run it.
struct ImageConfig {
  std::vector<std::string> entrypoint, cmd, env, volumes;
  std::string working_dir, user, stop_signal;
};

struct ImportedImage {
  std::string id;
  std::vector<std::string> names;
};

// Images on this machine: an index, configurations, and every layer unpacked once. Works without an
// agent: writers of any process take turns by a lock file, readers see the index before or after a
// change. All calls block. Threading: any thread.
class ImageStore {
 public:
  explicit ImageStore(const Paths& paths);

  // A docker-archive or OCI-layout archive (compressed or not). kInvalid when it is neither or is
  // damaged; then nothing has changed.
  Result<std::vector<ImportedImage>> Import(const std::string& archive);
  // A directory as skopeo's "dir:" transport writes it, under `name` (and its digest).
  Result<ImportedImage> ImportDirectory(const std::string& directory, const std::string& name);

  // By name in full (ImageReference::ToString()), name@digest or id ("sha256:…"). Null when absent.
  ImagePtr Find(const std::string& name) const;
  // By any form that users write, completed as pulls complete it.
  ImagePtr FindAny(const std::string& name) const;
  std::vector<ImagePtr> List() const;
  Result<ImageConfig> Config(const Image& image) const;
  std::string LayerPath(const std::string& layer) const { return layers_ + "/" + layer; }

  // By name or id. Removing a name of several only unnames; the last one removes the image and the
  // layers that no other image uses. kNotFound when there is no such image.
  Status Remove(const std::string& name);
  // The image with all of its names.
  Status RemoveImage(const std::string& id);

 private:
  using Index = std::map<std::string, ImagePtr>;  // by id

  std::shared_ptr<const Index> Load() const;
  Status Save(const Index& index);
  Result<ImportedImage> Add(const std::string& config, const std::vector<std::string>& layer_files,
                            std::vector<std::string> names, std::vector<std::string> digests);
  Result<std::vector<ImportedImage>> AddDockerArchive(const std::string& directory);
  Result<std::vector<ImportedImage>> AddOciLayout(const std::string& directory);
  Status DropUnusedLayers(const Index& index);

  std::string images_, layers_;
  mutable absl::Mutex mutex_;
  mutable std::shared_ptr<const Index> cached_ ABSL_GUARDED_BY(mutex_);
  mutable uint64_t cached_inode_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable int64_t cached_mtime_ ABSL_GUARDED_BY(mutex_) = 0;
};

// {entrypoint, cmd, …} from an image configuration's JSON.
Result<ImageConfig> ParseImageConfig(std::string_view json);

}  // namespace gantry::node

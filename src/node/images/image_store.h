#pragma once

#include <absl/synchronization/mutex.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/env/time.h"
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

  // A docker-archive (compressed or not) or an OCI layout (the same, or a directory). kInvalid when
  // it is neither, kInvalid or kDataLoss when it is damaged; then no image of it is there.
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

  // By name as users write it, or id or its beginning. Removing a name of several only unnames; the
  // last one removes the image, and the layers that no other image and no container uses.
  // kNotFound when there is no such image.
  Status Remove(const std::string& name);
  // The image with all of its names.
  Status RemoveImage(const std::string& id);
  // The container with this home is about to use the image: its layers stay as long as that.
  Status NoteUse(const Image& image, const std::string& home);
  // Removes images, the one that came first first, until `enough` says so: those that `used` does
  // not name (in any form, or by id or digest) and that came before `youngest`.
  Status RemoveUnused(const std::set<std::string>& used, WallTime youngest,
                      const std::function<bool()>& enough);
  // Removes what interrupted imports have left, and the layers that nothing uses any more.
  Status Sweep();

 private:
  using Index = std::map<std::string, ImagePtr>;  // by id

  // Unpacked, but not in the index yet.
  struct NewImage {
    ImagePtr image;
    std::vector<std::string> names, digests;
  };

  std::shared_ptr<const Index> Load() const;  // empty when it is damaged
  Result<std::shared_ptr<const Index>> Read() const;
  Status Save(const Index& index);
  Result<NewImage> Take(const std::string& config, const std::vector<std::string>& layer_files,
                        std::vector<std::string> names, std::vector<std::string> digests);
  Result<std::vector<NewImage>> TakeDockerArchive(const std::string& directory);
  Result<std::vector<NewImage>> TakeOciLayout(const std::string& directory);
  // All of them, or what was unpacked for them goes again.
  Result<std::vector<ImportedImage>> Commit(Result<std::vector<NewImage>> images);
  ImagePtr FindByShortId(const std::string& text) const;
  std::set<std::string> LayersOfContainers() const;
  Status DropUnusedLayers(const Index& index);

  std::string images_, layers_, pods_;
  mutable absl::Mutex mutex_;
  mutable std::shared_ptr<const Index> cached_ ABSL_GUARDED_BY(mutex_);
  mutable uint64_t cached_inode_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable int64_t cached_mtime_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The digest of the image for this machine that a registry's manifest or list of manifests stands
// for. kInvalid when a list has none.
Result<std::string> InstanceDigest(std::string_view manifest);

// {entrypoint, cmd, …} from an image configuration's JSON.
Result<ImageConfig> ParseImageConfig(std::string_view json);

}  // namespace gantry::node

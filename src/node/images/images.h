#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/env/env.h"
#include "node/images/image_store.h"

namespace gantry::node {

// Credentials of registries: the contents of imagePullSecrets, each a Docker configuration
// ({"auths": {…}}).
using PullSecrets = std::vector<std::string>;

struct PulledImage {
  ImagePtr image;
  Duration took{};
};

// Images as pods see them. Threading: any thread; plain calls do short file operations.
class Images {
 public:
  virtual ~Images() = default;
  // By ImageReference::ToString(). Null when absent.
  virtual ImagePtr Find(const std::string& name) = 0;
  virtual std::vector<ImagePtr> List() = 0;
  virtual Result<ImageConfig> Config(const Image& image) = 0;
  // Errors are the registry's, as one line.
  virtual Task<Result<PulledImage>> Pull(std::string name, PullSecrets secrets) = 0;
  // Makes `bundle`/rootfs a writable copy of the image; again after a reboot with what was written
  // there. Blocks.
  virtual Status MountRoot(const Image& image, const std::string& bundle) = 0;
  virtual Status UnmountRoot(const std::string& bundle) = 0;
};

// The ImageStore, skopeo for transport, overlayfs for roots.
class LocalImages : public Images {
 public:
  LocalImages(Env& env, const Paths& paths);
  ~LocalImages() override;

  ImagePtr Find(const std::string& name) override;
  std::vector<ImagePtr> List() override;
  Result<ImageConfig> Config(const Image& image) override;
  // Pulls of one name at a time become one. At most `kParallelPulls` at once.
  Task<Result<PulledImage>> Pull(std::string name, PullSecrets secrets) override;
  Status MountRoot(const Image& image, const std::string& bundle) override;
  Status UnmountRoot(const std::string& bundle) override;

  ImageStore& store() { return store_; }

 private:
  static constexpr int kParallelPulls = 3;

  Env& env_;
  Paths paths_;
  ImageStore store_;
};

// Brings an image into `store` by skopeo, without an agent. `name` is a reference as users write
// it.
Task<Result<ImportedImage>> PullImage(Env& env, const Paths& paths, ImageStore& store,
                                      std::string name, PullSecrets secrets);

}  // namespace gantry::node

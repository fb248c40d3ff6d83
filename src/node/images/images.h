#pragma once

#include <absl/synchronization/mutex.h>

#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/env/notifier.h"
#include "node/images/credentials.h"
#include "node/images/image_store.h"

namespace gantry::node {

// Where a pod's token is mounted, unless it says otherwise.
inline constexpr const char* kServiceAccountDirectory =
    "/var/run/secrets/kubernetes.io/serviceaccount";

struct PulledImage {
  ImagePtr image;
  Duration took{};    // by the pull itself
  Duration waited{};  // and with the wait for its turn
};

// How long a pull may take.
struct PullLimits {
  PullLimits() = default;
  Duration whole = std::chrono::minutes(30);
  Duration ask = std::chrono::minutes(2);    // whether the registry has another image
  Duration stall = std::chrono::minutes(1);  // without that anything came
};

// Images as pods see them. Threading: any thread; plain calls do short file operations.
class Images {
 public:
  virtual ~Images() = default;
  // By ImageReference::ToString(). Null when absent.
  virtual ImagePtr Find(const std::string& name) = 0;
  virtual std::vector<ImagePtr> List() = 0;
  virtual Result<ImageConfig> Config(const Image& image) = 0;
  // Errors are the registry's, as one line. kCanceled when `cancel` came first.
  virtual Task<Result<PulledImage>> Pull(std::string name, PullSecrets secrets,
                                         CancelToken cancel) = 0;
  // Makes `home`/rootfs a writable copy of the image; again after a reboot with what was written
  // there. It has the places where every container gets something mounted; `service_account`: also
  // that of the token. Blocks.
  virtual Status MountRoot(const Image& image, const std::string& home, bool service_account) = 0;
  virtual Status UnmountRoot(const std::string& home) = 0;
};

// The ImageStore, skopeo for transport, overlayfs for roots.
class LocalImages : public Images {
 public:
  LocalImages(Env& env, const Paths& paths, PullLimits limits = {});
  ~LocalImages() override;

  ImagePtr Find(const std::string& name) override;
  std::vector<ImagePtr> List() override;
  Result<ImageConfig> Config(const Image& image) override;
  // Pulls of one name with the same credentials at one time are one pull, which goes on as long as
  // one of its callers wants it. At most `kParallelPulls` at once, in the order in which they came.
  Task<Result<PulledImage>> Pull(std::string name, PullSecrets secrets,
                                 CancelToken cancel) override;
  Status MountRoot(const Image& image, const std::string& home, bool service_account) override;
  Status UnmountRoot(const std::string& home) override;

  ImageStore& store() { return store_; }

 private:
  static constexpr int kParallelPulls = 3;

  // One pull and those who wait for it. Guarded by mutex_, but for what has a guard of its own.
  struct Flight {
    Notifier ended;
    CancelSource cancel;
    int wanted = 0;  // callers that have not given up
    std::optional<Result<PulledImage>> outcome;
  };
  struct Turn {
    Notifier come;
    bool mine = false;
  };

  Task<Result<PulledImage>> Fly(std::string name, PullSecrets secrets, CancelToken cancel);
  Task<bool> TakeTurn(CancelToken cancel);
  void EndTurn();
  Result<std::string> MountPoints(bool service_account);

  Env& env_;
  Paths paths_;
  const PullLimits limits_;
  ImageStore store_;
  std::array<std::atomic<bool>, 2> mount_points_made_{};  // without and with the token's
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Flight>> flights_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::shared_ptr<Turn>> queue_ ABSL_GUARDED_BY(mutex_);
  int free_turns_ ABSL_GUARDED_BY(mutex_) = kParallelPulls;
};

// Brings an image into `store` by skopeo, without an agent; what the registry still has as it is
// here is not fetched again. `name` is a reference as users write it.
Task<Result<ImportedImage>> PullImage(Env& env, const Paths& paths, ImageStore& store,
                                      std::string name, PullSecrets secrets,
                                      CancelToken cancel = {}, PullLimits limits = {});

}  // namespace gantry::node

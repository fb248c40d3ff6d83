#include <algorithm>

#include "scheduler/cache/node_table.h"
#include "scheduler/plugins/plugins.h"

namespace gantry::scheduler {
namespace {

constexpr int64_t kMegabyte = 1024 * 1024;
constexpr int64_t kMinThreshold = 23 * kMegabyte;
constexpr int64_t kMaxContainerThreshold = 1000 * kMegabyte;

// "nginx" is "nginx:latest"; a digest or a tag stays.
std::string Normalized(const std::string& image) {
  const size_t slash = image.rfind('/');
  const size_t colon = image.rfind(':');
  const bool tagged = image.find('@') != std::string::npos ||
                      (colon != std::string::npos && (slash == std::string::npos || colon > slash));
  return tagged ? image : image + ":latest";
}

class ImageLocality : public ScorePlugin {
 public:
  explicit ImageLocality(const NodeTable& nodes) : nodes_(nodes) {}

  std::string_view name() const override { return "ImageLocality"; }
  // On a single node there is nothing to compare.
  bool Applies(const PodInfo&) const override { return nodes_.node_count() > 1; }
  int64_t Score(const PodInfo& pod, const PluginState*, const NodeInfo& node) const override {
    const auto& spec = pod.pod->spec();
    int64_t sum = 0;
    auto add = [&](const auto& containers) {
      for (const auto& container : containers) {
        const std::string image = Normalized(container.image());
        auto it = node.image_sizes.find(image);
        if (it == node.image_sizes.end()) continue;
        // An image that few nodes have draws less, so that one node is not flooded.
        sum += it->second * nodes_.NodesWithImage(image) / std::max(1, nodes_.node_count());
      }
    };
    add(spec.containers());
    add(spec.init_containers());
    const int64_t max =
        kMaxContainerThreshold * std::max(1, spec.containers_size() + spec.init_containers_size());
    return kMaxScore * (std::clamp(sum, kMinThreshold, max) - kMinThreshold) /
           (max - kMinThreshold);
  }

 private:
  const NodeTable& nodes_;
};

}  // namespace

std::unique_ptr<ScorePlugin> MakeImageLocality(const NodeTable& nodes) {
  return std::make_unique<ImageLocality>(nodes);
}

}  // namespace gantry::scheduler

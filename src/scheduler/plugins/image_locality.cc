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

// Nodes that have more of the pod's images are better; an image that few nodes have draws less, so
// that one node is not flooded.
class ImageLocality : public ScorePlugin {
 public:
  explicit ImageLocality(const NodeTable& nodes) : nodes_(nodes) {}

  std::string_view name() const override { return "ImageLocality"; }
  uint64_t ScoreBasis(const PodInfo& pod) const override {
    uint64_t basis = 0;
    ForEachImage(pod, [&](const std::string& image) {
      basis = basis * 1000003 + static_cast<uint64_t>(ShareOf(image));
    });
    return basis;
  }
  int64_t Score(const PodInfo& pod, const NodeInfo& node) const override {
    if (node.image_sizes.empty()) return 0;
    int64_t sum = 0;
    ForEachImage(pod, [&](const std::string& image) {
      auto it = node.image_sizes.find(image);
      if (it != node.image_sizes.end()) sum += it->second / kParts * ShareOf(image);
    });
    const auto& spec = pod.pod->spec();
    const int64_t max =
        kMaxContainerThreshold * std::max(1, spec.containers_size() + spec.init_containers_size());
    return kMaxScore * (std::clamp(sum, kMinThreshold, max) - kMinThreshold) /
           (max - kMinThreshold);
  }

 private:
  // Shares are counted in thousandths, so that one node more rarely changes the scores of all.
  static constexpr int64_t kParts = 1000;

  int64_t ShareOf(const std::string& image) const {
    const int64_t having = nodes_.NodesWithImage(image);
    return having == 0 ? 0 : having * kParts / std::max(1, nodes_.node_count());
  }
  template <class See>
  static void ForEachImage(const PodInfo& pod, See see) {
    const auto& spec = pod.pod->spec();
    for (const auto& container : spec.containers())
      see(Normalized(container.image()));
    for (const auto& container : spec.init_containers())
      see(Normalized(container.image()));
  }

  const NodeTable& nodes_;
};

}  // namespace

std::shared_ptr<const Plugin> MakeImageLocality(const NodeTable& nodes) {
  return std::make_shared<ImageLocality>(nodes);
}

}  // namespace gantry::scheduler

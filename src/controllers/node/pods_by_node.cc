#include "controllers/node/pods_by_node.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Pod;

constexpr char kPodsByNode[] = "node-name";

}  // namespace

void IndexPodsByNode(client::Informer& pods) {
  pods.AddIndex(kPodsByNode, [](const api::Object& object) {
    const std::string& node = object.As<Pod>().spec().node_name();
    return node.empty() ? std::vector<std::string>() : std::vector<std::string>{node};
  });
}

std::vector<api::Ref<Pod>> PodsOnNode(const client::Informer& pods, std::string_view node) {
  return client::Typed<Pod>(pods.ByIndex(kPodsByNode, node));
}

}  // namespace gantry::controllers

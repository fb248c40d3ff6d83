#include "controllers/nodeipam/node_ipam.h"

#include <vector>

#include "api/core/v1/node.pb.h"
#include "controllers/nodeipam/subnets.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using client::Plan;

class NodeIpamController : public client::Reconciler {
 public:
  explicit NodeIpamController(std::vector<Subnets> ranges) : ranges_(std::move(ranges)) {}

  std::string_view name() const override { return "node-ipam"; }
  std::string event_source() const override { return "cidrAllocator"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    nodes_ = &informers.For<Node>();
    nodes_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      // One key for all: two nodes must never be given the same subnet.
      if (after && after->As<Node>().spec().pod_cidr().empty()) enqueue({"", "all"});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    std::vector<api::Ref<Node>> waiting;
    std::vector<Subnets> ranges = ranges_;
    for (const api::Ref<Node>& node : client::Typed<Node>(nodes_->List())) {
      if (node->spec().pod_cidr().empty()) waiting.push_back(node);
      for (Subnets& range : ranges) {
        range.Take(node->spec().pod_cidr());
        for (const std::string& cidr : node->spec().pod_cidrs())
          range.Take(cidr);
      }
    }
    for (const api::Ref<Node>& node : waiting) {
      std::vector<std::string> given;
      for (Subnets& range : ranges) {
        if (std::optional<std::string> subnet = range.Next()) given.push_back(std::move(*subnet));
      }
      if (given.size() < ranges.size()) {
        plan.events.push_back(
            {node.object(), "Normal", "CIDRNotAvailable",
             "Node " + node->metadata().name() + " status is now: CIDRNotAvailable"});
        plan.requeue_after = std::chrono::seconds(30);
        continue;
      }
      Node copy = *node;
      copy.mutable_spec()->set_pod_cidr(given.front());
      for (std::string& subnet : given)
        copy.mutable_spec()->add_pod_cidrs(std::move(subnet));
      plan.Update(std::move(copy));
    }
    return plan;
  }

 private:
  const std::vector<Subnets> ranges_;  // all free
  client::Informer* nodes_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<client::Reconciler>> MakeNodeIpamController(const NodeIpamOptions& options) {
  std::vector<Subnets> ranges;
  std::string_view rest = options.cluster_cidr;
  do {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string range(rest.substr(0, comma));
    const bool v6 = range.find(':') != std::string::npos;
    GANTRY_ASSIGN(Subnets subnets,
                  Subnets::Cut(range, v6 ? options.node_prefix_v6 : options.node_prefix_v4));
    ranges.push_back(std::move(subnets));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  } while (!rest.empty());
  if (ranges.size() > 2 || (ranges.size() == 2 && ranges[0].is_v6() == ranges[1].is_v6())) {
    return BadRequest("cluster CIDR \"" + options.cluster_cidr +
                      "\": one range, or one of IPv4 and one of IPv6, is possible");
  }
  std::unique_ptr<client::Reconciler> controller =
      std::make_unique<NodeIpamController>(std::move(ranges));
  return controller;
}

}  // namespace gantry::controllers

#include "controllers/nodeipam/node_ipam.h"

#include <arpa/inet.h>

#include <charconv>
#include <optional>
#include <vector>

#include "api/core/v1/node.pb.h"

namespace gantry::controllers {
namespace {

using api::core::v1::Node;
using client::Plan;

struct Range {
  uint32_t base = 0;
  int prefix_length = 0;
};

std::optional<Range> ParseRange(const std::string& text) {
  const size_t slash = text.find('/');
  in_addr address{};
  Range range;
  if (slash == std::string::npos ||
      inet_pton(AF_INET, text.substr(0, slash).c_str(), &address) != 1) {
    return std::nullopt;
  }
  auto [end, error] =
      std::from_chars(text.data() + slash + 1, text.data() + text.size(), range.prefix_length);
  if (error != std::errc() || end != text.data() + text.size() || range.prefix_length < 0 ||
      range.prefix_length > 32) {
    return std::nullopt;
  }
  const uint32_t mask = range.prefix_length == 0 ? 0 : ~uint32_t{0} << (32 - range.prefix_length);
  range.base = ntohl(address.s_addr) & mask;
  return range;
}

std::string Format(uint32_t base, int prefix_length) {
  in_addr address{htonl(base)};
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address, text, sizeof text);
  return std::string(text) + "/" + std::to_string(prefix_length);
}

class NodeIpamController : public client::Reconciler {
 public:
  NodeIpamController(Range cluster, int node_prefix_length)
      : cluster_(cluster), node_prefix_length_(node_prefix_length) {}

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
    const uint64_t count = uint64_t{1} << (node_prefix_length_ - cluster_.prefix_length);
    std::vector<bool> taken;
    std::vector<api::Ref<Node>> waiting;
    for (const api::Ref<Node>& node : client::Typed<Node>(nodes_->List())) {
      if (node->spec().pod_cidr().empty()) {
        waiting.push_back(node);
      }
    }
    if (waiting.empty()) return plan;
    taken.resize(count);
    for (const api::Ref<Node>& node : client::Typed<Node>(nodes_->List())) {
      if (auto range = ParseRange(node->spec().pod_cidr())) Take(*range, &taken);
    }
    uint64_t next = 0;
    for (const api::Ref<Node>& node : waiting) {
      std::string subnet;
      for (; next < count && subnet.empty(); ++next) {
        if (taken[next]) continue;
        subnet = Format(cluster_.base + static_cast<uint32_t>(next << (32 - node_prefix_length_)),
                        node_prefix_length_);
      }
      if (subnet.empty()) {
        plan.events.push_back(
            {node.object(), "Normal", "CIDRNotAvailable",
             "Node " + node->metadata().name() + " status is now: CIDRNotAvailable"});
        plan.requeue_after = std::chrono::seconds(30);
        continue;
      }
      Node copy = *node;
      copy.mutable_spec()->set_pod_cidr(subnet);
      copy.mutable_spec()->add_pod_cidrs(subnet);
      plan.Update(std::move(copy));
    }
    return plan;
  }

 private:
  // Marks the subnets that overlap with `range`, whatever its size.
  void Take(const Range& range, std::vector<bool>* taken) const {
    const int shift = 32 - node_prefix_length_;
    const uint64_t first = range.base;
    const uint64_t last = first + (uint64_t{1} << (32 - range.prefix_length)) - 1;
    if (last < cluster_.base) return;
    const uint64_t begin = first < cluster_.base ? 0 : (first - cluster_.base) >> shift;
    const uint64_t end = (last - cluster_.base) >> shift;
    for (uint64_t i = begin; i <= end && i < taken->size(); ++i)
      (*taken)[i] = true;
  }

  const Range cluster_;
  const int node_prefix_length_;
  client::Informer* nodes_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<client::Reconciler>> MakeNodeIpamController(const std::string& cluster_cidr,
                                                                   int node_prefix_length) {
  const std::optional<Range> range = ParseRange(cluster_cidr);
  if (!range || range->prefix_length > node_prefix_length || node_prefix_length > 32) {
    return BadRequest("cluster CIDR \"" + cluster_cidr +
                      "\" is not an IPv4 range with room for a /" +
                      std::to_string(node_prefix_length) + " for each node");
  }
  std::unique_ptr<client::Reconciler> controller =
      std::make_unique<NodeIpamController>(*range, node_prefix_length);
  return controller;
}

}  // namespace gantry::controllers

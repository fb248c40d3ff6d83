#pragma once

#include "apiserver/admission/admission.h"
#include "apiserver/registry/registry.h"
#include "apiserver/subresources/connector.h"
#include "client/node_api.h"

namespace gantry::apiserver {

// Serves the connecting subresources by asking the node that the pod is on. Threading: any thread.
class NodeConnector : public Connector {
 public:
  // `nodes` may be null: then every node counts as not connected. All outlive this.
  NodeConnector(Registry& registry, AdmissionChain& admission, client::NodeDirectory* nodes);

  bool Serves(const ResourceRow& row, std::string_view subresource) const override;
  Task<Response> Connect(const ResourceRow& row, ResourceRequest request) override;

 private:
  Task<Response> Logs(const ResourceRow& row, ResourceRequest request);
  Task<Response> Exec(const ResourceRow& row, ResourceRequest request, bool attach);
  Task<Response> PortForward(const ResourceRow& row, ResourceRequest request);
  Result<std::shared_ptr<client::NodeApi>> FindNode(const std::string& name) const;

  Registry& registry_;
  AdmissionChain& admission_;
  client::NodeDirectory* nodes_;
};

}  // namespace gantry::apiserver

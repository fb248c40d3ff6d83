#include "cli/node_host.h"

#include "api/quantity.h"
#include "net/cleanup.h"
#include "node/cleanup.h"

namespace gantry::cli {
namespace {

std::string NodeDir(const std::string& data_dir) { return data_dir + "/node"; }

}  // namespace

Result<node::LogLimits> ParseLogLimits(const std::string& max_size, int max_files) {
  node::LogLimits limits;
  Result<api::Quantity> size = api::Quantity::Parse(max_size);
  if (!size.ok() || size->Value() <= 0) {
    return Status(Code::kInvalid,
                  "--container-log-max-size \"" + max_size + "\" is no size, such as 10Mi");
  }
  if (max_files < 2)
    return Status(Code::kInvalid, "--container-log-max-files must be greater than 1");
  limits.max_bytes = size->Value();
  limits.max_files = max_files;
  return limits;
}

Result<std::unique_ptr<NodeHost>> NodeHost::Make(Env& env, client::Client& client,
                                                 client::InformerSet& informers,
                                                 const NodeHostOptions& options) {
  net::NodeNetworkOptions network;
  network.data_dir = options.data_dir;
  network.node_name = options.node_name;
  network.cluster_cidrs = {options.cluster_cidr};
  network.service_cidrs = {options.service_cidr};
  network.cluster_dns = options.cluster_dns;
  network.cluster_domain = options.cluster_domain;
  std::unique_ptr<NodeHost> host(new NodeHost);
  GANTRY_ASSIGN(host->network_, net::NodeNetwork::Make(env, informers, network));

  node::AgentOptions agent;
  agent.node_name = options.node_name;
  agent.data_dir = NodeDir(options.data_dir);
  agent.node_ip = options.node_ip;
  agent.cluster_dns = options.cluster_dns;
  agent.cluster_domain = options.cluster_domain;
  agent.log_limits = options.log_limits;
  agent.oci_runtime = options.oci_runtime;
  agent.set_pod_cidrs = [bridge = &host->network_->bridge()](std::vector<std::string> cidrs) {
    return bridge->SetPodCidrs(std::move(cidrs));
  };
  host->agent_ = std::make_unique<node::Agent>(env, client, std::move(agent),
                                               &host->network_->pods(), &host->network_->drain());
  return host;
}

Task<Status> NodeHost::Start() {
  GANTRY_CO_TRY(co_await network_->Start());
  co_return co_await agent_->Start();
}

Task<> NodeHost::Stop() {
  co_await agent_->Stop();
  co_await network_->Stop();
}

Status CleanUpHost(const std::string& data_dir) {
  Status node = node::CleanUpNode(NodeDir(data_dir));
  Status network = net::CleanUpNetwork(data_dir);
  return node.ok() ? network : node;
}

}  // namespace gantry::cli

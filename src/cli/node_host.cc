#include "cli/node_host.h"

#include <cstdlib>

#include "api/quantity.h"
#include "base/log.h"
#include "cli/machine_options.h"
#include "net/cleanup.h"
#include "node/cleanup.h"
#include "node/registration.h"

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

Status FillFromFlags(const MachineOptions& flags, NodeHostOptions* options) {
  options->node_name = flags.node_name;
  options->oci_runtime = flags.oci_runtime;
  options->fencing = flags.fencing;
  GANTRY_ASSIGN(options->log_limits,
                ParseLogLimits(flags.container_log_max_size, flags.container_log_max_files));
  GANTRY_ASSIGN(options->labels, node::ParseNodeLabels(flags.node_labels));
  GANTRY_ASSIGN(options->taints, node::ParseNodeTaints(flags.node_taints));
  return Status::Ok();
}

Result<std::unique_ptr<NodeHost>> NodeHost::Make(Env& env, client::Client& client,
                                                 client::InformerSet& informers,
                                                 const NodeHostOptions& options) {
  const NetworkOptions& told = options.network;
  GANTRY_TRY(CheckNetwork(told));
  GANTRY_TRY(CheckMachineNetworks(told, options.data_dir));
  net::NodeNetworkOptions network;
  network.data_dir = options.data_dir;
  network.node_name = options.node_name;
  network.cluster_cidrs = SplitList(told.cluster_cidr);
  network.service_cidrs = SplitList(told.service_cidr);
  network.cluster_dns = told.cluster_dns;
  network.cluster_domain = told.cluster_domain;
  GANTRY_ASSIGN(network.node_ips, NodeAddresses(told, options.address));
  GANTRY_ASSIGN(network.overlay, OverlayOf(told));
  network.mtu = told.pod_mtu;
  network.cni = told.cni;
  network.cni_config_dir = told.cni_conf_dir;
  network.cni_plugin_dirs = SplitList(told.cni_bin_dir);
  std::unique_ptr<NodeHost> host(new NodeHost);
  GANTRY_ASSIGN(host->network_, net::NodeNetwork::Make(env, informers, network));

  node::AgentOptions agent;
  agent.node_name = options.node_name;
  agent.data_dir = NodeDir(options.data_dir);
  agent.node_ips = network.node_ips;
  agent.cluster_dns = SplitList(told.cluster_dns);
  agent.cluster_domain = told.cluster_domain;
  agent.log_limits = options.log_limits;
  agent.oci_runtime = options.oci_runtime;
  agent.labels = options.labels;
  agent.taints = options.taints;
  agent.fencing = options.fencing;
  agent.lease = options.lease;
  agent.cluster_drain = options.cluster_drain;
  // What it runs is the other's now, or nobody's; that is for a person to see to.
  agent.on_replaced = [](const Status& why) {
    log::Error("node", "this agent ends", {{"reason", why.message()}});
    std::_Exit(1);
  };
  agent.set_pod_cidrs = [network = host->network_.get()](std::vector<std::string> cidrs) {
    return network->SetPodCidrs(std::move(cidrs));
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

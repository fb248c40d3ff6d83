#include "apiserver/tunnel/server.h"

#include <boost/asio/this_coro.hpp>

#include <utility>

#include "apiserver/tunnel/mux.h"
#include "apiserver/tunnel/remote_node.h"
#include "base/log.h"

namespace gantry::apiserver::tunnel {
namespace {

// An agent that comes back finds its former tunnels still there, until their silence is noticed.
constexpr size_t kMaxTunnelsOfNode = 4;

}  // namespace

Result<Response> TunnelServer::Accept(const Request& request, std::string node_name) {
  if (request.http2 || !request.headers.HasToken("connection", "upgrade") ||
      !request.headers.HasToken("upgrade", kTunnelProtocol)) {
    return BadRequest("Upgrade request required");
  }
  Response response;
  response.status = 101;
  response.headers.Add("Connection", "Upgrade");
  response.headers.Add("Upgrade", kTunnelProtocol);
  response.upgrade = [this, node_name](std::unique_ptr<Stream> stream) {
    return Serve(std::move(stream), node_name);
  };
  return response;
}

Task<> TunnelServer::Serve(std::unique_ptr<Stream> stream, std::string node_name) {
  const Executor strand = co_await boost::asio::this_coro::executor;
  // An agent asks nothing of a server through the tunnel: what it opens is dropped.
  auto refuse = [](std::unique_ptr<Channel>, std::string) {};
  auto mux = std::make_shared<Mux>(env_, strand, std::move(stream), false, dead_after_, refuse);
  std::shared_ptr<Mux> too_many;
  {
    absl::MutexLock lock(&mutex_);
    std::vector<std::shared_ptr<Mux>>& tunnels = tunnels_[node_name];
    tunnels.push_back(mux);
    if (tunnels.size() > kMaxTunnelsOfNode) too_many = tunnels.front();
  }
  if (too_many) too_many->Close();
  log::Info("tunnel", "node connected", {{"node", node_name}});
  Status why = co_await mux->Run();
  log::Info("tunnel", "node disconnected", {{"node", node_name}, {"reason", why.message()}});
  absl::MutexLock lock(&mutex_);
  auto it = tunnels_.find(node_name);
  std::erase(it->second, mux);
  if (it->second.empty()) tunnels_.erase(it);
}

void TunnelServer::SetLocal(const std::string& node_name, std::shared_ptr<client::NodeApi> node) {
  absl::MutexLock lock(&mutex_);
  if (node) {
    local_[node_name] = std::move(node);
  } else {
    local_.erase(node_name);
  }
}

Result<std::shared_ptr<client::NodeApi>> TunnelServer::Find(const std::string& node_name) {
  absl::MutexLock lock(&mutex_);
  if (auto it = local_.find(node_name); it != local_.end()) return it->second;
  if (auto it = tunnels_.find(node_name); it != tunnels_.end())
    return MakeRemoteNode(it->second.back());
  return Unavailable("error dialing backend: No agent available");
}

std::vector<std::shared_ptr<client::NodeApi>> TunnelServer::All() {
  std::vector<std::shared_ptr<client::NodeApi>> nodes;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, node] : local_)
    nodes.push_back(node);
  for (const auto& [name, tunnels] : tunnels_) {
    if (!local_.contains(name)) nodes.push_back(MakeRemoteNode(tunnels.back()));
  }
  return nodes;
}

bool TunnelServer::Hears(const std::string& node_name) {
  absl::MutexLock lock(&mutex_);
  if (local_.contains(node_name)) return true;
  auto it = tunnels_.find(node_name);
  return it != tunnels_.end() && env_.Steady() - it->second.back()->heard() < dead_after_;
}

}  // namespace gantry::apiserver::tunnel

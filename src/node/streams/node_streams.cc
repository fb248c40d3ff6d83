#include "node/streams/node_streams.h"

#include <boost/asio/this_coro.hpp>

#include "node/os/fs.h"
#include "node/streams/log_stream.h"
#include "node/streams/socket_stream.h"

namespace gantry::node {
namespace {

using client::ExecOptions;
using client::ExecSession;
using client::LogOptions;

// Why there is no log yet, as the kubelet says it.
std::string WaitingText(const std::string& reason) {
  if (reason == "ErrImagePull") return "image can't be pulled";
  if (reason == "ImagePullBackOff") return "trying and failing to pull image";
  return reason;
}

class NodeStreams : public client::NodeApi {
 public:
  NodeStreams(Env& env, PodLookup& pods, Runtime& runtime, net::EndpointDrain* drain,
              NodePages& pages)
      : env_(env), pods_(pods), runtime_(runtime), drain_(drain), pages_(pages) {}

  Task<Result<std::unique_ptr<Stream>>> Logs(LogOptions options, CancelToken cancel) override {
    Result<PodView> view = co_await pods_.Look(options.ns, options.pod, options.uid,
                                               options.container, options.previous);
    if (!view.ok()) co_return view.status();
    std::string where = "\"" + view->container + "\" in pod \"" + options.pod + "\"";
    if (!view->known_container)
      co_return BadRequest("container " + view->container + " is not valid for pod " + options.pod);
    if (options.previous && !view->run)
      co_return BadRequest("previous terminated container " + where + " not found");
    if (!view->run)
      co_return BadRequest("container " + where +
                           " is waiting to start: " + WaitingText(view->waiting_reason));
    std::string bundle = view->run->bundle, path = view->run->log_path;
    // Its exit record goes with the bundle when the pod is forgotten.
    auto alive = [&runtime = runtime_, bundle] {
      return runtime.RunningPid(bundle).has_value() ||
             (Exists(bundle) && !runtime.ReadExit(bundle));
    };
    bool ended = view->run->state == ContainerRun::State::kExited;
    std::function<bool()> going = [] { return false; };
    if (!ended) going = alive;
    Executor executor = co_await boost::asio::this_coro::executor;
    co_return OpenLogStream(env_, executor, std::move(path), std::move(options), std::move(going),
                            cancel);
  }

  Task<Result<std::unique_ptr<ExecSession>>> Exec(ExecOptions options, CancelToken) override {
    Result<PodView> view =
        co_await pods_.Look(options.ns, options.pod, options.uid, options.container, false);
    if (!view.ok()) co_return view.status();
    if (!view->known_container || !view->run || view->run->state != ContainerRun::State::kRunning) {
      co_return Status(Code::kNotFound, "container not found (\"" + view->container + "\")");
    }
    if (options.command.empty()) {
      std::string bundle = view->run->bundle;
      co_return co_await runtime_.Attach(std::move(bundle), options.stdin_open, view->terminal);
    }
    ExecRequest request;
    request.id = view->run->id;
    request.bundle = view->run->bundle;
    request.command = options.command;
    request.stdin_open = options.stdin_open;
    request.stdout_open = options.stdout_open;
    request.stderr_open = options.stderr_open;
    request.terminal = options.tty;
    co_return co_await runtime_.Exec(std::move(request));
  }

  Task<Result<std::unique_ptr<Stream>>> PortForward(std::string ns, std::string pod,
                                                    std::string uid, uint16_t port) override {
    Result<PodView> view = co_await pods_.Look(ns, pod, uid, std::string(), false);
    if (!view.ok()) co_return view.status();
    std::string path = view->network_namespace, ipv4 = "127.0.0.1", ipv6 = "::1";
    Result<std::unique_ptr<Stream>> stream = co_await ConnectFrom(path, std::move(ipv4), port);
    if (stream.ok()) co_return stream;
    Result<std::unique_ptr<Stream>> other = co_await ConnectFrom(path, std::move(ipv6), port);
    if (other.ok()) co_return other;
    co_return Unavailable(
        "failed to connect to localhost:" + std::to_string(port) + " inside namespace \"" +
        view->uid + "\", IPv4: " + stream.status().message() + " IPv6 " + other.status().message());
  }

  Task<Result<std::unique_ptr<Stream>>> Dial(std::string address, uint16_t port) override {
    std::string host;
    co_return co_await ConnectFrom(std::move(host), std::move(address), port);
  }

  Task<Result<client::NodePage>> Page(std::string path, CancelToken) override {
    co_return co_await pages_.Get(std::move(path));
  }

  Task<Status> AwaitDrained(std::vector<std::string> addresses, Duration timeout,
                            CancelToken) override {
    if (drain_ == nullptr) co_return Status::Ok();
    const SteadyTime deadline = env_.Steady() + timeout;
    co_await drain_->AwaitDrained(std::move(addresses), deadline);
    if (env_.Steady() < deadline) co_return Status::Ok();
    co_return Status(Code::kTimeout, "the addresses are still in use");
  }

 private:
  Env& env_;
  PodLookup& pods_;
  Runtime& runtime_;
  net::EndpointDrain* const drain_;
  NodePages& pages_;
};

}  // namespace

std::shared_ptr<client::NodeApi> MakeNodeApi(Env& env, PodLookup& pods, Runtime& runtime,
                                             net::EndpointDrain* drain, NodePages& pages) {
  return std::make_shared<NodeStreams>(env, pods, runtime, drain, pages);
}

}  // namespace gantry::node

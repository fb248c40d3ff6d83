#include "apiserver/tunnel/agent.h"

#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

#include "apiserver/tunnel/messages.h"
#include "apiserver/tunnel/mux.h"
#include "apiserver/tunnel/pipe.h"
#include "apiserver/tunnel/server.h"
#include "base/log.h"

namespace gantry::apiserver::tunnel {
namespace {

using client::ExecSession;
using client::NodeApi;

constexpr size_t kOutputBytes = 32 * 1024;

// One call of a server. The channel's end is the caller's wish to give up.
struct Work {
  Work(Env& env, std::shared_ptr<NodeApi> node, std::shared_ptr<Channel> channel)
      : env(env), node(std::move(node)), channel(std::move(channel)) {}
  Env& env;
  std::shared_ptr<NodeApi> node;
  std::shared_ptr<Channel> channel;
};

Task<Status> Answer(Work& work, Status status) {
  const Reply reply = ToReply(status);
  GANTRY_CO_TRY(co_await work.channel->Send(reply.SerializeAsString()));
  co_return status;
}

Task<> CancelAtEnd(std::shared_ptr<Channel> channel, CancelSource source) {
  while (true) {
    Result<std::optional<std::string>> message = co_await channel->Receive();
    if (!message.ok() || !*message) break;
  }
  source.Cancel();
}

Task<> CopyOut(Work& work, std::unique_ptr<Stream> stream) {
  std::string buffer(kOutputBytes, '\0');
  while (true) {
    Result<size_t> got = co_await stream->Read(buffer);
    if (!got.ok()) co_return;
    if (*got == 0) break;
    if (Status sent = co_await work.channel->Send(buffer.substr(0, *got)); !sent.ok()) co_return;
  }
  Status finished = work.channel->Finish();
}

Task<> ServeLogs(Work& work, const Logs& call) {
  CancelSource source;
  Gate gate;
  const Executor strand = co_await boost::asio::this_coro::executor;
  Spawn(strand, gate, "tunnel logs", CancelAtEnd(work.channel, source));
  Result<std::unique_ptr<Stream>> stream =
      co_await work.node->Logs(FromMessage(call), source.token());
  if (Status told = co_await Answer(work, stream.status()); told.ok())
    co_await CopyOut(work, std::move(*stream));
  // The caller closes when it has read to the end.
  if (!stream.ok()) Status finished = work.channel->Finish();
  co_await gate.Close(work.env);
}

Task<> ExecInput(std::shared_ptr<Channel> channel, std::shared_ptr<ExecSession> session) {
  while (true) {
    Result<std::optional<std::string>> message = co_await channel->Receive();
    ExecFrame frame;
    if (!message.ok() || !*message || !frame.ParseFromString(**message)) break;
    Status passed;
    if (frame.has_stdin()) passed = co_await session->WriteStdin(std::move(*frame.mutable_stdin()));
    if (frame.close_stdin()) passed = co_await session->CloseStdin();
    if (frame.has_resize())
      passed = co_await session->Resize(frame.resize().columns(), frame.resize().rows());
  }
  session->Close();
}

Task<Status> SendFrame(std::shared_ptr<Channel> channel, ExecFrame frame) {
  co_return co_await channel->Send(frame.SerializeAsString());
}

// The process' output, then how it ended.
Task<Status> ExecOutput(std::shared_ptr<Channel> channel, std::shared_ptr<ExecSession> session) {
  ExecFrame last;
  while (true) {
    Result<std::optional<ExecSession::Output>> output = co_await session->ReadOutput();
    if (!output.ok()) {
      *last.mutable_failure() = ToReply(output.status());
      break;
    }
    if (!*output) {
      Result<int> code = co_await session->ExitCode();
      if (code.ok()) {
        last.set_exit_code(*code);
      } else {
        *last.mutable_failure() = ToReply(code.status());
      }
      break;
    }
    const std::string& bytes = (*output)->bytes;
    const bool to_stderr = (*output)->channel == ExecSession::Output::Channel::kStderr;
    for (size_t at = 0; at < bytes.size(); at += kOutputBytes) {
      ExecFrame frame;
      (to_stderr ? frame.mutable_stderr() : frame.mutable_stdout())
          ->assign(bytes, at, kOutputBytes);
      GANTRY_CO_TRY(co_await SendFrame(channel, std::move(frame)));
    }
  }
  GANTRY_CO_TRY(co_await SendFrame(channel, std::move(last)));
  co_return channel->Finish();
}

Task<> ServeExec(Work& work, const Exec& call) {
  CancelSource source;
  Result<std::unique_ptr<ExecSession>> opened =
      co_await work.node->Exec(FromMessage(call), source.token());
  if (Status told = co_await Answer(work, opened.status()); !told.ok()) {
    if (opened.ok()) (*opened)->Close();
    Status finished = work.channel->Finish();
    co_return;
  }
  std::shared_ptr<ExecSession> session = std::move(*opened);
  Gate gate;
  const Executor strand = co_await boost::asio::this_coro::executor;
  Spawn(strand, gate, "tunnel exec", ExecInput(work.channel, session));
  if (Status told = co_await ExecOutput(work.channel, session); !told.ok()) session->Close();
  co_await gate.Close(work.env);
}

Task<> ServeStream(Work& work, Result<std::unique_ptr<Stream>> stream) {
  Status told = co_await Answer(work, stream.status());
  if (told.ok()) {
    co_await Splice(work.env, work.channel, std::move(*stream));
  } else {
    if (stream.ok()) (*stream)->Close();
    told = work.channel->Finish();
  }
}

Task<> ServePage(Work& work, const Page& call) {
  CancelSource source;
  Gate gate;
  const Executor strand = co_await boost::asio::this_coro::executor;
  Spawn(strand, gate, "tunnel page", CancelAtEnd(work.channel, source));
  std::string path = call.path();
  Result<client::NodePage> page = co_await work.node->Page(std::move(path), source.token());
  Status told = co_await Answer(work, page.status());
  if (told.ok()) {
    PageHead head;
    head.set_status(page->status);
    head.set_content_type(page->content_type);
    told = co_await work.channel->Send(head.SerializeAsString());
  }
  if (told.ok()) co_await CopyOut(work, std::move(page->body));
  if (!told.ok()) told = work.channel->Finish();
  co_await gate.Close(work.env);
}

Task<> ServeDrain(Work& work, const Drain& call) {
  CancelSource source;
  Gate gate;
  const Executor strand = co_await boost::asio::this_coro::executor;
  Spawn(strand, gate, "tunnel drain", CancelAtEnd(work.channel, source));
  std::vector<std::string> addresses(call.addresses().begin(), call.addresses().end());
  Status drained = co_await work.node->AwaitDrained(
      std::move(addresses), std::chrono::milliseconds(call.timeout_ms()), source.token());
  drained = co_await Answer(work, std::move(drained));
  Status finished = work.channel->Finish();
  co_await gate.Close(work.env);
}

Task<> ServeCall(Env& env, std::shared_ptr<NodeApi> node, std::shared_ptr<Channel> channel,
                 std::string message) {
  Work work(env, std::move(node), std::move(channel));
  Call call;
  if (!call.ParseFromString(message)) {
    Status told = co_await Answer(work, InternalError("tunnel: malformed call"));
  } else if (call.has_logs()) {
    co_await ServeLogs(work, call.logs());
  } else if (call.has_exec()) {
    co_await ServeExec(work, call.exec());
  } else if (call.has_port_forward()) {
    const PortForward& to = call.port_forward();
    Result<std::unique_ptr<Stream>> stream = co_await work.node->PortForward(
        to.namespace_(), to.pod(), to.uid(), static_cast<uint16_t>(to.port()));
    co_await ServeStream(work, std::move(stream));
  } else if (call.has_dial()) {
    Result<std::unique_ptr<Stream>> stream =
        co_await work.node->Dial(call.dial().address(), static_cast<uint16_t>(call.dial().port()));
    co_await ServeStream(work, std::move(stream));
  } else if (call.has_page()) {
    co_await ServePage(work, call.page());
  } else if (call.has_drain()) {
    co_await ServeDrain(work, call.drain());
  } else {
    Status told = co_await Answer(work, BadRequest("tunnel: this agent does not know the call"));
  }
}

Task<> CloseOnCancel(Env& env, std::shared_ptr<Mux> mux, CancelToken stop, CancelToken over) {
  Notifier woken;
  CancelToken::Registration first = stop.OnCancel([&woken] { woken.Notify(); });
  CancelToken::Registration second = over.OnCancel([&woken] { woken.Notify(); });
  while (!stop.cancelled() && !over.cancelled())
    co_await woken.Wait(env);
  mux->Close();
}

}  // namespace

// Who keeps a tunnel to one server.
struct TunnelAgent::Keeper {
  Keeper(std::string url, Executor strand) : server(std::move(url)), strand(std::move(strand)) {}
  const std::string server;
  const Executor strand;
  CancelSource stop;
  Notifier woken;  // its tunnel is over, or there are other credentials
};

// One open tunnel. Used on the keeper's strand.
struct TunnelAgent::Live {
  std::shared_ptr<Mux> mux;
  std::shared_ptr<const wire::TlsContext> tls;
  SteadyTime began{};
  bool over = false;
  Status why;
};

TunnelAgent::TunnelAgent(Env& env, std::shared_ptr<client::NodeApi> node, AgentOptions options)
    : env_(env),
      node_(std::move(node)),
      options_(std::move(options)),
      servers_(options_.http.servers),
      tls_(options_.http.tls) {}

void TunnelAgent::SetServers(std::vector<std::string> servers) {
  {
    absl::MutexLock lock(&mutex_);
    servers_ = std::move(servers);
  }
  changed_.Notify();
}

void TunnelAgent::SetTls(std::shared_ptr<const wire::TlsContext> tls) {
  absl::MutexLock lock(&mutex_);
  tls_ = std::move(tls);
  for (const auto& [server, keeper] : keepers_)
    keeper->woken.Notify();
}

Task<> TunnelAgent::Run(CancelToken stop) {
  while (!stop.cancelled()) {
    std::vector<std::shared_ptr<Keeper>> dropped, added;
    {
      absl::MutexLock lock(&mutex_);
      for (auto it = keepers_.begin(); it != keepers_.end();) {
        const bool wanted =
            std::find(servers_.begin(), servers_.end(), it->first) != servers_.end();
        if (!wanted) dropped.push_back(it->second);
        it = wanted ? std::next(it) : keepers_.erase(it);
      }
      for (const std::string& server : servers_) {
        std::shared_ptr<Keeper>& keeper = keepers_[server];
        if (keeper) continue;
        keeper = std::make_shared<Keeper>(server, env_.MakeStrand());
        added.push_back(keeper);
      }
    }
    for (const std::shared_ptr<Keeper>& keeper : added)
      Spawn(keeper->strand, gate_, "tunnel agent", KeepTunnel(keeper));
    for (const std::shared_ptr<Keeper>& keeper : dropped)
      keeper->stop.Cancel();
    co_await changed_.Wait(env_, stop);
  }
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [server, keeper] : keepers_)
      keeper->stop.Cancel();
  }
  co_await gate_.Close(env_);
}

Task<> TunnelAgent::KeepTunnel(std::shared_ptr<Keeper> keeper) {
  const CancelToken stop = keeper->stop.token();
  Duration pause = options_.min_pause;
  std::shared_ptr<Live> live;
  while (!stop.cancelled()) {
    std::shared_ptr<const wire::TlsContext> tls;
    {
      absl::MutexLock lock(&mutex_);
      tls = tls_;
    }
    Status why;
    if (live == nullptr || live->over || live->tls != tls) {
      Result<std::shared_ptr<Live>> next = co_await Open(keeper, tls);
      if (next.ok()) {
        // Only now: a server always has a tunnel to call through.
        if (live != nullptr && !live->over) live->mux->CloseWhenIdle();
        live = std::move(next).value();
        continue;
      }
      why = next.status();
    } else {
      co_await keeper->woken.Wait(env_, stop);
      if (!live->over) continue;
      why = live->why;
      // A tunnel that has held for a while was no failed attempt.
      if (env_.Steady() - live->began > options_.max_pause) pause = options_.min_pause;
    }
    if (stop.cancelled()) break;
    log::Warning("tunnel", "no connection to the server",
                 {{"server", keeper->server}, {"reason", why.message()}});
    const auto jitter = Duration(
        static_cast<int64_t>(RandomBelow(env_, static_cast<uint64_t>(pause.count()) / 4 + 1)));
    co_await SleepFor(env_, pause + jitter, stop);
    pause = std::min(pause * 2, options_.max_pause);
  }
}

Task<Result<std::shared_ptr<TunnelAgent::Live>>> TunnelAgent::Open(
    std::shared_ptr<Keeper> keeper, std::shared_ptr<const wire::TlsContext> tls) {
  client::HttpTransportOptions http = options_.http;
  http.servers = {keeper->server};
  http.tls = tls;
  client::HttpTransport transport(env_, std::move(http));
  client::HttpRequest request("GET", kTunnelPath);
  request.headers = options_.headers;
  request.headers.Add("Connection", "Upgrade");
  request.headers.Add("Upgrade", kTunnelProtocol);
  const CancelToken stop = keeper->stop.token();
  GANTRY_CO_ASSIGN(client::HttpUpgrade upgrade,
                   co_await transport.Upgrade(std::move(request), stop));
  if (options_.on_connected) options_.on_connected(keeper->server, upgrade.headers);
  auto live = std::make_shared<Live>();
  live->tls = tls;
  live->began = env_.Steady();
  Spawn(keeper->strand, gate_, "tunnel", Serve(keeper, live, std::move(upgrade.stream)));
  co_return live;
}

Task<> TunnelAgent::Serve(std::shared_ptr<Keeper> keeper, std::shared_ptr<Live> live,
                          std::unique_ptr<Stream> stream) {
  Gate calls;
  CancelSource over;
  auto on_open = [this, keeper, &calls](std::unique_ptr<Channel> channel, std::string message) {
    Spawn(keeper->strand, calls, "tunnel call",
          ServeCall(env_, node_, std::shared_ptr<Channel>(std::move(channel)), std::move(message)));
  };
  live->mux = std::make_shared<Mux>(env_, keeper->strand, std::move(stream), true,
                                    options_.dead_after, on_open);
  Gate watch;
  Spawn(keeper->strand, watch, "tunnel stop",
        CloseOnCancel(env_, live->mux, keeper->stop.token(), over.token()));
  live->why = co_await live->mux->Run();
  over.Cancel();
  co_await calls.Close(env_);
  co_await watch.Close(env_);
  live->over = true;
  keeper->woken.Notify();
}

}  // namespace gantry::apiserver::tunnel

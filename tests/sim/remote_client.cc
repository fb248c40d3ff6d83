#include "sim/remote_client.h"

#include <google/protobuf/message.h>

#include <utility>

#include "sim/pipe.h"

namespace gantry::sim {
namespace {

using Events = std::vector<client::WatchEvent>;
using WatchPipe = Pipe<Events>;

class RemoteWatcher final : public client::Watcher {
 public:
  RemoteWatcher(std::shared_ptr<WatchPipe> pipe, Process& process)
      : pipe_(std::move(pipe)), process_(process) {
    died_ = process_.death().OnCancel([pipe = pipe_] { pipe->Wakeup(); });
  }
  ~RemoteWatcher() override { pipe_->Close(); }

  Task<Result<Events>> Next(CancelToken cancel) override {
    Result<Events> events = co_await pipe_->Next(pipe_, process_, std::move(cancel));
    if (!events.ok() && process_.alive())
      process_.world().Tell(process_.name() + "'s watch ends: " + events.status().ToString());
    co_return events;
  }

 private:
  std::shared_ptr<WatchPipe> pipe_;
  Process& process_;
  CancelToken::Registration died_;
};

template <class T>
Task<Result<T>> Serve(Server& server, apiserver::UserInfo user,
                      std::function<Task<Result<T>>(client::Client&)> question) {
  std::shared_ptr<Server::Life> life = server.life();
  if (!life || !server.serving()) co_return Unavailable("connection refused");
  co_return co_await question(Server::ClientOf(*life, user));
}

// Opens the watch at the server and has it pumped through the pipe. The answer says that it began.
Task<Result<bool>> BeginWatch(Server& server, client::Client& client, const api::KindInfo& kind,
                              client::ListOptions options, int64_t revision,
                              std::shared_ptr<WatchPipe> pipe) {
  std::shared_ptr<Process> process = server.process();
  Result<std::unique_ptr<client::Watcher>> opened =
      co_await client.Watch(kind, std::move(options), revision);
  if (!opened.ok()) co_return opened.status();
  std::shared_ptr<client::Watcher> watcher = std::move(*opened);
  Spawn(process->executor(), process->gate(), "watch",
        Pump<Events>(std::move(pipe), process, std::move(watcher)));
  co_return true;
}

}  // namespace

RemoteClient::RemoteClient(Network& network, Process& process, HostId host,
                           std::vector<Server*> servers, apiserver::UserInfo user)
    : network_(network),
      process_(process),
      host_(host),
      servers_(std::move(servers)),
      user_(std::move(user)),
      current_(
          static_cast<size_t>(network.world().dice().Below(static_cast<int>(servers_.size())))) {}

// A request that nobody got is tried at every server; one whose outcome is unknown is not.
template <class T>
Task<Result<T>> RemoteClient::Ask(Question<T> question) {
  Result<T> answer = Unavailable("there is no server");
  for (size_t tries = 0; tries < servers_.size(); ++tries) {
    Server& server = *servers_[current_];
    bool refused = false;
    Route route(network_, process_, host_, server.host());
    absl::AnyInvocable<Task<Result<T>>()> serve = [&server, user = user_, question] {
      return Serve<T>(server, user, question);
    };
    answer = co_await Call<T>(route, std::move(serve), &refused);
    if (answer.code() != Code::kUnavailable) break;
    current_ = (current_ + 1) % servers_.size();
    if (!refused) break;
  }
  co_return answer;
}

Task<Result<api::ObjectPtr>> RemoteClient::Get(const api::KindInfo& kind, std::string ns,
                                               std::string name) {
  Question<api::ObjectPtr> question = [&kind, ns, name](client::Client& client) {
    return client.Get(kind, ns, name);
  };
  co_return co_await Ask<api::ObjectPtr>(std::move(question));
}

Task<Result<client::List>> RemoteClient::ListObjects(const api::KindInfo& kind,
                                                     client::ListOptions options) {
  Question<client::List> question = [&kind, options](client::Client& client) {
    return client.ListObjects(kind, options);
  };
  co_return co_await Ask<client::List>(std::move(question));
}

Task<Result<std::unique_ptr<client::Watcher>>> RemoteClient::Watch(const api::KindInfo& kind,
                                                                   client::ListOptions options,
                                                                   int64_t revision) {
  Server& server = *servers_[current_];
  Route route(network_, process_, host_, server.host());
  auto pipe = std::make_shared<WatchPipe>(route);
  network_.Follow(host_, server.host(), pipe);
  absl::AnyInvocable<Task<Result<bool>>()> serve = [&server, user = user_, &kind, options, revision,
                                                    pipe] {
    Question<bool> question = [&server, &kind, options, revision, pipe](client::Client& client) {
      return BeginWatch(server, client, kind, options, revision, pipe);
    };
    return Serve<bool>(server, user, question);
  };
  Result<bool> begun = co_await Call<bool>(route, std::move(serve), nullptr);
  if (process_.alive())
    process_.world().Tell(process_.name() + " watches " + kind.GroupResource() + " from " +
                          std::to_string(revision) + " at " + server.name() + ": " +
                          begun.status().ToString());
  if (!begun.ok()) {
    pipe->Close();
    if (begun.code() == Code::kUnavailable) current_ = (current_ + 1) % servers_.size();
    co_return begun.status();
  }
  co_return std::unique_ptr<client::Watcher>(
      std::make_unique<RemoteWatcher>(std::move(pipe), process_));
}

Task<Result<api::ObjectPtr>> RemoteClient::Create(const api::KindInfo& kind, std::string ns,
                                                  std::string name, std::string subresource,
                                                  std::unique_ptr<google::protobuf::Message> object,
                                                  client::WriteOptions options) {
  std::shared_ptr<const google::protobuf::Message> sent = std::move(object);
  Question<api::ObjectPtr> question = [&kind, ns, name, subresource, sent,
                                       options](client::Client& client) {
    std::unique_ptr<google::protobuf::Message> copy(sent->New());
    copy->CopyFrom(*sent);
    return client.Create(kind, ns, name, subresource, std::move(copy), options);
  };
  co_return co_await Ask<api::ObjectPtr>(std::move(question));
}

Task<Result<api::ObjectPtr>> RemoteClient::Update(const api::KindInfo& kind,
                                                  std::string subresource,
                                                  std::unique_ptr<google::protobuf::Message> object,
                                                  client::WriteOptions options) {
  std::shared_ptr<const google::protobuf::Message> sent = std::move(object);
  Question<api::ObjectPtr> question = [&kind, subresource, sent, options](client::Client& client) {
    std::unique_ptr<google::protobuf::Message> copy(sent->New());
    copy->CopyFrom(*sent);
    return client.Update(kind, subresource, std::move(copy), options);
  };
  co_return co_await Ask<api::ObjectPtr>(std::move(question));
}

Task<Result<api::ObjectPtr>> RemoteClient::Patch(const api::KindInfo& kind, std::string ns,
                                                 std::string name, std::string subresource,
                                                 client::PatchType type, std::string body,
                                                 client::WriteOptions options) {
  Question<api::ObjectPtr> question = [&kind, ns, name, subresource, type, body,
                                       options](client::Client& client) {
    return client.Patch(kind, ns, name, subresource, type, body, options);
  };
  co_return co_await Ask<api::ObjectPtr>(std::move(question));
}

Task<Result<api::ObjectPtr>> RemoteClient::Delete(const api::KindInfo& kind, std::string ns,
                                                  std::string name, client::DeleteOptions options) {
  Question<api::ObjectPtr> question = [&kind, ns, name, options](client::Client& client) {
    return client.Delete(kind, ns, name, options);
  };
  co_return co_await Ask<api::ObjectPtr>(std::move(question));
}

}  // namespace gantry::sim

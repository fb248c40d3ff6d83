#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apiserver/authn/user.h"
#include "client/client.h"
#include "sim/network.h"
#include "sim/server.h"

namespace gantry::sim {

// A client on another machine: speaks to one of the servers until it fails, then to the next.
// Requests and answers may be lost, watches break. Threading: one thread.
class RemoteClient final : public client::Client {
 public:
  // All outlive it.
  RemoteClient(Network& network, Process& process, HostId host, std::vector<Server*> servers,
               apiserver::UserInfo user);

  Task<Result<api::ObjectPtr>> Get(const api::KindInfo& kind, std::string ns,
                                   std::string name) override;
  Task<Result<client::List>> ListObjects(const api::KindInfo& kind,
                                         client::ListOptions options) override;
  Task<Result<std::unique_ptr<client::Watcher>>> Watch(const api::KindInfo& kind,
                                                       client::ListOptions options,
                                                       int64_t revision) override;
  Task<Result<api::ObjectPtr>> Create(const api::KindInfo& kind, std::string ns, std::string name,
                                      std::string subresource,
                                      std::unique_ptr<google::protobuf::Message> object,
                                      client::WriteOptions options) override;
  Task<Result<api::ObjectPtr>> Update(const api::KindInfo& kind, std::string subresource,
                                      std::unique_ptr<google::protobuf::Message> object,
                                      client::WriteOptions options) override;
  Task<Result<api::ObjectPtr>> Patch(const api::KindInfo& kind, std::string ns, std::string name,
                                     std::string subresource, client::PatchType type,
                                     std::string body, client::WriteOptions options) override;
  Task<Result<api::ObjectPtr>> Delete(const api::KindInfo& kind, std::string ns, std::string name,
                                      client::DeleteOptions options) override;

 private:
  template <class T>
  using Question = std::function<Task<Result<T>>(client::Client&)>;
  template <class T>
  Task<Result<T>> Ask(Question<T> question);

  Network& network_;
  Process& process_;
  const HostId host_;
  const std::vector<Server*> servers_;
  const apiserver::UserInfo user_;
  size_t current_ = 0;
};

}  // namespace gantry::sim

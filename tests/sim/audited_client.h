#pragma once

#include <memory>
#include <string>

#include "client/client.h"
#include "sim/process.h"
#include "sim/truth.h"

namespace gantry::sim {

// Passes calls on and holds the answers to the truth: what is acknowledged was committed, and a
// watch (by name, namespace, node, or of everything) is every change of what it selects after its
// beginning, once, in order.
// Answers that come to a dead process count for nothing. Threading: one thread.
class AuditedClient final : public client::Client {
 public:
  // `whose`: for the story. All outlive it.
  AuditedClient(client::Client& real, Process& process, Truth& truth, std::string whose)
      : real_(real), process_(process), truth_(truth), whose_(std::move(whose)) {}

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
  Result<api::ObjectPtr> Acknowledged(const api::KindInfo& kind, const std::string& subresource,
                                      Result<api::ObjectPtr> answer);

  client::Client& real_;
  Process& process_;
  Truth& truth_;
  const std::string whose_;
};

}  // namespace gantry::sim

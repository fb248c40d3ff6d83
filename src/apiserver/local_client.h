#pragma once

#include <memory>

#include "apiserver/authz/authorizer.h"
#include "apiserver/rest/verbs.h"
#include "client/client.h"

namespace gantry::apiserver {

// The API for parts of the same process: authorization, admission and validation as for anybody,
// without HTTP and without copies. Threading: any thread.
class LocalClient : public client::Client {
 public:
  // `user` is whom this client is; both others outlive it.
  LocalClient(Verbs& verbs, Authorizer& authorizer, UserInfo user);

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
  // The row of `kind`, once the user may do `verb` with it.
  Result<const ResourceRow*> Allow(const api::KindInfo& kind, std::string_view verb,
                                   std::string_view ns, std::string_view name,
                                   std::string_view subresource);
  Call MakeCall(const client::WriteOptions& options) const;

  Verbs& verbs_;
  Authorizer& authorizer_;
  const UserInfo user_;
};

}  // namespace gantry::apiserver

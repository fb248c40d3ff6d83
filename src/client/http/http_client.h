#pragma once

#include <memory>

#include "client/client.h"
#include "client/http/transport.h"

namespace gantry::client {

// A Client of an API server in another process, over HTTP with the binary encoding. Kinds without a
// message of their own (custom resources) are refused with kBadRequest. A request that the server
// turned away because it has too much to do (429) is made again after the pause that the server
// asks for.
//
// Delete returns null where the server only says that the object is gone. A watcher ends with
// kUnavailable when the server or the connection ends it; it is given up when a Next is cancelled.
class HttpClient : public Client {
 public:
  HttpClient(Env& env, std::shared_ptr<HttpTransport> transport)
      : env_(env), transport_(std::move(transport)) {}

  Task<Result<api::ObjectPtr>> Get(const api::KindInfo& kind, std::string ns,
                                   std::string name) override;
  Task<Result<List>> ListObjects(const api::KindInfo& kind, ListOptions options) override;
  Task<Result<std::unique_ptr<Watcher>>> Watch(const api::KindInfo& kind, ListOptions options,
                                               int64_t revision) override;
  Task<Result<api::ObjectPtr>> Create(const api::KindInfo& kind, std::string ns, std::string name,
                                      std::string subresource,
                                      std::unique_ptr<google::protobuf::Message> object,
                                      WriteOptions options) override;
  Task<Result<api::ObjectPtr>> Update(const api::KindInfo& kind, std::string subresource,
                                      std::unique_ptr<google::protobuf::Message> object,
                                      WriteOptions options) override;
  Task<Result<api::ObjectPtr>> Patch(const api::KindInfo& kind, std::string ns, std::string name,
                                     std::string subresource, PatchType type, std::string body,
                                     WriteOptions options) override;
  Task<Result<api::ObjectPtr>> Delete(const api::KindInfo& kind, std::string ns, std::string name,
                                      DeleteOptions options) override;

 private:
  Task<Result<std::string>> Call(HttpRequest request);

  Env& env_;
  const std::shared_ptr<HttpTransport> transport_;
};

}  // namespace gantry::client

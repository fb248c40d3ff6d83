#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apiserver/registry/registry.h"
#include "apiserver/rest/codec.h"
#include "client/client.h"

namespace gantry::apiserver {

class ConnectSubresources;
class TokenIssuer;

// What a write made.
struct Outcome {
  api::ObjectPtr object;  // in the version that was asked for; for bindings and evictions the pod
  bool created = false;   // 201
  bool gone = false;      // of a delete: the object is not there any more
  bool status_only = false;  // HTTP answers with a Status, not with the object
};

// The verbs of the API on decoded messages, subresources included: the one path that HTTP requests
// and in-process clients share below authorization. `kind` is the version that the caller speaks.
// Threading: any thread.
class Verbs {
 public:
  // `tokens` may be null: then serviceaccounts/token is not served. All outlive this.
  Verbs(Registry& registry, AdmissionChain& admission, TokenIssuer* tokens);

  Task<Result<api::ObjectPtr>> Get(const ResourceRow& row, std::string ns, std::string name,
                                   std::string subresource, std::string resource_version = {});
  Task<Result<Outcome>> Create(Call call, const ResourceRow& row, std::string ns, std::string name,
                               std::string subresource,
                               std::unique_ptr<google::protobuf::Message> object);
  Task<Result<Outcome>> Update(Call call, const ResourceRow& row, std::string ns, std::string name,
                               std::string subresource,
                               std::unique_ptr<google::protobuf::Message> object, bool may_create);
  Task<Result<Outcome>> Patch(Call call, const ResourceRow& row, std::string ns, std::string name,
                              std::string subresource, client::PatchType type, std::string body,
                              bool force, FieldValidation validation, bool may_create);
  Task<Result<Outcome>> Delete(Call call, const ResourceRow& row, DeleteRequest request);

  Registry& registry() { return registry_; }

 private:
  Registry& registry_;
  AdmissionChain& admission_;
  TokenIssuer* tokens_;
};

}  // namespace gantry::apiserver

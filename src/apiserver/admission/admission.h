#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "apiserver/registry/registry.h"
#include "apiserver/registry/resource_row.h"
#include "base/status.h"

namespace gantry::apiserver {

enum class Operation : uint8_t { kCreate, kUpdate, kDelete, kConnect };

// One write on its way to the store. Objects are of the stored kind, or of the subresource's own
// kind (a Binding, say).
struct AdmissionRequest {
  AdmissionRequest(Operation operation_, const Call& call_, const ResourceRow& row_,
                   std::string_view subresource_, std::string_view ns_, std::string_view name_)
      : operation(operation_),
        call(call_),
        row(row_),
        subresource(subresource_),
        ns(ns_),
        name(name_) {}

  Operation operation;
  const Call& call;
  const ResourceRow& row;
  std::string_view subresource;
  std::string_view ns, name;
  google::protobuf::Message* object = nullptr;     // null on delete
  const google::protobuf::Message* old = nullptr;  // null on create

  bool Is(std::string_view group, std::string_view plural) const {
    return row.kind->group == group && row.kind->plural == plural;
  }
  // A refusal: `pods "x" is forbidden: WHY`.
  Status Forbid(std::string_view why) const;
  void Warn(std::string text) const { call.warnings->push_back(std::move(text)); }
};

// A built-in plug-in. Threading: any thread; reads caches, never waits.
class AdmissionPlugin {
 public:
  virtual ~AdmissionPlugin() = default;
  virtual std::string_view name() const = 0;
  // May change request.object (not on delete).
  virtual Status Mutate(AdmissionRequest&) { return {}; }
  // Sees the object as it would be stored.
  virtual Status Validate(const AdmissionRequest&) { return {}; }
  // Writes that must be part of the object's commit, or a refusal. Asked after Validate, again for
  // each try of the commit, and only where Charges says so.
  virtual bool Charges(const AdmissionRequest&) const { return false; }
  virtual Status Charge(const AdmissionRequest&, std::vector<store::Write>*) { return {}; }
};

// A plug-in that calls out (webhooks): asked after the built-in ones of the same phase.
class RemoteAdmission {
 public:
  virtual ~RemoteAdmission() = default;
  virtual Task<Status> Mutate(AdmissionRequest& request) = 0;
  virtual Task<Status> Validate(const AdmissionRequest& request) = 0;
};

// The plug-ins in their order. Made once at start. Threading: any thread after that.
class AdmissionChain {
 public:
  void Add(std::unique_ptr<AdmissionPlugin> plugin) { plugins_.push_back(std::move(plugin)); }
  void SetRemote(RemoteAdmission* remote) { remote_ = remote; }

  Status Mutate(AdmissionRequest& request) const;
  Status Validate(const AdmissionRequest& request) const;
  bool Charges(const AdmissionRequest& request) const;
  Status Charge(const AdmissionRequest& request, std::vector<store::Write>* writes) const;
  RemoteAdmission* remote() const { return remote_; }

 private:
  std::vector<std::unique_ptr<AdmissionPlugin>> plugins_;
  RemoteAdmission* remote_ = nullptr;
};

}  // namespace gantry::apiserver

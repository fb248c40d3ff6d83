#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/object.h"
#include "apiserver/authn/user.h"
#include "apiserver/registry/resource_row.h"
#include "apiserver/registry/strategy.h"
#include "base/env/env.h"
#include "base/status.h"
#include "store/cache/watch_cache.h"
#include "store/store.h"

namespace gantry::apiserver {

class AdmissionChain;
class Allocators;

// Who writes, and how.
struct Call {
  Call() = default;

  UserInfo user;
  std::string manager;  // of managed fields; empty: nothing is tracked
  bool dry_run = false;
  // Filled with the texts of Warning headers. Never null while a call runs.
  std::shared_ptr<std::vector<std::string>> warnings = std::make_shared<std::vector<std::string>>();
  CancelToken cancel;
};

struct ListRequest {
  ListRequest() = default;

  std::string ns;
  std::string label_selector;
  std::string field_selector;
  int64_t limit = 0;
  std::string continue_token;
  std::string resource_version;
  std::string resource_version_match;
  std::optional<bool> send_initial_events;  // never allowed
};

struct ListResult {
  std::vector<api::ObjectPtr> items;  // of the stored kind
  int64_t revision = 0;
  std::string continue_token;
  std::optional<int64_t> remaining;
};

struct WatchRequest {
  WatchRequest() = default;

  std::string ns;
  std::string label_selector;
  std::string field_selector;
  std::string resource_version;
  std::string resource_version_match;
  std::optional<bool> send_initial_events;
  bool allow_bookmarks = false;
};

// Makes the new state of an object from the live one (null: there is none), of the stored kind. May
// be called several times. It must not keep the pointer.
using Change =
    std::function<Result<std::unique_ptr<google::protobuf::Message>>(const api::Object* live)>;

enum class ChangeKind : uint8_t {
  kUpdate,  // PUT: a resourceVersion in the new state is a precondition, and without one the last
            // writer wins
  kPatch,   // conflicts are tried again, five times, unless the patch names a resourceVersion
  kApply,   // a patch that keeps managed fields itself
};

struct UpdateRequest {
  UpdateRequest() = default;

  std::string ns, name;
  std::string subresource;
  ChangeKind kind = ChangeKind::kUpdate;
  bool may_create = false;  // where nothing is live, the change makes the object
  Change change;
  // In place of api::ValidateUpdate; for subresources with rules of their own.
  std::function<api::FieldErrors(const google::protobuf::Message& object,
                                 const google::protobuf::Message& old)>
      validate;
};

struct UpdateResult {
  api::ObjectPtr object;
  bool created = false;
  bool unchanged = false;  // nothing was written
};

struct DeleteRequest {
  DeleteRequest() = default;

  std::string ns, name;
  std::optional<std::string> uid;
  std::optional<std::string> resource_version;
  std::optional<int64_t> grace_period_seconds;
  std::optional<bool> orphan_dependents;
  std::string propagation_policy;
};

struct DeleteResult {
  api::ObjectPtr object;  // as it was last, or as it stands while something holds it
  bool gone = false;
  bool unchanged = false;  // nothing was written
};

// Typed operations on the stored kinds: what every request ends in, whether it came over HTTP or in
// process. Authorization has happened. Errors are those of the API, worded as kube-apiserver words
// them. Objects are of the row's storage kind throughout. Threading: any thread; calls resume on
// the caller's executor.
class Registry {
 public:
  // All outlive the registry.
  Registry(Env& env, store::Store& store, store::WatchCaches& caches, AdmissionChain& admission,
           Allocators& allocators);

  Task<Result<api::ObjectPtr>> Get(const ResourceRow& row, std::string ns, std::string name,
                                   std::string resource_version = {});
  Task<Result<ListResult>> List(const ResourceRow& row, ListRequest request);
  Task<Result<std::unique_ptr<store::CacheWatch>>> Watch(const ResourceRow& row,
                                                         WatchRequest request, CancelToken cancel);

  // Defaults, managed fields, admission, validation, commit. `object` is of the storage kind.
  Task<Result<api::ObjectPtr>> Create(Call call, const ResourceRow& row, std::string ns,
                                      std::unique_ptr<google::protobuf::Message> object);
  Task<Result<UpdateResult>> Update(Call call, const ResourceRow& row, UpdateRequest request);
  Task<Result<DeleteResult>> Delete(Call call, const ResourceRow& row, DeleteRequest request);
  // The objects that were selected, as they were.
  Task<Result<std::vector<api::ObjectPtr>>> DeleteCollection(Call call, const ResourceRow& row,
                                                             ListRequest list,
                                                             DeleteRequest request);

  // The newest state in the cache, without waiting; null when absent. For admission, authorization
  // and the like.
  api::ObjectPtr Peek(const api::KindInfo& kind, std::string_view ns, std::string_view name) const;
  template <class T>
  api::Ref<T> Peek(std::string_view ns, std::string_view name) const {
    return api::Ref<T>(Peek(api::KindOf<T>(), ns, name));
  }

  Env& env() { return env_; }
  store::Store& store() { return store_; }
  store::WatchCaches& caches() { return caches_; }
  store::WatchCache& CacheOf(const api::KindInfo& kind) { return caches_.For(*kind.storage_kind); }

 private:
  // One try of an update against one live state.
  struct Attempt;
  Task<Status> Reach(std::string_view resource_version);
  // Writes are decided over what the cache holds, which may be behind where other servers write to
  // the same store. What they would do from there is safe, since the commit has preconditions; but
  // when they refuse, or find nothing to do, it is decided once more over all that had been written
  // when the request came.
  template <class Outcome>
  Task<Result<Outcome>> Decide(const Call& call, std::function<Task<Result<Outcome>>()> decide);
  Task<Result<api::ObjectPtr>> CreateFromCache(Call call, const ResourceRow& row, std::string ns,
                                               std::unique_ptr<google::protobuf::Message> object);
  Task<Result<UpdateResult>> UpdateFromCache(Call call, const ResourceRow& row,
                                             UpdateRequest request);
  Task<Result<DeleteResult>> DeleteFromCache(Call call, const ResourceRow& row,
                                             DeleteRequest request);
  Status Prepare(Call& call, const ResourceRow& row, const UpdateRequest& request,
                 const api::Object& live, std::unique_ptr<google::protobuf::Message>* object,
                 Attempt* attempt);
  Task<Result<api::ObjectPtr>> Reload(const api::KindInfo& kind, std::string key);
  Task<Result<ListResult>> ListAt(const ResourceRow& row, ListRequest request, int64_t revision,
                                  std::string after, store::Selection selection);
  Task<Result<store::CommitResult>> Commit(std::vector<store::Write> writes);

  Env& env_;
  store::Store& store_;
  store::WatchCaches& caches_;
  AdmissionChain& admission_;
  Allocators& allocators_;
};

// Statuses as the API words them.
Status NotFound(const api::KindInfo& kind, std::string_view name);
Status AlreadyExists(const api::KindInfo& kind, std::string_view name);
Status Conflict(const api::KindInfo& kind, std::string_view name, std::string_view why);
Status ForbiddenObject(const api::KindInfo& kind, std::string_view name, std::string_view why);

// The selection that label and field selectors of a request mean. kBadRequest when they do not
// parse or name a field that the kind does not have.
Result<store::Selection> SelectionOf(const ResourceRow& row, std::string_view ns,
                                     std::string_view label_selector,
                                     std::string_view field_selector);

}  // namespace gantry::apiserver

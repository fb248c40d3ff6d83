#pragma once

#include <absl/synchronization/mutex.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/env/notifier.h"
#include "client/client.h"
#include "client/typed.h"

namespace gantry::client {

// An API server in a map, for tests of what talks to one: revisions, conflicts, watches, generated
// names, generations, finalizers, grace periods of pods, the status and binding subresources. No
// admission, defaulting, validation or authorization. Patches are merge patches only; lists come in
// one page. Threading: any thread.
class FakeClient : public Client {
 public:
  // A call that came through the Client interface, before it is carried out.
  struct Call {
    std::string verb;  // "get", "list", "watch", "create", "update", "patch", "delete"
    const api::KindInfo* kind = nullptr;
    std::string ns, name, subresource;
  };

  explicit FakeClient(Env& env);
  ~FakeClient() override;

  // The test's own hand: puts the object there as it is, status and deletion timestamp included;
  // uid and creation time are made where they are missing.
  template <class T>
  api::Ref<T> Put(T object) {
    return api::Ref<T>(PutMessage(api::KindOf<T>(), std::make_unique<T>(std::move(object))));
  }
  api::ObjectPtr PutMessage(const api::KindInfo& kind,
                            std::unique_ptr<google::protobuf::Message> message);
  // Removes it, finalizers or not.
  void Remove(const api::KindInfo& kind, std::string_view ns, std::string_view name);
  template <class T>
  void Remove(std::string_view ns, std::string_view name) {
    Remove(api::KindOf<T>(), ns, name);
  }

  // Null when absent.
  api::ObjectPtr Peek(const api::KindInfo& kind, std::string_view ns, std::string_view name) const;
  template <class T>
  api::Ref<T> Peek(std::string_view ns, std::string_view name) const {
    return api::Ref<T>(Peek(api::KindOf<T>(), ns, name));
  }
  // Ordered by namespace and name.
  std::vector<api::ObjectPtr> All(const api::KindInfo& kind) const;
  template <class T>
  std::vector<api::Ref<T>> All() const {
    std::vector<api::Ref<T>> typed;
    for (const api::ObjectPtr& object : All(api::KindOf<T>()))
      typed.emplace_back(object);
    return typed;
  }

  int64_t revision() const;
  // Writes that came through the Client interface so far.
  std::vector<Call> writes() const;
  // Asked before every call; what is not ok is the call's answer.
  void SetFault(std::function<Status(const Call&)> fault);
  // Ends all open watches with `status`.
  void BreakWatches(Status status);
  // Watches from `revision` or before expire.
  void Compact(int64_t revision);

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
  class FakeWatcher;
  struct Selection;
  struct Change {
    const api::KindInfo* kind = nullptr;
    int64_t revision = 0;
    api::ObjectPtr before, after;
  };
  using Key = std::pair<std::string, std::string>;
  using Objects = std::map<Key, api::ObjectPtr>;

  Status Admit(Call call) ABSL_LOCKS_EXCLUDED(mutex_);
  api::ObjectPtr Find(const api::KindInfo& kind, std::string_view ns, std::string_view name) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  api::ObjectPtr Store(const api::KindInfo& kind,
                       std::unique_ptr<google::protobuf::Message> message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  api::ObjectPtr Erase(const api::ObjectPtr& object) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<api::ObjectPtr> Replace(const api::KindInfo& kind, const std::string& subresource,
                                 std::unique_ptr<google::protobuf::Message> message, bool dry_run)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<api::ObjectPtr> Bind(const std::string& ns, const std::string& name,
                              const google::protobuf::Message& binding)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<api::ObjectPtr> Drop(const api::KindInfo& kind, const std::string& ns,
                              const std::string& name, const DeleteOptions& options)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Env& env_;
  mutable absl::Mutex mutex_;
  int64_t revision_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t compacted_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<const api::KindInfo*, Objects> objects_ ABSL_GUARDED_BY(mutex_);
  std::vector<Change> changes_ ABSL_GUARDED_BY(mutex_);
  std::vector<FakeWatcher*> watchers_ ABSL_GUARDED_BY(mutex_);
  std::vector<Call> writes_ ABSL_GUARDED_BY(mutex_);
  std::function<Status(const Call&)> fault_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gantry::client

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/object.h"
#include "base/env/cancel.h"
#include "base/env/env.h"
#include "base/status.h"

namespace gantry::client {

struct ListOptions {
  std::string ns;              // empty: all namespaces
  std::string label_selector;  // as in the API's query
  std::string field_selector;
  int64_t limit = 0;
  std::string continue_token;
};

struct List {
  std::vector<api::ObjectPtr> items;
  int64_t revision = 0;
  std::string continue_token;
};

struct WriteOptions {
  WriteOptions() = default;
  std::string field_manager;
  bool dry_run = false;
  bool force = false;  // server-side apply
};

struct DeleteOptions {
  DeleteOptions() = default;
  std::string uid;               // precondition; empty: none
  int64_t resource_version = 0;  // precondition; 0: none
  std::optional<int64_t> grace_period_seconds;
  std::string propagation_policy;  // "", "Background", "Foreground", "Orphan"
};

enum class PatchType : uint8_t { kJson, kMerge, kStrategicMerge, kApply };

struct WatchEvent {
  enum class Type : uint8_t { kAdded, kModified, kDeleted, kBookmark };
  Type type = Type::kAdded;
  api::ObjectPtr object;  // null for a bookmark
  int64_t revision = 0;
};

class Watcher {
 public:
  virtual ~Watcher() = default;
  // At least one event, in order of revision. kExpired: list again. kUnavailable: connection lost.
  virtual Task<Result<std::vector<WatchEvent>>> Next(CancelToken cancel) = 0;
  // Asks for an event, if only a bookmark, once everything up to `revision` has come. A hint: a
  // server that cannot be asked sends bookmarks at its own pace. Any thread.
  virtual void WantRevision(int64_t revision) {}
};

// The Kubernetes API as controllers, the scheduler, node and net see it. Two implementations: in
// process (apiserver/local_client.h), which passes through the same authorization, admission and
// validation as any client but without HTTP and copies; and over HTTP (client/http/http_client.h).
// One contract suite runs against both. Errors are those of the API (Status with reason, message,
// details). Threading: any thread; calls resume on the caller's executor.
class Client {
 public:
  virtual ~Client() = default;

  virtual Task<Result<api::ObjectPtr>> Get(const api::KindInfo& kind, std::string ns,
                                           std::string name) = 0;
  virtual Task<Result<List>> ListObjects(const api::KindInfo& kind, ListOptions options) = 0;
  // Changes after `revision`.
  virtual Task<Result<std::unique_ptr<Watcher>>> Watch(const api::KindInfo& kind,
                                                       ListOptions options, int64_t revision) = 0;

  // `subresource` is "" or as in the path: "status", "scale", "binding", "eviction", "token",
  // "approval". What is written and what comes back may then differ from `kind` ("scale" and
  // "token" do).
  virtual Task<Result<api::ObjectPtr>> Create(const api::KindInfo& kind, std::string ns,
                                              std::string name, std::string subresource,
                                              std::unique_ptr<google::protobuf::Message> object,
                                              WriteOptions options) = 0;
  // metadata.resourceVersion, when set, is a precondition.
  virtual Task<Result<api::ObjectPtr>> Update(const api::KindInfo& kind, std::string subresource,
                                              std::unique_ptr<google::protobuf::Message> object,
                                              WriteOptions options) = 0;
  virtual Task<Result<api::ObjectPtr>> Patch(const api::KindInfo& kind, std::string ns,
                                             std::string name, std::string subresource,
                                             PatchType type, std::string body,
                                             WriteOptions options) = 0;
  // The last state of the object, or what it is while finalizers or a grace period hold it.
  virtual Task<Result<api::ObjectPtr>> Delete(const api::KindInfo& kind, std::string ns,
                                              std::string name, DeleteOptions options) = 0;
};

}  // namespace gantry::client

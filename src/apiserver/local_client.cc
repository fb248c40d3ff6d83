#include "apiserver/local_client.h"

#include <algorithm>

#include "apiserver/registry/messages.h"
#include "apiserver/request_info.h"
#include "apiserver/subresources/views.h"

namespace gantry::apiserver {
namespace {

// A watch of the cache as clients see it.
class LocalWatcher : public client::Watcher {
 public:
  LocalWatcher(const api::KindInfo& kind, std::unique_ptr<store::CacheWatch> watch)
      : kind_(kind), watch_(std::move(watch)) {}

  Task<Result<std::vector<client::WatchEvent>>> Next(CancelToken cancel) override {
    std::vector<client::WatchEvent> events;
    while (events.empty()) {
      Result<std::vector<store::WatchItem>> items = co_await watch_->Next(cancel, std::nullopt);
      if (!items.ok()) co_return items.status();
      for (store::WatchItem& item : *items) {
        if (item.type == store::WatchItem::Type::kInitialEnd) continue;
        client::WatchEvent event;
        event.type = TypeOf(item.type);
        event.object = InVersion(kind_, std::move(item.object));
        event.revision = item.revision;
        events.push_back(std::move(event));
      }
      if (const int64_t revision = watch_->revision(); events.empty() && revision > told_) {
        client::WatchEvent event;
        event.type = client::WatchEvent::Type::kBookmark;
        event.revision = revision;
        events.push_back(std::move(event));
      }
    }
    told_ = std::max(told_, events.back().revision);
    co_return events;
  }

  void WantRevision(int64_t revision) override { watch_->WantRevision(revision); }

 private:
  static client::WatchEvent::Type TypeOf(store::WatchItem::Type type) {
    using From = store::WatchItem::Type;
    using To = client::WatchEvent::Type;
    return type == From::kAdded      ? To::kAdded
           : type == From::kModified ? To::kModified
                                     : To::kDeleted;
  }

  const api::KindInfo& kind_;
  std::unique_ptr<store::CacheWatch> watch_;
  int64_t told_ = 0;
};

}  // namespace

LocalClient::LocalClient(Verbs& verbs, Authorizer& authorizer, UserInfo user)
    : verbs_(verbs), authorizer_(authorizer), user_(std::move(user)) {}

Result<const ResourceRow*> LocalClient::Allow(const api::KindInfo& kind, std::string_view verb,
                                              std::string_view ns, std::string_view name,
                                              std::string_view subresource) {
  const ResourceRow* row = FindResourceRow(kind);
  if (row == nullptr)
    return Status(Code::kNotFound, "the server could not find the requested resource");
  if (!subresource.empty() && row->FindSub(subresource) == nullptr) {
    return Status(Code::kNotFound, "the server could not find the requested resource");
  }
  Access access;
  access.is_resource = true;
  access.verb = std::string(verb);
  access.group = std::string(kind.group);
  access.version = std::string(kind.version);
  access.resource = std::string(kind.plural);
  access.subresource = std::string(subresource);
  access.ns = std::string(ns);
  access.name = std::string(name);
  Decision decision = authorizer_.Authorize(user_, access);
  if (!decision.allowed()) return Forbidden(user_, access, decision.reason);
  return row;
}

Call LocalClient::MakeCall(const client::WriteOptions& options) const {
  Call call;
  call.user = user_;
  call.manager = options.field_manager.empty() ? user_.name.substr(user_.name.rfind(':') + 1)
                                               : options.field_manager;
  call.dry_run = options.dry_run;
  return call;
}

Task<Result<api::ObjectPtr>> LocalClient::Get(const api::KindInfo& kind, std::string ns,
                                              std::string name) {
  Result<const ResourceRow*> row = Allow(kind, "get", ns, name, "");
  if (!row.ok()) co_return row.status();
  co_return co_await verbs_.Get(**row, std::move(ns), std::move(name), std::string());
}

Task<Result<client::List>> LocalClient::ListObjects(const api::KindInfo& kind,
                                                    client::ListOptions options) {
  Result<const ResourceRow*> row =
      Allow(kind, "list", options.ns, ExactName(options.field_selector), "");
  if (!row.ok()) co_return row.status();
  ListRequest request;
  request.ns = std::move(options.ns);
  request.label_selector = std::move(options.label_selector);
  request.field_selector = std::move(options.field_selector);
  request.limit = options.limit;
  request.continue_token = std::move(options.continue_token);
  Result<ListResult> listed = co_await verbs_.registry().List(**row, std::move(request));
  if (!listed.ok()) co_return listed.status();
  client::List list;
  list.items = std::move(listed->items);
  for (api::ObjectPtr& object : list.items)
    object = InVersion(kind, std::move(object));
  list.revision = listed->revision;
  list.continue_token = std::move(listed->continue_token);
  co_return list;
}

Task<Result<std::unique_ptr<client::Watcher>>> LocalClient::Watch(const api::KindInfo& kind,
                                                                  client::ListOptions options,
                                                                  int64_t revision) {
  Result<const ResourceRow*> row =
      Allow(kind, "watch", options.ns, ExactName(options.field_selector), "");
  if (!row.ok()) co_return row.status();
  Result<store::Selection> selection =
      SelectionOf(**row, options.ns, options.label_selector, options.field_selector);
  if (!selection.ok()) co_return selection.status();
  Result<std::unique_ptr<store::CacheWatch>> watch =
      verbs_.registry().CacheOf(kind).Watch(std::move(*selection), revision, false);
  if (!watch.ok()) co_return watch.status();
  std::unique_ptr<client::Watcher> watcher =
      std::make_unique<LocalWatcher>(kind, std::move(*watch));
  co_return watcher;
}

Task<Result<api::ObjectPtr>> LocalClient::Create(const api::KindInfo& kind, std::string ns,
                                                 std::string name, std::string subresource,
                                                 std::unique_ptr<google::protobuf::Message> object,
                                                 client::WriteOptions options) {
  Result<const ResourceRow*> row =
      Allow(kind, "create", ns, subresource.empty() ? std::string() : name, subresource);
  if (!row.ok()) co_return row.status();
  Call call = MakeCall(options);
  Result<Outcome> made =
      co_await verbs_.Create(std::move(call), **row, std::move(ns), std::move(name),
                             std::move(subresource), std::move(object));
  if (!made.ok()) co_return made.status();
  co_return std::move(made->object);
}

Task<Result<api::ObjectPtr>> LocalClient::Update(const api::KindInfo& kind, std::string subresource,
                                                 std::unique_ptr<google::protobuf::Message> object,
                                                 client::WriteOptions options) {
  std::string ns = MetaOf(*object).namespace_(), name = MetaOf(*object).name();
  Result<const ResourceRow*> row = Allow(kind, "update", ns, name, subresource);
  if (!row.ok()) co_return row.status();
  Call call = MakeCall(options);
  Result<Outcome> made =
      co_await verbs_.Update(std::move(call), **row, std::move(ns), std::move(name),
                             std::move(subresource), std::move(object), true);
  if (!made.ok()) co_return made.status();
  co_return std::move(made->object);
}

Task<Result<api::ObjectPtr>> LocalClient::Patch(const api::KindInfo& kind, std::string ns,
                                                std::string name, std::string subresource,
                                                client::PatchType type, std::string body,
                                                client::WriteOptions options) {
  Result<const ResourceRow*> row = Allow(kind, "patch", ns, name, subresource);
  if (!row.ok()) co_return row.status();
  Call call = MakeCall(options);
  Result<Outcome> made = co_await verbs_.Patch(
      std::move(call), **row, std::move(ns), std::move(name), std::move(subresource), type,
      std::move(body), options.force, FieldValidation::kIgnore, true);
  if (!made.ok()) co_return made.status();
  co_return std::move(made->object);
}

Task<Result<api::ObjectPtr>> LocalClient::Delete(const api::KindInfo& kind, std::string ns,
                                                 std::string name, client::DeleteOptions options) {
  Result<const ResourceRow*> row = Allow(kind, "delete", ns, name, "");
  if (!row.ok()) co_return row.status();
  Call call = MakeCall(client::WriteOptions());
  DeleteRequest request;
  request.ns = std::move(ns);
  request.name = std::move(name);
  if (!options.uid.empty()) request.uid = std::move(options.uid);
  if (options.resource_version != 0)
    request.resource_version = std::to_string(options.resource_version);
  request.grace_period_seconds = options.grace_period_seconds;
  request.propagation_policy = std::move(options.propagation_policy);
  Result<Outcome> gone = co_await verbs_.Delete(std::move(call), **row, std::move(request));
  if (!gone.ok()) co_return gone.status();
  co_return std::move(gone->object);
}

}  // namespace gantry::apiserver

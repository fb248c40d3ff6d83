#include "sim/audited_client.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "api/core/v1/pod.pb.h"
#include "api/selector.h"

namespace gantry::sim {
namespace {

// Of the fields by which watches are judged.
std::string ValueOf(const api::Object& object, std::string_view field) {
  if (field == "spec.nodeName") return object.As<api::core::v1::Pod>().spec().node_name();
  return field == "metadata.name" ? object.name() : object.ns();
}

bool CanJudge(const api::KindInfo& kind, const client::ListOptions& options,
              const api::FieldSelector& fields) {
  return options.label_selector.empty() &&
         std::all_of(fields.requirements().begin(), fields.requirements().end(),
                     [&kind](const api::FieldSelector::Requirement& requirement) {
                       return requirement.field == "metadata.name" ||
                              requirement.field == "metadata.namespace" ||
                              (requirement.field == "spec.nodeName" &&
                               &kind == &api::KindOf<api::core::v1::Pod>());
                     });
}

// Walks along the facts of a kind beside a watcher.
class AuditedWatcher final : public client::Watcher {
 public:
  AuditedWatcher(std::unique_ptr<client::Watcher> real, const api::KindInfo& kind, std::string ns,
                 api::FieldSelector fields, int64_t revision, Process& process, Truth& truth,
                 std::string whose)
      : real_(std::move(real)),
        kind_(*kind.storage_kind),
        prefix_(api::StoragePrefix(kind_, ns)),
        fields_(std::move(fields)),
        process_(process),
        truth_(truth),
        whose_(std::move(whose)) {
    const std::vector<Fact>& facts = truth_.Of(kind_);
    next_ = static_cast<size_t>(
        std::upper_bound(facts.begin(), facts.end(), revision,
                         [](int64_t at, const Fact& fact) { return at < fact.revision; }) -
        facts.begin());
    Skip();
  }

  Task<Result<std::vector<client::WatchEvent>>> Next(CancelToken cancel) override {
    Result<std::vector<client::WatchEvent>> events = co_await real_->Next(std::move(cancel));
    if (events.ok() && process_.alive()) {
      for (const client::WatchEvent& event : *events)
        Compare(event);
    }
    co_return events;
  }

  void WantRevision(int64_t revision) override { real_->WantRevision(revision); }

 private:
  using Type = client::WatchEvent::Type;

  const Fact* Expected() const {
    const std::vector<Fact>& facts = truth_.Of(kind_);
    return next_ < facts.size() ? &facts[next_] : nullptr;
  }
  bool Selects(const api::ObjectPtr& object) const {
    return object &&
           fields_.Matches([&object](std::string_view field) { return ValueOf(*object, field); });
  }
  // What the watch has to say of it; nothing of what it does not select.
  std::optional<Type> TypeOf(const Fact& fact) const {
    const bool was = Selects(fact.before), is = Selects(fact.after);
    if (is) return was ? Type::kModified : Type::kAdded;
    return was ? std::optional(Type::kDeleted) : std::nullopt;
  }
  // To the next fact that is watched.
  void Skip() {
    while (Expected() != nullptr && (!Expected()->key.starts_with(prefix_) || !TypeOf(*Expected())))
      ++next_;
  }

  void Compare(const client::WatchEvent& event) {
    Skip();
    const Fact* fact = Expected();
    if (event.type == Type::kBookmark) {
      if (fact != nullptr && fact->revision <= event.revision)
        Complain("a bookmark at " + std::to_string(event.revision), fact);
      return;
    }
    const std::string key = event.object->Key();
    if (fact == nullptr || fact->revision != event.revision || fact->key != key ||
        TypeOf(*fact) != event.type) {
      Complain(key + " at " + std::to_string(event.revision), fact);
      return;
    }
    ++next_;
  }

  void Complain(const std::string& seen, const Fact* fact) {
    process_.world().Breach(whose_ + " watches " + kind_.GroupResource() + " and sees " + seen +
                            " instead of " +
                            (fact ? fact->key + " at " + std::to_string(fact->revision) +
                                        (fact->deleted ? " (deleted)" : "")
                                  : "nothing"));
  }

  std::unique_ptr<client::Watcher> real_;
  const api::KindInfo& kind_;
  const std::string prefix_;
  const api::FieldSelector fields_;
  Process& process_;
  Truth& truth_;
  const std::string whose_;
  size_t next_ = 0;  // of the kind's facts
};

}  // namespace

Result<api::ObjectPtr> AuditedClient::Acknowledged(const api::KindInfo& kind,
                                                   const std::string& subresource,
                                                   Result<api::ObjectPtr> answer) {
  if (!answer.ok() || !process_.alive() || !subresource.empty()) return answer;
  const api::Object& object = **answer;
  if (&object.kind() != kind.storage_kind) return answer;
  if (!truth_.Has(object.kind(), object.Key(), object.revision())) {
    process_.world().Breach(whose_ + " was told that " + object.Key() + " is at revision " +
                            std::to_string(object.revision()) + ", which was never committed");
  }
  return answer;
}

Task<Result<api::ObjectPtr>> AuditedClient::Get(const api::KindInfo& kind, std::string ns,
                                                std::string name) {
  co_return co_await real_.Get(kind, std::move(ns), std::move(name));
}

Task<Result<client::List>> AuditedClient::ListObjects(const api::KindInfo& kind,
                                                      client::ListOptions options) {
  co_return co_await real_.ListObjects(kind, std::move(options));
}

Task<Result<std::unique_ptr<client::Watcher>>> AuditedClient::Watch(const api::KindInfo& kind,
                                                                    client::ListOptions options,
                                                                    int64_t revision) {
  const Result<api::FieldSelector> fields = api::FieldSelector::Parse(options.field_selector);
  const bool judged = fields.ok() && CanJudge(kind, options, *fields);
  std::string ns = options.ns;
  Result<std::unique_ptr<client::Watcher>> watcher =
      co_await real_.Watch(kind, std::move(options), revision);
  if (!watcher.ok() || !judged) co_return watcher;
  co_return std::unique_ptr<client::Watcher>(std::make_unique<AuditedWatcher>(
      std::move(*watcher), kind, std::move(ns), *fields, revision, process_, truth_, whose_));
}

Task<Result<api::ObjectPtr>> AuditedClient::Create(
    const api::KindInfo& kind, std::string ns, std::string name, std::string subresource,
    std::unique_ptr<google::protobuf::Message> object, client::WriteOptions options) {
  const std::string sub = subresource;
  Result<api::ObjectPtr> answer =
      co_await real_.Create(kind, std::move(ns), std::move(name), std::move(subresource),
                            std::move(object), std::move(options));
  co_return Acknowledged(kind, sub, std::move(answer));
}

Task<Result<api::ObjectPtr>> AuditedClient::Update(
    const api::KindInfo& kind, std::string subresource,
    std::unique_ptr<google::protobuf::Message> object, client::WriteOptions options) {
  const std::string sub = subresource;
  Result<api::ObjectPtr> answer =
      co_await real_.Update(kind, std::move(subresource), std::move(object), std::move(options));
  co_return Acknowledged(kind, sub == "status" ? "" : sub, std::move(answer));
}

Task<Result<api::ObjectPtr>> AuditedClient::Patch(const api::KindInfo& kind, std::string ns,
                                                  std::string name, std::string subresource,
                                                  client::PatchType type, std::string body,
                                                  client::WriteOptions options) {
  const std::string sub = subresource;
  Result<api::ObjectPtr> answer =
      co_await real_.Patch(kind, std::move(ns), std::move(name), std::move(subresource), type,
                           std::move(body), std::move(options));
  co_return Acknowledged(kind, sub == "status" ? "" : sub, std::move(answer));
}

Task<Result<api::ObjectPtr>> AuditedClient::Delete(const api::KindInfo& kind, std::string ns,
                                                   std::string name,
                                                   client::DeleteOptions options) {
  Result<api::ObjectPtr> answer =
      co_await real_.Delete(kind, std::move(ns), std::move(name), std::move(options));
  co_return Acknowledged(kind, "", std::move(answer));
}

}  // namespace gantry::sim

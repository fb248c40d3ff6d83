#include "node/objects.h"

#include "base/env/notifier.h"
#include "base/log.h"
#include "node/os/run_on.h"

namespace gantry::node {

using client::ListOptions;
using client::WatchEvent;

struct WatchedObjects::Entry {
  const api::KindInfo* kind = nullptr;
  std::string ns, name;
  std::set<std::string> users;
  api::ObjectPtr object;
  Status error;
  bool known = false;
  CancelSource stop;
  std::vector<std::shared_ptr<Notifier>> waiting;
};

WatchedObjects::WatchedObjects(Env& env, client::Client& client, Executor strand,
                               std::function<void(const std::string&)> changed)
    : env_(env), client_(client), strand_(std::move(strand)), changed_(std::move(changed)) {}
WatchedObjects::~WatchedObjects() = default;

Task<Result<api::ObjectPtr>> WatchedObjects::Get(const api::KindInfo& kind, std::string ns,
                                                 std::string name, std::string user) {
  if (stopped_) co_return Canceled("the node agent is stopping");
  std::shared_ptr<Entry>& slot = entries_[std::string(kind.plural) + "/" + ns + "/" + name];
  if (!slot) {
    slot = std::make_shared<Entry>();
    slot->kind = &kind;
    slot->ns = ns;
    slot->name = name;
    Spawn(strand_, gate_, "node object watch", Follow(slot));
  }
  std::shared_ptr<Entry> entry = slot;
  entry->users.insert(std::move(user));
  while (!entry->known) {
    if (!entry->error.ok()) co_return entry->error;
    auto notifier = std::make_shared<Notifier>();
    entry->waiting.push_back(notifier);
    co_await notifier->Wait(env_, entry->stop.token());
    if (entry->stop.token().cancelled()) co_return Canceled("the node agent is stopping");
  }
  co_return entry->object;
}

void WatchedObjects::Release(const std::string& user) {
  for (auto it = entries_.begin(); it != entries_.end();) {
    it->second->users.erase(user);
    if (it->second->users.empty()) {
      it->second->stop.Cancel();
      it = entries_.erase(it);
    } else {
      ++it;
    }
  }
}

Task<> WatchedObjects::Follow(std::shared_ptr<Entry> entry) {
  CancelToken cancel = entry->stop.token();
  Duration pause = std::chrono::milliseconds(200);
  auto publish = [this, &entry](api::ObjectPtr object) {
    bool first = !entry->known;
    bool same = entry->object == object ||
                (entry->object && object && entry->object->revision() == object->revision());
    entry->object = std::move(object);
    entry->known = true;
    entry->error = Status::Ok();
    for (auto& notifier : std::exchange(entry->waiting, {}))
      notifier->Notify();
    if (first || same) return;
    for (const std::string& user : entry->users)
      changed_(user);
  };
  while (!cancel.cancelled()) {
    ListOptions options;
    options.ns = entry->ns;
    options.field_selector = "metadata.name=" + entry->name;
    Result<client::List> list = co_await client_.ListObjects(*entry->kind, options);
    Status failed = list.status();
    if (list.ok()) {
      publish(list->items.empty() ? nullptr : list->items.front());
      Result<std::unique_ptr<client::Watcher>> watcher =
          co_await client_.Watch(*entry->kind, options, list->revision);
      failed = watcher.status();
      while (watcher.ok() && !cancel.cancelled()) {
        Result<std::vector<WatchEvent>> events = co_await (*watcher)->Next(cancel);
        if (!events.ok()) {
          failed = events.status();
          break;
        }
        pause = std::chrono::milliseconds(200);
        for (WatchEvent& event : *events) {
          if (event.type == WatchEvent::Type::kBookmark) continue;
          publish(event.type == WatchEvent::Type::kDeleted ? nullptr : event.object);
        }
      }
    }
    if (cancel.cancelled()) break;
    if (failed.code() == Code::kExpired) continue;
    if (!entry->known) {
      // Those who wait hear why; they ask again.
      entry->error = failed;
      for (auto& notifier : std::exchange(entry->waiting, {}))
        notifier->Notify();
    }
    co_await SleepFor(env_, pause, cancel);
    pause = std::min<Duration>(pause * 2, std::chrono::seconds(30));
    entry->error = Status::Ok();
  }
  for (auto& notifier : std::exchange(entry->waiting, {}))
    notifier->Notify();
}

Task<> WatchedObjects::Stop() {
  auto cancel_all = [this] {
    stopped_ = true;
    for (auto& [key, entry] : entries_)
      entry->stop.Cancel();
    return true;
  };
  co_await RunOn(strand_, std::move(cancel_all));
  co_await gate_.Close(env_);
}

}  // namespace gantry::node

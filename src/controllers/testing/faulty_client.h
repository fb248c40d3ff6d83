#pragma once

#include <google/protobuf/message.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/env/testing/dice.h"
#include "client/client.h"

namespace gantry::controllers {

// For simulations: passes calls on, or fails them by chance: before they have an effect, or
// (`lose`) after it. Threading: one thread.
class FaultyClient : public client::Client {
 public:
  FaultyClient(client::Client& real, Dice& dice) : real_(real), dice_(dice) {}

  int fail_percent = 0, conflict_percent = 0, lose_percent = 0;
  bool down = false;
  int calls_until_down = -1;           // -1: never
  std::function<void()> before_write;  // sees the world as it is

  Task<Result<api::ObjectPtr>> Get(const api::KindInfo& kind, std::string ns,
                                   std::string name) override {
    GANTRY_CO_TRY(Before(false));
    co_return co_await real_.Get(kind, std::move(ns), std::move(name));
  }
  Task<Result<client::List>> ListObjects(const api::KindInfo& kind,
                                         client::ListOptions options) override {
    GANTRY_CO_TRY(Before(false));
    co_return co_await real_.ListObjects(kind, std::move(options));
  }
  Task<Result<std::unique_ptr<client::Watcher>>> Watch(const api::KindInfo& kind,
                                                       client::ListOptions options,
                                                       int64_t revision) override {
    GANTRY_CO_TRY(Before(false));
    co_return co_await real_.Watch(kind, std::move(options), revision);
  }
  Task<Result<api::ObjectPtr>> Create(const api::KindInfo& kind, std::string ns, std::string name,
                                      std::string subresource,
                                      std::unique_ptr<google::protobuf::Message> object,
                                      client::WriteOptions options) override {
    GANTRY_CO_TRY(Before(false, &kind));
    Result<api::ObjectPtr> result =
        co_await real_.Create(kind, std::move(ns), std::move(name), std::move(subresource),
                              std::move(object), std::move(options));
    co_return After(std::move(result));
  }
  Task<Result<api::ObjectPtr>> Update(const api::KindInfo& kind, std::string subresource,
                                      std::unique_ptr<google::protobuf::Message> object,
                                      client::WriteOptions options) override {
    GANTRY_CO_TRY(Before(true, &kind));
    Result<api::ObjectPtr> result =
        co_await real_.Update(kind, std::move(subresource), std::move(object), std::move(options));
    co_return After(std::move(result));
  }
  Task<Result<api::ObjectPtr>> Patch(const api::KindInfo& kind, std::string ns, std::string name,
                                     std::string subresource, client::PatchType type,
                                     std::string body, client::WriteOptions options) override {
    GANTRY_CO_TRY(Before(true, &kind));
    Result<api::ObjectPtr> result =
        co_await real_.Patch(kind, std::move(ns), std::move(name), std::move(subresource), type,
                             std::move(body), std::move(options));
    co_return After(std::move(result));
  }
  Task<Result<api::ObjectPtr>> Delete(const api::KindInfo& kind, std::string ns, std::string name,
                                      client::DeleteOptions options) override {
    GANTRY_CO_TRY(Before(false, &kind));
    Result<api::ObjectPtr> result =
        co_await real_.Delete(kind, std::move(ns), std::move(name), std::move(options));
    co_return After(std::move(result));
  }

 private:
  Status Before(bool may_conflict, const api::KindInfo* written = nullptr) {
    if (calls_until_down > 0 && --calls_until_down == 0) down = true;
    if (down) return Status(Code::kUnavailable, "the process is gone");
    if (written && written->kind != "Event" && before_write) before_write();
    if (dice_.Percent(fail_percent)) return Status(Code::kUnavailable, "connection lost");
    if (may_conflict && dice_.Percent(conflict_percent)) return Status(Code::kConflict, "changed");
    return {};
  }
  Result<api::ObjectPtr> After(Result<api::ObjectPtr> result) {
    if (dice_.Percent(lose_percent)) return Status(Code::kUnavailable, "answer lost");
    return result;
  }

  client::Client& real_;
  Dice& dice_;
};

}  // namespace gantry::controllers

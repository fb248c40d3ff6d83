#pragma once

#include <memory>
#include <string>
#include <utility>

#include "client/client.h"

namespace gantry::client {

// The Client's verbs for one message type. `object` is taken by value: what is written is the
// caller's own copy.

template <class T>
Task<Result<api::Ref<T>>> Get(Client& client, std::string ns, std::string name) {
  Result<api::ObjectPtr> got =
      co_await client.Get(api::KindOf<T>(), std::move(ns), std::move(name));
  if (!got.ok()) co_return got.status();
  co_return api::Ref<T>(std::move(got).value());
}

template <class T>
Task<Result<api::Ref<T>>> Create(Client& client, T object, WriteOptions options = WriteOptions()) {
  std::string ns = object.metadata().namespace_(), name = object.metadata().name();
  std::unique_ptr<google::protobuf::Message> message = std::make_unique<T>(std::move(object));
  Result<api::ObjectPtr> made =
      co_await client.Create(api::KindOf<T>(), std::move(ns), std::move(name), std::string(),
                             std::move(message), std::move(options));
  if (!made.ok()) co_return made.status();
  co_return api::Ref<T>(std::move(made).value());
}

template <class T>
Task<Result<api::Ref<T>>> Update(Client& client, T object, std::string subresource = "",
                                 WriteOptions options = WriteOptions()) {
  std::unique_ptr<google::protobuf::Message> message = std::make_unique<T>(std::move(object));
  Result<api::ObjectPtr> made = co_await client.Update(api::KindOf<T>(), std::move(subresource),
                                                       std::move(message), std::move(options));
  if (!made.ok()) co_return made.status();
  co_return api::Ref<T>(std::move(made).value());
}

template <class T>
Task<Result<api::Ref<T>>> UpdateStatus(Client& client, T object) {
  co_return co_await Update<T>(client, std::move(object), "status");
}

template <class T>
Task<Status> Delete(Client& client, std::string ns, std::string name,
                    DeleteOptions options = DeleteOptions()) {
  Result<api::ObjectPtr> gone =
      co_await client.Delete(api::KindOf<T>(), std::move(ns), std::move(name), std::move(options));
  co_return gone.status();
}

}  // namespace gantry::client

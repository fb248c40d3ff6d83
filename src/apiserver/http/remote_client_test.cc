// The Client over HTTP against a whole API server: listener, certificates, registry, memory store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/namespace.pb.h"
#include "apiserver/api_server.h"
#include "apiserver/http/listener.h"
#include "apiserver/pki/certificates.h"
#include "base/env/real/real_env.h"
#include "client/http/http_client.h"
#include "client/typed.h"
#include "store/memory/memory_store.h"

namespace gantry::client {
namespace {

using api::core::v1::ConfigMap;
using apiserver::ApiServer;
using apiserver::Listener;
namespace pki = apiserver::pki;

class RemoteClient : public ::testing::Test {
 protected:
  void SetUp() override {
    const pki::Authority authority = pki::Authority::Create(env_, "ca").value();
    const pki::KeyPair server =
        authority.IssueServer(env_, "server", {"127.0.0.1"}, std::chrono::hours(1)).value();
    const pki::KeyPair admin =
        authority.IssueClient(env_, "admin", {"system:masters"}, std::chrono::hours(1)).value();
    store_ = store::MakeMemoryStore(env_);
    apiserver::ApiServerOptions options;
    options.ca_pem = authority.certificate_pem();
    options.service_account_keys.push_back(pki::Key::Generate().value());
    api_ = std::make_unique<ApiServer>(env_, *store_, std::move(options));
    env_.RunToEnd(Start(*api_));

    wire::TlsServerOptions server_tls;
    server_tls.certificate_pem = server.certificate_pem;
    server_tls.private_key_pem = server.private_key_pem;
    server_tls.client_ca_pem = authority.certificate_pem();
    apiserver::ListenerOptions listen;
    listen.tls = wire::TlsContext::Server(server_tls).value();
    listener_ = std::make_unique<Listener>(env_, api_->handler(), listen);
    ASSERT_TRUE(listener_->Start().ok());

    wire::TlsClientOptions client_tls;
    client_tls.ca_pem = authority.certificate_pem();
    client_tls.certificate_pem = admin.certificate_pem;
    client_tls.private_key_pem = admin.private_key_pem;
    HttpTransportOptions http;
    http.servers = {"https://127.0.0.1:" + std::to_string(listener_->port())};
    http.tls = wire::TlsContext::Client(client_tls).value();
    transport_ = std::make_shared<HttpTransport>(env_, http);
    client_ = std::make_unique<HttpClient>(env_, transport_);
  }

  void TearDown() override {
    client_.reset();
    env_.RunToEnd(transport_->Stop());
    env_.RunToEnd(listener_->Stop(std::chrono::seconds(1)));
    env_.RunToEnd(api_->Stop());
  }

  static Task<> Start(ApiServer& server) {
    Status started = co_await server.Start();
    EXPECT_TRUE(started.ok()) << started.message();
  }

  RealEnv env_{2};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ApiServer> api_;
  std::unique_ptr<Listener> listener_;
  std::shared_ptr<HttpTransport> transport_;
  std::unique_ptr<HttpClient> client_;
};

ConfigMap Named(const std::string& name) {
  ConfigMap map;
  map.mutable_metadata()->set_namespace_("default");
  map.mutable_metadata()->set_name(name);
  (*map.mutable_data())["key"] = "value of " + name;
  return map;
}

Task<> WriteAndRead(Client& client) {
  Result<api::Ref<ConfigMap>> made = co_await Create(client, Named("a"));
  EXPECT_TRUE(made.ok()) << made.status().message();
  if (!made.ok()) co_return;
  EXPECT_GT(made->revision(), 0);
  EXPECT_FALSE((*made)->metadata().uid().empty());

  Result<api::Ref<ConfigMap>> again = co_await Create(client, Named("a"));
  EXPECT_EQ(again.code(), Code::kAlreadyExists);
  EXPECT_EQ(again.status().message(), "configmaps \"a\" already exists");

  Result<api::Ref<ConfigMap>> got = co_await Get<ConfigMap>(client, "default", "a");
  EXPECT_TRUE(got.ok() && (*got)->data().at("key") == "value of a");

  ConfigMap changed = **made;
  (*changed.mutable_data())["key"] = "changed";
  Result<api::Ref<ConfigMap>> updated = co_await Update(client, changed);
  EXPECT_TRUE(updated.ok()) << updated.status().message();
  Result<api::Ref<ConfigMap>> stale = co_await Update(client, changed);
  EXPECT_EQ(stale.code(), Code::kConflict);

  Result<api::ObjectPtr> patched =
      co_await client.Patch(api::KindOf<ConfigMap>(), "default", "a", "", PatchType::kMerge,
                            std::string(R"({"data":{"more":"by patch"}})"), WriteOptions());
  EXPECT_TRUE(patched.ok()) << patched.status().message();
  if (patched.ok()) EXPECT_EQ((*patched)->As<ConfigMap>().data().at("more"), "by patch");

  Status gone = co_await Delete<ConfigMap>(client, "default", "a");
  EXPECT_TRUE(gone.ok()) << gone.message();
  Result<api::Ref<ConfigMap>> missing = co_await Get<ConfigMap>(client, "default", "a");
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_EQ(missing.status().message(), "configmaps \"a\" not found");
  EXPECT_EQ(missing.status().details().name, "a");
}

TEST_F(RemoteClient, WritesAndReadsObjects) { env_.RunToEnd(WriteAndRead(*client_)); }

Task<> ListInPages(Client& client) {
  for (int i = 0; i < 25; ++i) {
    Result<api::Ref<ConfigMap>> made = co_await Create(client, Named("m" + std::to_string(i)));
    EXPECT_TRUE(made.ok());
  }
  ListOptions options;
  options.ns = "default";
  options.limit = 10;
  size_t total = 0, pages = 0;
  do {
    Result<List> page = co_await client.ListObjects(api::KindOf<ConfigMap>(), options);
    EXPECT_TRUE(page.ok()) << page.status().message();
    if (!page.ok()) co_return;
    EXPECT_GT(page->revision, 0);
    total += page->items.size();
    options.continue_token = page->continue_token;
    ++pages;
  } while (!options.continue_token.empty());
  EXPECT_EQ(total, 25u);
  EXPECT_EQ(pages, 3u);
  ListOptions one;
  one.field_selector = "metadata.name=m7";
  Result<List> found = co_await client.ListObjects(api::KindOf<ConfigMap>(), one);
  EXPECT_TRUE(found.ok() && found->items.size() == 1 && found->items[0]->name() == "m7");
}

TEST_F(RemoteClient, ListsInPages) { env_.RunToEnd(ListInPages(*client_)); }

Task<> WatchChanges(Client& client) {
  ListOptions options;
  options.ns = "default";
  Result<List> list = co_await client.ListObjects(api::KindOf<ConfigMap>(), options);
  EXPECT_TRUE(list.ok());
  Result<std::unique_ptr<Watcher>> watcher =
      co_await client.Watch(api::KindOf<ConfigMap>(), options, list->revision);
  EXPECT_TRUE(watcher.ok()) << watcher.status().message();
  if (!watcher.ok()) co_return;
  Result<api::Ref<ConfigMap>> made = co_await Create(client, Named("w"));
  ConfigMap changed = **made;
  (*changed.mutable_data())["key"] = "changed";
  Result<api::Ref<ConfigMap>> updated = co_await Update(client, changed);
  Status gone = co_await Delete<ConfigMap>(client, "default", "w");
  std::string seen;
  int64_t last = list->revision;
  while (seen.size() < 3) {
    Result<std::vector<WatchEvent>> events = co_await (*watcher)->Next(CancelToken());
    EXPECT_TRUE(events.ok()) << events.status().message();
    if (!events.ok()) co_return;
    for (const WatchEvent& event : *events) {
      if (event.type == WatchEvent::Type::kBookmark) continue;
      seen += "AMD"[static_cast<int>(event.type)];
      EXPECT_EQ(event.object->name(), "w");
      EXPECT_GT(event.revision, last);
      last = event.revision;
    }
  }
  EXPECT_EQ(seen, "AMD");
  CancelSource source;
  source.Cancel();
  Result<std::vector<WatchEvent>> cancelled = co_await (*watcher)->Next(source.token());
  EXPECT_EQ(cancelled.code(), Code::kCanceled);
}

TEST_F(RemoteClient, WatchesChangesInOrder) { env_.RunToEnd(WatchChanges(*client_)); }

}  // namespace
}  // namespace gantry::client

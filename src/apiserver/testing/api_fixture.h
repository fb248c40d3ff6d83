#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_value.h"
#include "apiserver/api_server.h"
#include "base/env/testing/virtual_env.h"
#include "store/store.h"

namespace gantry::apiserver {

// What came back, with a streamed body read to its end. Of an upgraded connection the body is what
// the other side said once the client had said "ping" and no more.
struct Reply {
  int status = 0;
  Headers headers;
  std::string body;

  // The body as JSON; null where it is none.
  api::JsonValue Json() const;
  // The text of a member by its path ("metadata.name", "items.0.status"); numbers and the like as
  // JSON. "" when absent.
  std::string At(std::string_view path) const;
  // The JSON of each line: the events of a watch.
  std::vector<api::JsonValue> Lines() const;
};

std::string TextAt(const api::JsonValue& value, std::string_view path);

// An API server over a memory store in virtual time, spoken to through its Handler. Threading: one
// thread.
class ApiFixture {
 public:
  // `nodes` (may be null) outlives it.
  explicit ApiFixture(client::NodeDirectory* nodes = nullptr,
                      std::string service_cidrs = "10.43.0.0/16");
  ~ApiFixture();

  // A request of the administrator, or of `As`. The body's type is JSON unless `content_type` says
  // otherwise.
  Reply Send(std::string method, std::string target, std::string body = {},
             std::string content_type = {});
  Reply Get(std::string target) { return Send("GET", std::move(target)); }
  Reply Post(std::string target, std::string body) {
    return Send("POST", std::move(target), std::move(body));
  }
  Reply Put(std::string target, std::string body) {
    return Send("PUT", std::move(target), std::move(body));
  }
  Reply Delete(std::string target, std::string body = {}) {
    return Send("DELETE", std::move(target), std::move(body));
  }
  // `type`: "json-patch+json", "merge-patch+json", "strategic-merge-patch+json",
  // "apply-patch+yaml".
  Reply Patch(std::string target, std::string type, std::string body) {
    return Send("PATCH", std::move(target), std::move(body), "application/" + type);
  }

  // The next requests are made by this user (client certificate); "" is the administrator again.
  void As(std::string user, std::vector<std::string> groups = {});
  // The next requests carry these fields.
  void SetHeader(std::string name, std::string value);
  void ClearHeaders() { headers_ = Headers(); }

  // The service account "default" of a namespace, as the controller would make it.
  void MakeDefaultAccount(std::string ns = "default");

  VirtualEnv& env() { return env_; }
  ApiServer& server() { return *server_; }

 private:
  VirtualEnv env_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ApiServer> server_;
  Headers headers_;
  std::string user_;
  std::vector<std::string> groups_;
};

// JSON of a small valid pod; `spec` is put in front of its containers ("\"nodeName\":\"n1\",").
std::string PodJson(std::string_view name, std::string_view spec = {});

}  // namespace gantry::apiserver

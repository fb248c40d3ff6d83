#include "apiserver/testing/api_fixture.h"

#include "apiserver/pki/keys.h"
#include "base/check.h"
#include "store/memory/memory_store.h"

namespace gantry::apiserver {
namespace {

class Collector : public BodyWriter {
 public:
  explicit Collector(std::string* out) : out_(out) {}
  Task<Status> Write(std::shared_ptr<const std::string> chunk) override {
    out_->append(*chunk);
    co_return Status();
  }

 private:
  std::string* out_;
};

// The connection of a client that says "ping".
class PingingClient : public Stream {
 public:
  explicit PingingClient(std::string* heard) : heard_(heard) {}
  Task<Result<size_t>> Read(std::span<char> into) override {
    const size_t count = left_.copy(into.data(), into.size());
    left_.remove_prefix(count);
    co_return count;
  }
  Task<Status> Write(std::string_view bytes) override {
    heard_->append(bytes);
    co_return Status();
  }
  Task<Status> CloseWrite() override { co_return Status(); }
  void Close() override {}

 private:
  std::string_view left_ = "ping";
  std::string* heard_;
};

Task<> Run(Handler& handler, Request request, Reply* reply) {
  Response response = co_await handler.Handle(std::move(request));
  reply->status = response.status;
  reply->body = std::move(response.body);
  for (const auto& piece : response.pieces)
    reply->body += *piece;
  if (response.stream) {
    Collector collector(&reply->body);
    co_await response.stream(collector);
  }
  if (response.upgrade) {
    auto client = std::make_unique<PingingClient>(&reply->body);
    co_await response.upgrade(std::move(client));
  }
  reply->headers = std::move(response.headers);
}

Task<> RunStart(ApiServer& server) {
  Status started = co_await server.Start();
  GANTRY_CHECK(started.ok(), started.ToString());
}

ApiServerOptions Options(client::NodeDirectory* nodes, std::string service_cidrs) {
  ApiServerOptions options;
  options.nodes = nodes;
  options.service_cidr = std::move(service_cidrs);
  options.service_account_keys.push_back(std::move(pki::Key::Generate()).value());
  options.static_tokens.emplace_back("secret-token", UserInfo("token-user", {"token-group"}));
  options.ca_pem = "CA";
  return options;
}

}  // namespace

std::string TextAt(const api::JsonValue& value, std::string_view path) {
  const api::JsonValue* at = &value;
  while (!path.empty()) {
    size_t dot = path.find('.');
    std::string_view part = path.substr(0, dot);
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    if (at->is_array()) {
      size_t index = static_cast<size_t>(std::atoi(std::string(part).c_str()));
      if (index >= at->as_array().size()) return "";
      at = &at->as_array()[index];
    } else {
      at = at->Find(part);
      if (at == nullptr) return "";
    }
  }
  return at->is_string() ? at->as_string() : at->ToString();
}

api::JsonValue Reply::Json() const {
  Result<api::JsonValue> value = api::JsonValue::Parse(body);
  return value.ok() ? *value : api::JsonValue();
}

std::string Reply::At(std::string_view path) const { return TextAt(Json(), path); }

std::vector<api::JsonValue> Reply::Lines() const {
  std::vector<api::JsonValue> lines;
  std::string_view rest = body;
  while (!rest.empty()) {
    size_t end = rest.find('\n');
    Result<api::JsonValue> line = api::JsonValue::Parse(rest.substr(0, end));
    if (line.ok()) lines.push_back(std::move(*line));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return lines;
}

ApiFixture::ApiFixture(client::NodeDirectory* nodes, std::string service_cidrs) {
  store_ = store::MakeMemoryStore(env_);
  server_ = std::make_unique<ApiServer>(env_, *store_, Options(nodes, std::move(service_cidrs)));
  env_.RunToEnd(RunStart(*server_));
  As("");
}

ApiFixture::~ApiFixture() {
  env_.RunToEnd(server_->Stop());
  env_.RunToEnd(store_->Stop());
}

void ApiFixture::As(std::string user, std::vector<std::string> groups) {
  if (user.empty()) {
    user = "admin";
    groups = {"system:masters"};
  }
  user_ = std::move(user);
  groups_ = std::move(groups);
}

void ApiFixture::SetHeader(std::string name, std::string value) {
  headers_.Set(std::move(name), std::move(value));
}

Reply ApiFixture::Send(std::string method, std::string target, std::string body,
                       std::string content_type) {
  Request request;
  request.method = std::move(method);
  size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string::npos) request.query = target.substr(question + 1);
  request.headers = headers_;
  if (!content_type.empty()) request.headers.Set("Content-Type", std::move(content_type));
  request.body = std::move(body);
  if (user_ != "system:anonymous") {
    request.peer.certificate_common_name = user_;
    request.peer.certificate_organizations = groups_;
  }
  Reply reply;
  env_.RunToEnd(Run(server_->handler(), std::move(request), &reply));
  return reply;
}

void ApiFixture::MakeDefaultAccount(std::string ns) {
  Reply made =
      Post("/api/v1/namespaces/" + ns + "/serviceaccounts", R"({"metadata":{"name":"default"}})");
  GANTRY_CHECK(made.status == 201, made.body);
}

std::string PodJson(std::string_view name, std::string_view spec) {
  return R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":")" + std::string(name) +
         R"(","labels":{"app":"web"}},"spec":{)" + std::string(spec) +
         R"("containers":[{"name":"c","image":"busybox"}]}})";
}

}  // namespace gantry::apiserver

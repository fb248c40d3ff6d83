#include "client/http/http_client.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/envelope.h"
#include "api/json_text.h"
#include "api/meta/v1/object_meta.pb.h"
#include "base/env/notifier.h"
#include "client/http/wire_objects.h"

namespace gantry::client {
namespace {

constexpr char kProtobuf[] = "application/vnd.kubernetes.protobuf";
constexpr char kAccept[] = "application/vnd.kubernetes.protobuf,application/json";
constexpr char kAcceptWatch[] = "application/vnd.kubernetes.protobuf;stream=watch";
constexpr int kMaxRetries = 10;
constexpr size_t kMaxEventBytes = 64 * 1024 * 1024;

std::string PathOf(const api::KindInfo& kind, const std::string& ns, const std::string& name,
                   const std::string& subresource) {
  std::string path = kind.group.empty() ? "/api/" : "/apis/" + std::string(kind.group) + "/";
  path += kind.version;
  if (kind.namespaced && !ns.empty()) path += "/namespaces/" + QueryEscape(ns);
  path += "/" + std::string(kind.plural);
  if (!name.empty()) path += "/" + QueryEscape(name);
  if (!subresource.empty()) path += "/" + subresource;
  return path;
}

// "?a=b&c=d" from what is not empty.
class Query {
 public:
  Query& Add(std::string_view name, std::string_view value) {
    if (value.empty()) return *this;
    text_ += text_.empty() ? '?' : '&';
    text_ += name;
    text_ += '=';
    text_ += QueryEscape(value);
    return *this;
  }
  Query& Add(const ListOptions& options) {
    Add("labelSelector", options.label_selector).Add("fieldSelector", options.field_selector);
    if (options.limit > 0) Add("limit", std::to_string(options.limit));
    return Add("continue", options.continue_token);
  }
  Query& Add(const WriteOptions& options) {
    Add("fieldManager", options.field_manager);
    if (options.dry_run) Add("dryRun", "All");
    if (options.force) Add("force", "true");
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

const api::meta::v1::ObjectMeta* MetaOf(const google::protobuf::Message& message) {
  const auto* field = message.GetDescriptor()->FindFieldByName("metadata");
  if (!field || field->message_type() != api::meta::v1::ObjectMeta::descriptor()) return nullptr;
  return static_cast<const api::meta::v1::ObjectMeta*>(
      &message.GetReflection()->GetMessage(message, field));
}

HttpRequest Write(std::string method, std::string target, const google::protobuf::Message& object) {
  HttpRequest request(std::move(method), std::move(target));
  request.headers.Add("Accept", kAccept);
  request.headers.Add("Content-Type", kProtobuf);
  request.body = api::Seal(api::KindOfDescriptor(object.GetDescriptor()), object);
  return request;
}

std::string DeleteBody(const DeleteOptions& options) {
  std::string body = R"({"kind":"DeleteOptions","apiVersion":"v1")";
  if (options.grace_period_seconds)
    body += ",\"gracePeriodSeconds\":" + std::to_string(*options.grace_period_seconds);
  if (!options.propagation_policy.empty()) {
    body += ",\"propagationPolicy\":";
    api::AppendJsonString(options.propagation_policy, &body);
  }
  if (!options.uid.empty() || options.resource_version != 0) {
    body += ",\"preconditions\":{";
    if (!options.uid.empty()) {
      body += "\"uid\":";
      api::AppendJsonString(options.uid, &body);
    }
    if (options.resource_version != 0) {
      body += std::string(options.uid.empty() ? "" : ",") + "\"resourceVersion\":\"" +
              std::to_string(options.resource_version) + "\"";
    }
    body += "}";
  }
  return body + "}";
}

struct PatchRow {
  PatchType type;
  const char* content_type;
};
constexpr PatchRow kPatches[] = {
    {PatchType::kJson, "application/json-patch+json"},
    {PatchType::kMerge, "application/merge-patch+json"},
    {PatchType::kStrategicMerge, "application/strategic-merge-patch+json"},
    {PatchType::kApply, "application/apply-patch+yaml"},
};

class HttpWatcher : public Watcher {
 public:
  HttpWatcher(std::unique_ptr<HttpBody> body, CancelSource source)
      : body_(std::move(body)), source_(std::move(source)) {}

  Task<Result<std::vector<WatchEvent>>> Next(CancelToken cancel) override {
    CancelToken::Registration registration =
        cancel.OnCancel([source = source_]() mutable { source.Cancel(); });
    while (true) {
      std::vector<WatchEvent> events;
      Status taken = TakeEvents(&events);
      // What came before a failure is still handed out.
      if (!events.empty()) co_return events;
      if (!taken.ok()) co_return taken;
      GANTRY_CO_ASSIGN(const std::string bytes, co_await body_->Read());
      if (bytes.empty()) co_return Unavailable("the server ended the watch");
      in_ += bytes;
    }
  }

 private:
  // All whole frames: four bytes of length, then the event.
  Status TakeEvents(std::vector<WatchEvent>* events) {
    std::string_view rest = in_;
    Status status;
    while (status.ok() && rest.size() >= 4) {
      size_t length = 0;
      for (size_t i = 0; i < 4; ++i)
        length = length << 8 | static_cast<unsigned char>(rest[i]);
      if (length > kMaxEventBytes) return DataLoss("a watch event is too large");
      if (rest.size() - 4 < length) break;
      Result<WatchEvent> event = internal::ReadEvent(rest.substr(4, length));
      if (!event.ok()) {
        status = event.status();
        if (!events->empty()) break;  // the next call meets it again
      } else {
        events->push_back(std::move(event).value());
      }
      rest.remove_prefix(4 + length);
    }
    in_.erase(0, in_.size() - rest.size());
    return status;
  }

  std::unique_ptr<HttpBody> body_;
  CancelSource source_;
  std::string in_;
};

Status NoMessage(const api::KindInfo& kind) {
  return BadRequest("kind " + std::string(kind.kind) + " has no binary form");
}

}  // namespace

Task<Result<std::string>> HttpClient::Call(HttpRequest request) {
  for (int attempt = 0;; ++attempt) {
    GANTRY_CO_ASSIGN(HttpReply reply, co_await transport_->Fetch(request));
    if (reply.status < 400) co_return std::move(reply.body);
    int seconds = 0;
    const std::string_view after = reply.headers.Get("retry-after");
    std::from_chars(after.data(), after.data() + after.size(), seconds);
    if (reply.status != 429 || seconds <= 0 || attempt == kMaxRetries) {
      co_return internal::ReadFailure(reply.status, reply.body);
    }
    co_await SleepFor(env_, std::chrono::seconds(seconds));
  }
}

Task<Result<api::ObjectPtr>> HttpClient::Get(const api::KindInfo& kind, std::string ns,
                                             std::string name) {
  HttpRequest request("GET", PathOf(kind, ns, name, ""));
  request.headers.Add("Accept", kAccept);
  GANTRY_CO_ASSIGN(const std::string body, co_await Call(std::move(request)));
  co_return internal::ReadObject(body);
}

Task<Result<List>> HttpClient::ListObjects(const api::KindInfo& kind, ListOptions options) {
  if (!kind.prototype) co_return NoMessage(kind);
  HttpRequest request("GET", PathOf(kind, options.ns, "", "") + Query().Add(options).text());
  request.headers.Add("Accept", kAccept);
  GANTRY_CO_ASSIGN(const std::string body, co_await Call(std::move(request)));
  co_return internal::ReadList(kind, body);
}

Task<Result<std::unique_ptr<Watcher>>> HttpClient::Watch(const api::KindInfo& kind,
                                                         ListOptions options, int64_t revision) {
  if (!kind.prototype) co_return NoMessage(kind);
  Query query;
  query.Add("watch", "true").Add("allowWatchBookmarks", "true").Add(options);
  query.Add("resourceVersion", std::to_string(revision));
  HttpRequest request("GET", PathOf(kind, options.ns, "", "") + query.text());
  request.headers.Add("Accept", kAcceptWatch);
  CancelSource source;
  GANTRY_CO_ASSIGN(HttpResponse response,
                   co_await transport_->Send(std::move(request), source.token()));
  if (response.status >= 400) {
    std::string body;
    while (true) {
      GANTRY_CO_ASSIGN(const std::string more, co_await response.body->Read());
      if (more.empty()) break;
      body += more;
    }
    co_return internal::ReadFailure(response.status, body);
  }
  co_return std::unique_ptr<Watcher>(
      std::make_unique<HttpWatcher>(std::move(response.body), std::move(source)));
}

Task<Result<api::ObjectPtr>> HttpClient::Create(const api::KindInfo& kind, std::string ns,
                                                std::string name, std::string subresource,
                                                std::unique_ptr<google::protobuf::Message> object,
                                                WriteOptions options) {
  const std::string path = PathOf(kind, ns, subresource.empty() ? "" : name, subresource);
  HttpRequest request = Write("POST", path + Query().Add(options).text(), *object);
  GANTRY_CO_ASSIGN(const std::string body, co_await Call(std::move(request)));
  co_return internal::ReadObject(body);
}

Task<Result<api::ObjectPtr>> HttpClient::Update(const api::KindInfo& kind, std::string subresource,
                                                std::unique_ptr<google::protobuf::Message> object,
                                                WriteOptions options) {
  const api::meta::v1::ObjectMeta* meta = MetaOf(*object);
  if (!meta) co_return BadRequest("an object without metadata cannot be updated");
  const std::string path = PathOf(kind, meta->namespace_(), meta->name(), subresource);
  HttpRequest request = Write("PUT", path + Query().Add(options).text(), *object);
  GANTRY_CO_ASSIGN(const std::string body, co_await Call(std::move(request)));
  co_return internal::ReadObject(body);
}

Task<Result<api::ObjectPtr>> HttpClient::Patch(const api::KindInfo& kind, std::string ns,
                                               std::string name, std::string subresource,
                                               PatchType type, std::string body,
                                               WriteOptions options) {
  HttpRequest request("PATCH", PathOf(kind, ns, name, subresource) + Query().Add(options).text());
  request.headers.Add("Accept", kAccept);
  const auto* row = std::find_if(std::begin(kPatches), std::end(kPatches),
                                 [type](const PatchRow& r) { return r.type == type; });
  request.headers.Add("Content-Type", row->content_type);
  request.body = std::move(body);
  GANTRY_CO_ASSIGN(const std::string answer, co_await Call(std::move(request)));
  co_return internal::ReadObject(answer);
}

Task<Result<api::ObjectPtr>> HttpClient::Delete(const api::KindInfo& kind, std::string ns,
                                                std::string name, DeleteOptions options) {
  HttpRequest request("DELETE", PathOf(kind, ns, name, ""));
  request.headers.Add("Accept", kAccept);
  request.headers.Add("Content-Type", "application/json");
  request.body = DeleteBody(options);
  GANTRY_CO_ASSIGN(const std::string body, co_await Call(std::move(request)));
  co_return internal::ReadObject(body);
}

}  // namespace gantry::client

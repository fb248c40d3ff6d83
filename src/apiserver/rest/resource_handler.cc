#include "apiserver/rest/resource_handler.h"

#include <algorithm>

#include "api/meta/v1/options.pb.h"
#include "api/quote.h"
#include "apiserver/authz/authorizer.h"
#include "apiserver/registry/messages.h"
#include "apiserver/rest/reviews.h"
#include "apiserver/rest/watch_stream.h"
#include "apiserver/status_body.h"
#include "apiserver/subresources/connector.h"
#include "apiserver/subresources/views.h"
#include "base/wire/accept.h"

namespace gantry::apiserver {
namespace {

using api::meta::v1::DeleteOptions;

constexpr size_t kMaxManager = 128;

Status NoSuchResource() {
  return Status(Code::kNotFound, "the server could not find the requested resource");
}
Status NoSuchMethod() {
  return Status(Code::kMethodNotAllowed,
                "the server does not allow this method on the requested resource");
}

Status InvalidOption(std::string_view kind, std::string field, std::string message) {
  api::FieldErrors errors;
  errors.push_back({api::FieldError::Type::kNotSupported, std::move(field), std::move(message)});
  return api::InvalidObject("meta.k8s.io", kind, "", errors);
}

// The name of the field manager that a client without one gets: its program's name.
std::string ManagerOf(const ResourceRequest& request) {
  std::string_view manager = request.query.Get("fieldManager");
  if (!manager.empty()) return std::string(manager);
  manager = request.http.headers.Get("user-agent");
  manager = manager.substr(0, manager.find('/'));
  std::string text;
  for (char c : manager.substr(0, kMaxManager)) {
    if (c >= 0x20 && c < 0x7f) text.push_back(c);
  }
  return text.empty() ? "unknown" : text;
}

std::string_view OptionsKind(std::string_view verb) {
  if (verb == "create") return "CreateOptions";
  if (verb == "update") return "UpdateOptions";
  if (verb == "patch") return "PatchOptions";
  return "DeleteOptions";
}

Status CheckManager(const ResourceRequest& request) {
  const std::string_view manager = request.query.Get("fieldManager");
  api::FieldErrors errors;
  using Type = api::FieldError::Type;
  if (manager.size() > kMaxManager)
    errors.push_back({Type::kTooLong, "fieldManager", "Too long: may not be more than 128 bytes"});
  for (size_t i = 0; i < manager.size(); ++i) {
    const auto c = static_cast<unsigned char>(manager[i]);
    if (c >= 0x20 && c != 0x7f) continue;
    errors.push_back({Type::kInvalid, "fieldManager",
                      "Invalid value: " + api::GoQuote(manager) + ": invalid character U+00" +
                          "0123456789ABCDEF"[c >> 4] + "0123456789ABCDEF"[c & 15] +
                          " (at position " + std::to_string(i) + ")"});
  }
  if (errors.empty()) return {};
  return api::InvalidObject("meta.k8s.io", OptionsKind(request.info.verb), "", errors);
}

Status ReadDryRun(const std::vector<std::string>& values, std::string_view kind, bool* dry_run) {
  for (const std::string& value : values) {
    if (value.empty()) continue;
    if (value != "All") {
      return InvalidOption(kind, "dryRun",
                           "Unsupported value: [\"" + value + "\"]: supported values: \"All\"");
    }
    *dry_run = true;
  }
  return {};
}

Result<FieldValidation> ReadValidation(const ResourceRequest& request) {
  std::string_view value = request.query.Get("fieldValidation");
  if (value.empty() || value == "Warn") return FieldValidation::kWarn;
  if (value == "Ignore") return FieldValidation::kIgnore;
  if (value == "Strict") return FieldValidation::kStrict;
  return InvalidOption(OptionsKind(request.info.verb), "fieldValidation",
                       "Unsupported value: \"" + std::string(value) +
                           "\": supported values: \"Ignore\", \"Strict\", \"Warn\"");
}

// How a write is read and answered.
struct WriteForm {
  Output output;
  int table_include = 0;
  FieldValidation validation = FieldValidation::kWarn;
};

Result<WriteForm> ReadWriteForm(const ResourceRequest& request) {
  WriteForm form;
  GANTRY_ASSIGN(form.output, NegotiateOutput(request.http.headers, request.query,
                                             request.info.subresource.empty()));
  GANTRY_ASSIGN(form.table_include, TableInclude(request.query));
  GANTRY_ASSIGN(form.validation, ReadValidation(request));
  return form;
}

// The object in the body, which is let go.
Result<std::unique_ptr<Message>> TakeBody(const ResourceRow& row, FieldValidation validation,
                                          ResourceRequest* request, const Call& call) {
  GANTRY_ASSIGN(const Media media, InputMedia(request->http.headers.Get("content-type")));
  const api::KindInfo* kind = KindOfSubresource(row, request->info.subresource);
  if (kind == nullptr) return NoSuchResource();
  const std::string body = std::move(request->http.body);
  return DecodeBody(*kind, media, body, validation, call.warnings.get());
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c == '\n' || c == '\r' ? ' ' : c);
  }
  return out;
}

void AddWarnings(const std::vector<std::string>& texts, Response* response) {
  std::vector<std::string> seen;
  for (const std::string& text : texts) {
    if (std::find(seen.begin(), seen.end(), text) != seen.end()) continue;
    seen.push_back(text);
    response->headers.Add("Warning", "299 - \"" + Escaped(text) + "\"");
  }
}

ListRequest ListOf(const ResourceRequest& request) {
  const Query& query = request.query;
  ListRequest list;
  list.ns = request.info.ns;
  list.label_selector = std::string(query.Get("labelSelector"));
  list.field_selector = std::string(query.Get("fieldSelector"));
  list.continue_token = std::string(query.Get("continue"));
  list.resource_version = std::string(query.Get("resourceVersion"));
  list.resource_version_match = std::string(query.Get("resourceVersionMatch"));
  list.send_initial_events = query.GetOptionalBool("sendInitialEvents");
  return list;
}

// The options of a delete: from the body where there is one, else from the query.
Result<DeleteRequest> ReadDeleteOptions(const ResourceRequest& request, Call* call) {
  DeleteOptions options;
  if (!request.http.body.empty()) {
    GANTRY_ASSIGN(Media media, InputMedia(request.http.headers.Get("content-type")));
    GANTRY_ASSIGN(std::unique_ptr<Message> decoded,
                  DecodeBody(api::KindOf<DeleteOptions>(), media, request.http.body,
                             FieldValidation::kIgnore, nullptr));
    options = static_cast<const DeleteOptions&>(*decoded);
  } else {
    GANTRY_ASSIGN(std::optional<int64_t> grace, request.query.GetInt("gracePeriodSeconds"));
    if (grace.has_value()) options.set_grace_period_seconds(*grace);
    if (request.query.Has("propagationPolicy")) {
      options.set_propagation_policy(std::string(request.query.Get("propagationPolicy")));
    }
    if (std::optional<bool> orphan = request.query.GetOptionalBool("orphanDependents")) {
      options.set_orphan_dependents(*orphan);
    }
    for (std::string& value : request.query.All("dryRun"))
      options.add_dry_run(std::move(value));
  }
  api::FieldErrors errors;
  using Type = api::FieldError::Type;
  const std::string& policy = options.propagation_policy();
  if (options.has_orphan_dependents() && options.has_propagation_policy()) {
    errors.push_back({Type::kInvalid, "propagationPolicy",
                      "Invalid value: \"" + policy +
                          "\": orphanDependents and deletionPropagation cannot be both set"});
  }
  if (options.has_propagation_policy() && policy != "Foreground" && policy != "Background" &&
      policy != "Orphan") {
    errors.push_back(
        {Type::kNotSupported, "propagationPolicy",
         "Unsupported value: \"" + policy +
             "\": supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\""});
  }
  if (!errors.empty()) return api::InvalidObject("meta.k8s.io", "DeleteOptions", "", errors);
  std::vector<std::string> dry_run(options.dry_run().begin(), options.dry_run().end());
  GANTRY_TRY(ReadDryRun(dry_run, "DeleteOptions", &call->dry_run));

  DeleteRequest out;
  out.ns = request.info.ns;
  out.name = request.info.name;
  if (options.has_grace_period_seconds()) out.grace_period_seconds = options.grace_period_seconds();
  if (options.has_orphan_dependents()) out.orphan_dependents = options.orphan_dependents();
  out.propagation_policy = policy;
  if (options.preconditions().has_uid()) out.uid = options.preconditions().uid();
  if (options.preconditions().has_resource_version()) {
    out.resource_version = options.preconditions().resource_version();
  }
  return out;
}

struct PatchMedia {
  std::string_view media;
  client::PatchType type;
};
constexpr PatchMedia kPatchMedia[] = {
    {"application/json-patch+json", client::PatchType::kJson},
    {"application/merge-patch+json", client::PatchType::kMerge},
    {"application/strategic-merge-patch+json", client::PatchType::kStrategicMerge},
    {"application/apply-patch+yaml", client::PatchType::kApply},
};

Result<client::PatchType> ReadPatchType(const Headers& headers) {
  const std::string media = wire::MediaTypeOf(headers.Get("content-type"));
  std::string all;
  for (const PatchMedia& known : kPatchMedia) {
    if (known.media == media) return known.type;
    all += (all.empty() ? "" : ", ") + std::string(known.media);
  }
  return Status(
      Code::kUnsupportedMediaType,
      "the body of the request was in an unknown format - accepted media types include: " + all);
}

api::meta::v1::Status DeletedStatus(const ResourceRow& row, const api::Object& object) {
  api::meta::v1::Status status = StatusMessage(Status());
  auto* details = status.mutable_details();
  details->set_name(object.name());
  if (!row.kind->group.empty()) details->set_group(std::string(row.kind->group));
  details->set_kind(std::string(row.kind->plural));
  details->set_uid(object.uid());
  return status;
}

}  // namespace

ResourceHandler::ResourceHandler(Verbs& verbs, Authorizer& authorizer, Reviews* reviews,
                                 Connector* connector)
    : verbs_(verbs), authorizer_(authorizer), reviews_(reviews), connector_(connector) {}

WallTime ResourceHandler::Now() { return verbs_.registry().env().Now(); }

bool ResourceHandler::MayCreate(const ResourceRequest& request) const {
  Access access;
  access.is_resource = true;
  access.verb = "create";
  access.group = request.info.group;
  access.version = request.info.version;
  access.resource = request.info.resource;
  access.ns = request.info.ns;
  access.name = request.info.name;
  return authorizer_.Authorize(request.user, access).allowed();
}

Task<Response> ResourceHandler::Handle(ResourceRequest request) {
  const RequestInfo& info = request.info;
  const ResourceRow* row = FindResourceRow(info.group, info.version, info.resource);
  if (row == nullptr) {
    for (const ResourceRow& other : AllResources()) {
      if (other.kind->group == info.group && other.kind->version == info.version) {
        co_return ErrorResponse(NoSuchResource());
      }
    }
    co_return TextResponse(404, "404 page not found\n");
  }
  // A namespaced resource is named below its namespace only, and a cluster's never.
  const bool in_namespace = !info.ns.empty() && info.resource != "namespaces";
  const bool by_path = info.parts.size() > 1;
  if (row->kind->namespaced ? (by_path && !in_namespace) : in_namespace)
    co_return ErrorResponse(NoSuchResource());

  // Across namespaces things can only be read; reviews of a namespace have a path of their own.
  if (row->kind->namespaced && !in_namespace && info.verb != "list" && info.verb != "watch") {
    co_return ErrorResponse(NoSuchMethod());
  }

  Call call;
  call.user = request.user;
  call.manager = ManagerOf(request);
  call.cancel = request.http.cancel;
  Status dry = ReadDryRun(request.query.All("dryRun"), OptionsKind(info.verb), &call.dry_run);
  if (dry.ok() && info.verb != "delete") dry = CheckManager(request);
  if (!dry.ok()) co_return ErrorResponse(dry);
  std::shared_ptr<std::vector<std::string>> warnings = call.warnings;
  Response response = co_await Dispatch(*row, std::move(request), std::move(call));
  AddWarnings(*warnings, &response);
  co_return response;
}

Task<Response> ResourceHandler::Dispatch(const ResourceRow& row, ResourceRequest request,
                                         Call call) {
  const RequestInfo& info = request.info;
  const std::string verb = info.verb;
  if (!info.subresource.empty()) {
    const ResourceRow::Sub* sub = row.FindSub(info.subresource);
    if (sub == nullptr) co_return ErrorResponse(NoSuchResource());
    if (connector_ != nullptr && connector_->Serves(row, info.subresource)) {
      co_return co_await connector_->Connect(row, std::move(request));
    }
    if (info.parts.size() > 3) co_return ErrorResponse(NoSuchResource());
    if (std::find(sub->verbs.begin(), sub->verbs.end(), verb) == sub->verbs.end()) {
      co_return ErrorResponse(NoSuchMethod());
    }
  } else if (!row.Serves(verb) || (verb == "create") != info.name.empty()) {
    // Whole collections are read and deleted; one object is created by its collection and changed
    // by its name.
    const bool of_collection = verb == "list" || verb == "watch" || verb == "deletecollection";
    if (!row.Serves(verb) || !of_collection) co_return ErrorResponse(NoSuchMethod());
  }
  if (verb.empty()) {
    co_return ErrorResponse(NoSuchMethod());
  }
  if (verb == "get") co_return co_await Get(row, std::move(request));
  if (verb == "list") co_return co_await List(row, std::move(request));
  if (verb == "watch") co_return co_await Watch(row, std::move(request));
  if (verb == "create") co_return co_await Create(row, std::move(request), std::move(call));
  if (verb == "update") co_return co_await Update(row, std::move(request), std::move(call));
  if (verb == "patch") co_return co_await Patch(row, std::move(request), std::move(call));
  if (verb == "delete") co_return co_await Delete(row, std::move(request), std::move(call));
  if (verb == "deletecollection")
    co_return co_await DeleteCollection(row, std::move(request), std::move(call));
  co_return ErrorResponse(NoSuchMethod());
}

Task<Response> ResourceHandler::Get(const ResourceRow& row, ResourceRequest request) {
  Result<Output> output = NegotiateOutput(request.http.headers, request.query, true);
  if (!output.ok()) co_return ErrorResponse(output.status());
  Result<int> include = TableInclude(request.query);
  if (!include.ok()) co_return ErrorResponse(include.status());
  Result<api::ObjectPtr> got =
      co_await verbs_.Get(row, request.info.ns, request.info.name, request.info.subresource,
                          std::string(request.query.Get("resourceVersion")));
  if (!got.ok()) co_return ErrorResponse(got.status());
  co_return ObjectResponse(200, *output, *got, *include, Now());
}

Task<Response> ResourceHandler::List(const ResourceRow& row, ResourceRequest request) {
  Result<Output> output = NegotiateOutput(request.http.headers, request.query, true);
  if (!output.ok()) co_return ErrorResponse(output.status());
  Result<int> include = TableInclude(request.query);
  if (!include.ok()) co_return ErrorResponse(include.status());
  Result<std::optional<int64_t>> limit = request.query.GetInt("limit");
  if (!limit.ok()) co_return ErrorResponse(limit.status());
  ListRequest list = ListOf(request);
  list.limit = std::max<int64_t>(limit->value_or(0), 0);
  Result<ListResult> listed = co_await verbs_.registry().List(row, std::move(list));
  if (!listed.ok()) co_return ErrorResponse(listed.status());
  co_return ListResponse(*output, *row.kind, std::move(*listed), *include, Now());
}

Task<Response> ResourceHandler::Watch(const ResourceRow& row, ResourceRequest request) {
  Result<Output> output = NegotiateOutput(request.http.headers, request.query, true);
  if (!output.ok()) co_return ErrorResponse(output.status());
  if (output->media == Media::kYaml) {
    co_return ErrorResponse(
        Status(Code::kNotAcceptable,
               "only the following media types are accepted: application/json;stream=watch, "
               "application/vnd.kubernetes.protobuf;stream=watch"));
  }
  Result<int> include = TableInclude(request.query);
  if (!include.ok()) co_return ErrorResponse(include.status());
  Result<std::optional<int64_t>> timeout = request.query.GetInt("timeoutSeconds");
  if (!timeout.ok()) co_return ErrorResponse(timeout.status());
  WatchRequest watch;
  watch.ns = request.info.ns;
  watch.label_selector = std::string(request.query.Get("labelSelector"));
  watch.field_selector = std::string(request.query.Get("fieldSelector"));
  if (watch.field_selector.empty() && !request.info.name.empty()) {
    watch.field_selector = "metadata.name=" + request.info.name;
  }
  watch.resource_version = std::string(request.query.Get("resourceVersion"));
  watch.resource_version_match = std::string(request.query.Get("resourceVersionMatch"));
  watch.send_initial_events = request.query.GetOptionalBool("sendInitialEvents");
  watch.allow_bookmarks = request.query.GetBool("allowWatchBookmarks");
  WatchOptions options;
  options.bookmarks = watch.allow_bookmarks;
  options.mark_initial_end = watch.send_initial_events.value_or(false) && watch.allow_bookmarks;
  options.timeout_seconds = *timeout;
  options.table_include = *include;
  CancelToken cancel = request.http.cancel;
  Result<std::unique_ptr<store::CacheWatch>> stream =
      co_await verbs_.registry().Watch(row, std::move(watch), cancel);
  if (!stream.ok()) {
    if (stream.code() == Code::kExpired) co_return WatchErrorResponse(*output, stream.status());
    co_return ErrorResponse(stream.status());
  }
  co_return WatchResponse(verbs_.registry().env(), *row.kind, *output, std::move(*stream), options,
                          std::move(cancel));
}

Task<Response> ResourceHandler::Create(const ResourceRow& row, ResourceRequest request, Call call) {
  Result<WriteForm> form = ReadWriteForm(request);
  if (!form.ok()) co_return ErrorResponse(form.status());
  Result<std::unique_ptr<Message>> object = TakeBody(row, form->validation, &request, call);
  if (!object.ok()) co_return ErrorResponse(object.status());

  if (row.kind->storage_prefix.empty() && row.kind->kind != "Binding") {
    if (reviews_ == nullptr) co_return ErrorResponse(NoSuchResource());
    Result<std::unique_ptr<Message>> answer =
        reviews_->Answer(*row.kind, request.user, request.info.ns, std::move(*object));
    if (!answer.ok()) co_return ErrorResponse(answer.status());
    co_return MessageResponse(201, form->output, *row.kind, **answer);
  }
  std::string name = request.info.name, subresource = request.info.subresource;
  const ResourceRow* target = &row;
  if (row.kind->kind == "Binding") {  // the old way to bind: POST to bindings
    target = FindResourceRow("", "v1", "pods");
    name = MetaOf(**object).name();
    subresource = "binding";
  }
  Result<Outcome> made =
      co_await verbs_.Create(std::move(call), *target, request.info.ns, std::move(name),
                             std::move(subresource), std::move(*object));
  if (!made.ok()) co_return ErrorResponse(made.status());
  if (made->status_only) {
    api::meta::v1::Status status = StatusMessage(Status());
    status.set_code(201);
    co_return MessageResponse(201, form->output, api::KindOf<api::meta::v1::Status>(), status);
  }
  co_return ObjectResponse(201, form->output, made->object, form->table_include, Now());
}

Task<Response> ResourceHandler::Update(const ResourceRow& row, ResourceRequest request, Call call) {
  Result<WriteForm> form = ReadWriteForm(request);
  if (!form.ok()) co_return ErrorResponse(form.status());
  Result<std::unique_ptr<Message>> object = TakeBody(row, form->validation, &request, call);
  if (!object.ok()) co_return ErrorResponse(object.status());
  const bool may_create = row.strategy->create_on_update && MayCreate(request);
  Result<Outcome> made =
      co_await verbs_.Update(std::move(call), row, request.info.ns, request.info.name,
                             request.info.subresource, std::move(*object), may_create);
  if (!made.ok()) co_return ErrorResponse(made.status());
  co_return ObjectResponse(made->created ? 201 : 200, form->output, made->object,
                           form->table_include, Now());
}

Task<Response> ResourceHandler::Patch(const ResourceRow& row, ResourceRequest request, Call call) {
  Result<WriteForm> form = ReadWriteForm(request);
  if (!form.ok()) co_return ErrorResponse(form.status());
  Result<client::PatchType> type = ReadPatchType(request.http.headers);
  if (!type.ok()) co_return ErrorResponse(type.status());
  const bool apply = *type == client::PatchType::kApply;
  if (apply && request.query.Get("fieldManager").empty()) {
    api::FieldErrors errors;
    errors.push_back({api::FieldError::Type::kRequired, "fieldManager",
                      "Required value: is required for apply patch"});
    co_return ErrorResponse(api::InvalidObject("meta.k8s.io", "PatchOptions", "", errors));
  }
  if (!apply && request.query.Has("force")) {
    api::FieldErrors errors;
    errors.push_back({api::FieldError::Type::kForbidden, "force",
                      "Forbidden: may not be specified for non-apply patch"});
    co_return ErrorResponse(api::InvalidObject("meta.k8s.io", "PatchOptions", "", errors));
  }
  const bool may_create = apply && MayCreate(request);
  Result<Outcome> made = co_await verbs_.Patch(
      std::move(call), row, request.info.ns, request.info.name, request.info.subresource, *type,
      std::move(request.http.body), request.query.GetBool("force"), form->validation, may_create);
  if (!made.ok()) co_return ErrorResponse(made.status());
  co_return ObjectResponse(made->created ? 201 : 200, form->output, made->object,
                           form->table_include, Now());
}

Task<Response> ResourceHandler::Delete(const ResourceRow& row, ResourceRequest request, Call call) {
  Result<Output> output = NegotiateOutput(request.http.headers, request.query, true);
  if (!output.ok()) co_return ErrorResponse(output.status());
  Result<DeleteRequest> options = ReadDeleteOptions(request, &call);
  if (!options.ok()) co_return ErrorResponse(options.status());
  const bool cascades = options->orphan_dependents.has_value() && !*options->orphan_dependents;
  Result<Outcome> made = co_await verbs_.Delete(std::move(call), row, std::move(*options));
  if (!made.ok()) co_return ErrorResponse(made.status());
  if (made->status_only) {
    co_return MessageResponse(200, *output, api::KindOf<api::meta::v1::Status>(),
                              DeletedStatus(row, *made->object));
  }
  co_return ObjectResponse(!made->gone && cascades ? 202 : 200, *output, made->object, 1, Now());
}

Task<Response> ResourceHandler::DeleteCollection(const ResourceRow& row, ResourceRequest request,
                                                 Call call) {
  Result<Output> output = NegotiateOutput(request.http.headers, request.query, true);
  if (!output.ok()) co_return ErrorResponse(output.status());
  Result<DeleteRequest> options = ReadDeleteOptions(request, &call);
  if (!options.ok()) co_return ErrorResponse(options.status());
  ListRequest list = ListOf(request);
  Result<std::vector<api::ObjectPtr>> gone = co_await verbs_.registry().DeleteCollection(
      std::move(call), row, std::move(list), std::move(*options));
  if (!gone.ok()) co_return ErrorResponse(gone.status());
  ListResult result;
  result.items = std::move(*gone);
  result.revision = verbs_.registry().caches().revision();
  co_return ListResponse(*output, *row.kind, std::move(result), 1, Now());
}

}  // namespace gantry::apiserver

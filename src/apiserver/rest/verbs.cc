#include "apiserver/rest/verbs.h"

#include "api/convert.h"
#include "api/core/v1/binding.pb.h"
#include "api/field_error.h"
#include "api/go_text.h"
#include "api/json.h"
#include "api/quote.h"
#include "apiserver/admission/admission.h"
#include "apiserver/apply/managed_fields.h"
#include "apiserver/authn/token_issuer.h"
#include "apiserver/patch/patch.h"
#include "apiserver/registry/messages.h"
#include "apiserver/subresources/pod_writes.h"
#include "apiserver/subresources/views.h"

namespace gantry::apiserver {
namespace {

Status NoSuchResource() {
  return Status(Code::kNotFound, "the server could not find the requested resource");
}

Status CheckName(const Message& object, const std::string& ns, const std::string& name) {
  const auto& meta = MetaOf(object);
  if (meta.name().empty()) {
    return BadRequest("the name of the object (" + name +
                      " based on URL) was undeterminable: name must be provided");
  }
  if (meta.name() != name) {
    return BadRequest("the name of the object (" + meta.name() +
                      ") does not match the name on the URL (" + name + ")");
  }
  if (!meta.namespace_().empty() && !ns.empty() && meta.namespace_() != ns) {
    return BadRequest("the namespace of the object (" + meta.namespace_() +
                      ") does not match the namespace on the request (" + ns + ")");
  }
  return {};
}

// One patch, applied to what the client would see. Shared by all tries.
struct PatchJob {
  const ResourceRow* row = nullptr;
  const api::KindInfo* shown_kind = nullptr;  // of the subresource
  std::string ns, name, subresource;
  client::PatchType type = client::PatchType::kMerge;
  std::string body;
  api::JsonValue parsed;
  bool force = false;
  FieldValidation validation = FieldValidation::kWarn;
  std::string manager;
  WallTime now;
  std::string duplicates;  // fields that the patch has twice: `duplicate field "spec.replicas"`
  std::shared_ptr<std::vector<std::string>> warnings;
};

// What applying a Scale means for the object behind it: the same document with that object's type.
Result<api::JsonValue> AppliedThroughScale(const PatchJob& job) {
  auto text = [&](const char* name) {
    const api::JsonValue* value = job.parsed.Find(name);
    return value != nullptr && value->is_string() ? value->as_string() : std::string();
  };
  if (text("apiVersion") != job.shown_kind->ApiVersion()) {
    return BadRequest("Incorrect version specified in apply patch. Specified patch version: " +
                      text("apiVersion") + ", expected: " + job.shown_kind->ApiVersion());
  }
  api::JsonValue document = job.parsed;
  document["apiVersion"] = job.row->kind->ApiVersion();
  document["kind"] = std::string(job.row->kind->kind);
  document.Erase("status");
  return document;
}

Result<std::unique_ptr<Message>> ApplyServerSide(PatchJob& job, const api::Object* live) {
  if (live == nullptr && !job.subresource.empty()) return NotFound(*job.row->kind, job.name);
  const bool scale = job.subresource == "scale";
  api::JsonValue document;
  if (scale) {
    GANTRY_ASSIGN(document, AppliedThroughScale(job));
  }
  std::unique_ptr<Message> shown;
  if (live != nullptr && job.row->kind != job.row->kind->storage_kind) {
    GANTRY_ASSIGN(shown, api::ConvertTo(*job.row->kind, live->message()));
  }
  const Message* base = live == nullptr ? nullptr : shown ? shown.get() : &live->message();
  GANTRY_ASSIGN(std::unique_ptr<Message> applied,
                Apply(*job.row->kind, base, scale ? document : job.parsed, job.manager,
                      job.subresource, job.force, job.now));
  GANTRY_TRY(CheckName(*applied, job.ns, job.name));
  if (const std::string& uid = MetaOf(*applied).uid(); live == nullptr && !uid.empty()) {
    return Conflict(*job.row->kind, job.name,
                    "uid mismatch: the provided object specified uid " + uid +
                        ", and no existing object was found");
  }
  GANTRY_ASSIGN(std::unique_ptr<Message> stored, ToStored(*job.row->kind, std::move(applied)));
  if (live == nullptr || scale) return stored;
  return Absorb(*job.row, job.subresource, live->message(), std::move(stored));
}

// The kind of a JSON value as Go's decoder names it.
std::string KindOfJson(const api::JsonValue& value) {
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  return value.is_bool() ? "bool" : "number";
}

// What the converter of maps to objects says where Go's JSON decoder says "json: cannot unmarshal
// string into Go struct field PodSpec.spec.nodeName of type int32".
std::string ConverterReason(const std::string& reason) {
  constexpr std::string_view kStart = "json: cannot unmarshal ", kInto = " into Go ",
                             kType = " of type ";
  if (!reason.starts_with(kStart)) return reason;
  const std::string_view all = reason;
  const size_t into = all.find(kInto), type_at = all.rfind(kType);
  if (into == all.npos || type_at == all.npos) return reason;
  std::string_view from = all.substr(kStart.size(), into - kStart.size());
  std::string_view type = all.substr(type_at + kType.size());
  const bool fraction = from.find_first_of(".eE") != from.npos && from.starts_with("number ");
  if (from.starts_with("number")) from = fraction ? "float64" : "int64";
  if (from == "object") from = "map";
  if (from == "array") from = "slice";
  const std::string source(from);
  if (type.starts_with("[]")) return "cannot restore slice from " + source;
  if (type.starts_with("map[")) return "cannot restore map from " + source;
  if (type.find('.') != type.npos) return "cannot restore struct from: " + source;
  const bool number = source == "int64" || source == "float64";
  const bool converts =
      (number && type != "string" && type != "bool") || (source == "int64" && type == "string");
  return converts ? "cannot convert " + source + " to " + std::string(type)
                  : "unrecognized type: " + std::string(type);
}

constexpr std::string_view kStrict = "strict decoding error: ";

// The members that a patch shaped like an object of the kind has twice.
std::string DuplicatesIn(const api::KindInfo& kind, std::string_view json) {
  std::unique_ptr<Message> scratch(kind.prototype->New());
  api::JsonIssues issues;
  std::string all;
  if (!api::ReadJson(json, scratch.get(), &issues).ok()) return all;
  for (const std::string& issue : issues.messages) {
    if (issue.starts_with("duplicate field")) all += (all.empty() ? "" : ", ") + issue;
  }
  return all;
}

// A patched object that cannot be: the answer shows what the patch made of it, or the patch.
Status InvalidPatch(const PatchJob& job, const std::string& patched, const std::string& reason) {
  const bool strategic = job.type == client::PatchType::kStrategicMerge;
  const std::string shown = strategic ? api::GoText(job.parsed) : patched;
  const std::string why = strategic ? ConverterReason(reason) : reason;
  api::FieldErrors errors;
  errors.push_back({api::FieldError::Type::kInvalid, "patch",
                    "Invalid value: " + api::GoQuote(shown) + ": " + why});
  return api::InvalidObject("", "", "", errors);
}

Result<std::unique_ptr<Message>> RunPatch(PatchJob& job, const api::Object* live) {
  if (job.type == client::PatchType::kApply) return ApplyServerSide(job, live);
  if (live == nullptr) return NotFound(*job.row->kind, job.name);
  // A view over the live object; it does not outlive this call.
  api::ObjectPtr borrowed(live, [](const api::Object*) {});
  GANTRY_ASSIGN(api::ObjectPtr shown, ViewOf(*job.row, job.subresource, borrowed));
  if (job.subresource != "scale") shown = InVersion(*job.row->kind, shown);
  GANTRY_ASSIGN(api::JsonValue document, api::JsonValue::Parse(*shown->json()));
  api::JsonValue patched;
  if (job.type == client::PatchType::kJson) {
    GANTRY_ASSIGN(patched, JsonPatch(std::move(document), job.body));
  } else if (job.type == client::PatchType::kMerge) {
    patched = MergePatch(std::move(document), job.parsed);
  } else {
    GANTRY_ASSIGN(patched, StrategicMergePatch(job.shown_kind->prototype->GetDescriptor(),
                                               std::move(document), job.parsed));
  }
  job.warnings->clear();
  const std::string text = patched.ToString();
  std::string reason;
  Result<std::unique_ptr<Message>> decoded =
      DecodeBody(*job.shown_kind, Media::kJson, text, job.validation, job.warnings.get(), &reason);
  const bool twice = !job.duplicates.empty();
  if (!decoded.ok()) {
    if (reason.empty()) return decoded.status();
    if (twice && reason.starts_with(kStrict)) reason.insert(kStrict.size(), job.duplicates + ", ");
    return InvalidPatch(job, text, reason);
  }
  if (twice && job.validation == FieldValidation::kStrict)
    return InvalidPatch(job, text, std::string(kStrict) + job.duplicates);
  if (twice) job.warnings->insert(job.warnings->begin(), job.duplicates);
  std::unique_ptr<Message> object = std::move(*decoded);
  GANTRY_TRY(CheckName(*object, job.ns, job.name));
  if (job.subresource != "scale") {
    GANTRY_ASSIGN(object, ToStored(*job.row->kind, std::move(object)));
  }
  return Absorb(*job.row, job.subresource, live->message(), std::move(object));
}

}  // namespace

Verbs::Verbs(Registry& registry, AdmissionChain& admission, TokenIssuer* tokens)
    : registry_(registry), admission_(admission), tokens_(tokens) {}

Task<Result<api::ObjectPtr>> Verbs::Get(const ResourceRow& row, std::string ns, std::string name,
                                        std::string subresource, std::string resource_version) {
  Result<api::ObjectPtr> got =
      co_await registry_.Get(row, std::move(ns), std::move(name), std::move(resource_version));
  if (!got.ok()) co_return got;
  if (subresource == "scale") co_return ViewOf(row, subresource, *got);
  co_return InVersion(*row.kind, std::move(*got));
}

Task<Result<Outcome>> Verbs::Create(Call call, const ResourceRow& row, std::string ns,
                                    std::string name, std::string subresource,
                                    std::unique_ptr<Message> object) {
  Outcome outcome;
  outcome.created = true;
  if (subresource.empty()) {
    Result<std::unique_ptr<Message>> stored = ToStored(*row.kind, std::move(object));
    if (!stored.ok()) co_return stored.status();
    Result<api::ObjectPtr> made =
        co_await registry_.Create(std::move(call), row, std::move(ns), std::move(*stored));
    if (!made.ok()) co_return made.status();
    outcome.object = InVersion(*row.kind, std::move(*made));
    co_return outcome;
  }

  AdmissionRequest admission(Operation::kCreate, call, row, subresource, ns, name);
  admission.object = object.get();
  Status admitted = admission_.Mutate(admission);
  if (admitted.ok()) admitted = admission_.Validate(admission);
  if (!admitted.ok()) co_return admitted;
  Result<api::ObjectPtr> made = NoSuchResource();
  if (subresource == "binding") {
    outcome.status_only = true;
    made = co_await BindPod(registry_, std::move(call), row, std::move(ns), std::move(name),
                            std::move(object));
  } else if (subresource == "eviction") {
    outcome.status_only = true;
    made = co_await EvictPod(registry_, std::move(call), row, std::move(ns), std::move(name),
                             std::move(object));
  } else if (subresource == "token" && tokens_ != nullptr) {
    made = tokens_->Issue(ns, name, *object);
  }
  if (!made.ok()) co_return made.status();
  outcome.object = std::move(*made);
  co_return outcome;
}

Task<Result<Outcome>> Verbs::Update(Call call, const ResourceRow& row, std::string ns,
                                    std::string name, std::string subresource,
                                    std::unique_ptr<Message> object, bool may_create) {
  Status named = CheckName(*object, ns, name);
  if (!named.ok()) co_return named;
  if (subresource != "scale") {
    Result<std::unique_ptr<Message>> stored = ToStored(*row.kind, std::move(object));
    if (!stored.ok()) co_return stored.status();
    object = std::move(*stored);
  }
  std::shared_ptr<const Message> sent(std::move(object));
  UpdateRequest request;
  request.ns = std::move(ns);
  request.name = std::move(name);
  request.subresource = subresource;
  request.kind = ChangeKind::kUpdate;
  request.may_create = may_create && row.strategy->create_on_update && subresource.empty();
  request.validate = ValidatorOf(row, subresource);
  request.change = [sent, &row,
                    subresource](const api::Object* live) -> Result<std::unique_ptr<Message>> {
    if (live == nullptr || subresource.empty()) return Clone(*sent);
    return Absorb(row, subresource, live->message(), Clone(*sent));
  };
  Result<UpdateResult> updated =
      co_await registry_.Update(std::move(call), row, std::move(request));
  if (!updated.ok()) co_return updated.status();
  Outcome outcome;
  outcome.created = updated->created;
  Result<api::ObjectPtr> shown = ViewOf(row, subresource, updated->object);
  if (!shown.ok()) co_return shown.status();
  outcome.object =
      subresource == "scale" ? std::move(*shown) : InVersion(*row.kind, std::move(*shown));
  co_return outcome;
}

Task<Result<Outcome>> Verbs::Patch(Call call, const ResourceRow& row, std::string ns,
                                   std::string name, std::string subresource,
                                   client::PatchType type, std::string body, bool force,
                                   FieldValidation validation, bool may_create) {
  const bool apply = type == client::PatchType::kApply;
  auto job = std::make_shared<PatchJob>();
  job->row = &row;
  job->shown_kind = KindOfSubresource(row, subresource);
  if (job->shown_kind == nullptr) co_return NoSuchResource();
  job->ns = ns;
  job->name = name;
  job->subresource = subresource;
  job->type = type;
  job->force = force;
  job->validation = validation;
  job->manager = call.manager;
  job->now = registry_.env().Now();
  job->warnings = std::make_shared<std::vector<std::string>>();
  if (type != client::PatchType::kJson) {
    Result<std::string> json = JsonOfBody(apply ? Media::kYaml : Media::kJson, body);
    if (!json.ok()) co_return BadRequest("error decoding YAML: " + json.status().message());
    const char* where = type == client::PatchType::kMerge ? "error decoding patch: " : "";
    Result<api::JsonValue> parsed = api::JsonValue::Parse(*json);
    if (!parsed.ok()) co_return BadRequest(where + parsed.status().message());
    if (!parsed->is_object()) {
      co_return BadRequest(where + ("json: cannot unmarshal " + KindOfJson(*parsed)) +
                           " into Go value of type map[string]interface {}");
    }
    job->parsed = std::move(*parsed);
    if (!apply && validation != FieldValidation::kIgnore)
      job->duplicates = DuplicatesIn(*job->shown_kind, *json);
  } else {
    job->body = std::move(body);
  }
  std::shared_ptr<std::vector<std::string>> warnings = call.warnings;
  UpdateRequest request;
  request.ns = std::move(ns);
  request.name = std::move(name);
  request.subresource = subresource;
  request.kind = apply ? ChangeKind::kApply : ChangeKind::kPatch;
  request.may_create = apply && may_create && subresource.empty();
  request.validate = ValidatorOf(row, subresource);
  request.change = [job](const api::Object* live) { return RunPatch(*job, live); };
  Result<UpdateResult> updated =
      co_await registry_.Update(std::move(call), row, std::move(request));
  if (!updated.ok()) co_return updated.status();
  for (std::string& warning : *job->warnings)
    warnings->push_back(std::move(warning));
  Outcome outcome;
  outcome.created = updated->created;
  Result<api::ObjectPtr> shown = ViewOf(row, subresource, updated->object);
  if (!shown.ok()) co_return shown.status();
  outcome.object =
      subresource == "scale" ? std::move(*shown) : InVersion(*row.kind, std::move(*shown));
  co_return outcome;
}

Task<Result<Outcome>> Verbs::Delete(Call call, const ResourceRow& row, DeleteRequest request) {
  Result<DeleteResult> gone = co_await registry_.Delete(std::move(call), row, std::move(request));
  if (!gone.ok()) co_return gone.status();
  Outcome outcome;
  outcome.gone = gone->gone;
  outcome.status_only = gone->gone && !row.strategy->returns_deleted;
  outcome.object = InVersion(*row.kind, std::move(gone->object));
  co_return outcome;
}

}  // namespace gantry::apiserver

#include <charconv>

#include "api/quote.h"
#include "apiserver/registry/continue_token.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

constexpr std::string_view kExpiredContinue =
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder "
    "of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were "
    "created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list.";

// How long a read waits for a revision that this server has not seen yet, and for its cache to show
// what the store has.
constexpr Duration kNewerElsewhere = std::chrono::seconds(3);
constexpr Duration kPatience = std::chrono::seconds(10);

Result<int64_t> ParseRevision(std::string_view text) {
  if (text.empty()) return int64_t{0};
  int64_t revision = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (error != std::errc() || end != text.data() + text.size() || revision < 0) {
    return BadRequest("resourceVersion: Invalid value: \"" + std::string(text) +
                      "\": strconv.ParseUint: parsing \"" + std::string(text) +
                      "\": invalid syntax");
  }
  return revision;
}

Status TooLarge(int64_t asked, int64_t current) {
  StatusDetails details;
  details.retry_after_seconds = 1;
  details.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  return Status(Code::kTimeout,
                "Too large resource version: " + std::to_string(asked) +
                    ", current: " + std::to_string(current),
                std::move(details));
}

using Type = api::FieldError::Type;

constexpr char kMatch[] = "resourceVersionMatch";

Status InvalidListOptions(const api::FieldErrors& errors) {
  if (errors.empty()) return {};
  return api::InvalidObject("meta.k8s.io", "ListOptions", "", errors);
}

Status CheckListOptions(const ListRequest& request) {
  api::FieldErrors errors;
  const std::string& match = request.resource_version_match;
  if (!match.empty()) {
    if (request.resource_version.empty()) {
      errors.push_back(
          {Type::kForbidden, kMatch,
           "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"});
    }
    if (!request.continue_token.empty()) {
      errors.push_back({Type::kForbidden, kMatch,
                        "Forbidden: resourceVersionMatch is forbidden when continue is provided"});
    }
    if (match != "Exact" && match != "NotOlderThan") {
      errors.push_back({Type::kNotSupported, kMatch,
                        "Unsupported value: " + api::GoQuote(match) +
                            ": supported values: \"Exact\", \"NotOlderThan\", \"\""});
    }
    if (match == "Exact" && request.resource_version == "0") {
      errors.push_back({Type::kForbidden, kMatch,
                        "Forbidden: resourceVersionMatch \"exact\" is forbidden for "
                        "resourceVersion \"0\""});
    }
  }
  if (request.send_initial_events.has_value()) {
    errors.push_back({Type::kForbidden, "sendInitialEvents",
                      "Forbidden: sendInitialEvents is forbidden for list"});
  }
  return InvalidListOptions(errors);
}

Status CheckWatchOptions(const WatchRequest& request) {
  api::FieldErrors errors;
  const std::string& match = request.resource_version_match;
  if (request.send_initial_events.has_value() && match != "NotOlderThan") {
    errors.push_back({Type::kForbidden, kMatch,
                      "Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                      "NotOlderThan"});
  }
  if (!match.empty()) {
    if (!request.send_initial_events.has_value()) {
      errors.push_back({Type::kForbidden, kMatch,
                        "Forbidden: resourceVersionMatch is forbidden for watch unless "
                        "sendInitialEvents is provided"});
    }
    if (match != "NotOlderThan") {
      errors.push_back(
          {Type::kNotSupported, kMatch,
           "Unsupported value: " + api::GoQuote(match) + ": supported values: \"NotOlderThan\""});
    }
  }
  return InvalidListOptions(errors);
}

std::string ListPrefix(const ResourceRow& row, std::string_view ns) {
  return api::StoragePrefix(*row.kind->storage_kind, ns);
}

bool Selected(const store::Selection& selection, const api::Object& object) {
  if (!selection.name.empty() && object.name() != selection.name) return false;
  return !selection.matches || selection.matches(object);
}

}  // namespace

Registry::Registry(Env& env, store::Store& store, store::WatchCaches& caches,
                   AdmissionChain& admission, Allocators& allocators)
    : env_(env), store_(store), caches_(caches), admission_(admission), allocators_(allocators) {}

api::ObjectPtr Registry::Peek(const api::KindInfo& kind, std::string_view ns,
                              std::string_view name) const {
  return caches_.For(*kind.storage_kind).Get(api::StorageKey(*kind.storage_kind, ns, name));
}

// Waits until the cache is as new as the request asks: "" is everything that anybody has been told
// so far, "0" anything.
Task<Status> Registry::Reach(std::string_view resource_version) {
  if (resource_version == "0") co_return Status();
  store::SharedStore* const shared = store_.shared();
  int64_t wanted = store_.revision();
  if (!resource_version.empty()) {
    Result<int64_t> revision = ParseRevision(resource_version);
    if (!revision.ok()) co_return revision.status();
    const int64_t current = wanted;
    wanted = *revision;
    if (wanted > current) {
      // Another server may have given it out.
      if (shared == nullptr) co_return TooLarge(wanted, current);
      Status seen = co_await caches_.WaitFor(wanted, {}, env_.Steady() + kNewerElsewhere);
      if (seen.code() == Code::kTimeout) co_return TooLarge(wanted, caches_.revision());
      co_return seen;
    }
  } else if (shared != nullptr) {
    Result<int64_t> latest = co_await shared->LatestRevision();
    if (!latest.ok()) co_return latest.status();
    wanted = *latest;
  }
  if (caches_.revision() >= wanted) co_return Status();
  Status seen = co_await caches_.WaitFor(wanted, {}, env_.Steady() + kPatience);
  if (seen.code() == Code::kTimeout)
    co_return Status(Code::kUnknown, "etcdserver: request timed out");
  co_return seen;
}

Task<Result<api::ObjectPtr>> Registry::Get(const ResourceRow& row, std::string ns, std::string name,
                                           std::string resource_version) {
  Status reached = co_await Reach(resource_version);
  if (!reached.ok()) co_return reached;
  api::ObjectPtr object = Peek(*row.kind, ns, name);
  if (object == nullptr) co_return NotFound(*row.kind, name);
  co_return object;
}

Task<Result<ListResult>> Registry::List(const ResourceRow& row, ListRequest request) {
  Result<store::Selection> selection =
      SelectionOf(row, request.ns, request.label_selector, request.field_selector);
  if (!selection.ok()) co_return selection.status();
  Status fit = CheckListOptions(request);
  if (!fit.ok()) co_return fit;

  store::WatchCache& cache = CacheOf(*row.kind);
  const std::string prefix = ListPrefix(row, "");
  std::string after;
  int64_t exact = 0;  // 0: whatever the cache holds
  if (!request.continue_token.empty()) {
    if (!request.resource_version.empty() && request.resource_version != "0") {
      co_return BadRequest("specifying resource version is not allowed when using continue");
    }
    Result<ContinueToken> token = DecodeContinueToken(request.continue_token);
    if (!token.ok()) co_return token.status();
    after = prefix + token->start;
    if (token->revision > 0) exact = token->revision;
    Status reached = co_await Reach({});
    if (!reached.ok()) co_return reached;
    if (exact > store_.revision()) {
      reached = co_await Reach(std::to_string(exact));
      if (!reached.ok()) co_return reached;
    }
  } else {
    Status reached = co_await Reach(request.resource_version);
    if (!reached.ok()) co_return reached;
    bool legacy_exact = request.resource_version_match.empty() && request.limit > 0 &&
                        !request.resource_version.empty() && request.resource_version != "0";
    if (request.resource_version_match == "Exact" || legacy_exact) {
      Result<int64_t> revision = ParseRevision(request.resource_version);
      if (!revision.ok()) co_return revision.status();
      exact = *revision;
    }
  }

  if (exact != 0 && exact < cache.changed_revision()) {
    co_return co_await ListAt(row, std::move(request), exact, std::move(after),
                              std::move(*selection));
  }
  store::WatchCache::Page page = cache.List(*selection, after, request.limit);
  ListResult result;
  result.items = std::move(page.objects);
  result.revision = exact != 0 ? exact : page.revision;
  if (page.more && !result.items.empty()) {
    ContinueToken token;
    token.revision = result.revision;
    token.start = result.items.back()->Key().substr(prefix.size());
    result.continue_token = EncodeContinueToken(token);
    if (request.label_selector.empty() && request.field_selector.empty())
      result.remaining = page.remaining;
  }
  co_return result;
}

// A list as of an older revision, read from the store.
Task<Result<ListResult>> Registry::ListAt(const ResourceRow& row, ListRequest request,
                                          int64_t revision, std::string after,
                                          store::Selection selection) {
  const api::KindInfo& kind = *row.kind->storage_kind;
  const std::string prefix = ListPrefix(row, selection.ns);
  const size_t key_start = ListPrefix(row, "").size();
  ListResult result;
  result.revision = revision;
  bool more = true;
  while (more) {
    Result<store::ListPage> page = co_await store_.List(prefix, after, request.limit, revision);
    if (!page.ok()) {
      if (page.code() != Code::kExpired) co_return page.status();
      if (request.continue_token.empty()) {
        co_return Status(Code::kExpired, "The provided resource version is too old.");
      }
      co_return Status(Code::kExpired, std::string(kExpiredContinue));
    }
    more = page->more && !page->records.empty();
    for (size_t i = 0; i < page->records.size(); ++i) {
      store::Record& record = page->records[i];
      after = record.key;
      Result<api::ObjectPtr> object = api::Object::FromStored(kind, record.value, record.revision);
      if (!object.ok()) co_return object.status();
      if (!Selected(selection, **object)) continue;
      result.items.push_back(std::move(*object));
      if (request.limit > 0 && static_cast<int64_t>(result.items.size()) == request.limit) {
        int64_t behind = page->remaining + static_cast<int64_t>(page->records.size() - i - 1);
        if (behind > 0) {
          ContinueToken token;
          token.revision = revision;
          token.start = after.substr(key_start);
          result.continue_token = EncodeContinueToken(token);
          if (request.label_selector.empty() && request.field_selector.empty())
            result.remaining = behind;
        }
        co_return result;
      }
    }
  }
  co_return result;
}

Task<Result<std::unique_ptr<store::CacheWatch>>> Registry::Watch(const ResourceRow& row,
                                                                 WatchRequest request,
                                                                 CancelToken cancel) {
  Result<store::Selection> selection =
      SelectionOf(row, request.ns, request.label_selector, request.field_selector);
  if (!selection.ok()) co_return selection.status();
  Result<int64_t> revision = ParseRevision(request.resource_version);
  if (!revision.ok()) co_return revision.status();
  Status fit = CheckWatchOptions(request);
  if (!fit.ok()) co_return fit;
  bool initial = request.send_initial_events.value_or(*revision == 0);
  if (initial) {
    Status reached = co_await Reach(request.resource_version);
    if (!reached.ok()) co_return reached;
  }
  int64_t after = *revision != 0 ? *revision : caches_.revision();
  co_return CacheOf(*row.kind).Watch(std::move(*selection), after, initial);
}

}  // namespace gantry::apiserver

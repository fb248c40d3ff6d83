#include "apiserver/registry/messages.h"
#include "apiserver/registry/registry.h"

namespace gantry::apiserver {
namespace {

// What a state decides. Anything else is a failure to write, after which nobody knows how things
// stand.
bool IsRefusal(const Status& status) {
  switch (status.code()) {
    case Code::kBadRequest:
    case Code::kForbidden:
    case Code::kNotFound:
    case Code::kConflict:
    case Code::kInvalid:
    case Code::kTooManyRequests:
      return true;
    default:
      return false;
  }
}

bool NothingDone(const api::ObjectPtr&) { return false; }
bool NothingDone(const UpdateResult& result) { return result.unchanged; }
bool NothingDone(const DeleteResult& result) { return result.unchanged; }

}  // namespace

template <class Outcome>
Task<Result<Outcome>> Registry::Decide(const Call& call,
                                       std::function<Task<Result<Outcome>>()> decide) {
  const int64_t seen = caches_.revision();
  const size_t warnings = call.warnings->size();
  Result<Outcome> outcome = co_await decide();
  const bool final = outcome.ok() ? !NothingDone(*outcome) : !IsRefusal(outcome.status());
  if (final) co_return outcome;
  Status reached = co_await Reach({});
  if (!reached.ok()) co_return reached;
  if (caches_.revision() == seen) co_return outcome;
  call.warnings->resize(warnings);
  co_return co_await decide();
}

Task<Result<api::ObjectPtr>> Registry::Create(Call call, const ResourceRow& row, std::string ns,
                                              std::unique_ptr<google::protobuf::Message> object) {
  if (store_.shared() == nullptr) {
    Task<Result<api::ObjectPtr>> made =
        CreateFromCache(std::move(call), row, std::move(ns), std::move(object));
    co_return co_await std::move(made);
  }
  std::shared_ptr<const Message> sent(std::move(object));
  std::function<Task<Result<api::ObjectPtr>>()> decide = [this, &call, &row, &ns, sent] {
    return CreateFromCache(call, row, ns, Clone(*sent));
  };
  co_return co_await Decide(call, std::move(decide));
}

Task<Result<UpdateResult>> Registry::Update(Call call, const ResourceRow& row,
                                            UpdateRequest request) {
  if (store_.shared() == nullptr) {
    Status reached = co_await Reach({});
    if (!reached.ok()) co_return reached;
    co_return co_await UpdateFromCache(std::move(call), row, std::move(request));
  }
  std::function<Task<Result<UpdateResult>>()> decide = [this, &call, &row, &request] {
    return UpdateFromCache(call, row, request);
  };
  co_return co_await Decide(call, std::move(decide));
}

Task<Result<DeleteResult>> Registry::Delete(Call call, const ResourceRow& row,
                                            DeleteRequest request) {
  if (store_.shared() == nullptr) {
    Status reached = co_await Reach({});
    if (!reached.ok()) co_return reached;
    co_return co_await DeleteFromCache(std::move(call), row, std::move(request));
  }
  std::function<Task<Result<DeleteResult>>()> decide = [this, &call, &row, &request] {
    return DeleteFromCache(call, row, request);
  };
  co_return co_await Decide(call, std::move(decide));
}

}  // namespace gantry::apiserver

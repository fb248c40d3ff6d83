#include "client/plan_shell.h"

#include <google/protobuf/message.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/env/spawn.h"

namespace gantry::client {
namespace {

// Once a namespace goes away nothing can be created in it, and retrying would not help.
bool NamespaceIsTerminating(const Status& status) {
  for (const StatusCause& cause : status.details().causes) {
    if (cause.reason == "NamespaceTerminating") return true;
  }
  return false;
}

struct Outcome {
  Status status;
  api::ObjectPtr object;  // null where nothing was written
};

Task<Result<api::ObjectPtr>> Send(Client& client, const Action& action) {
  const api::KindInfo& kind = *action.kind;
  std::unique_ptr<google::protobuf::Message> message;
  if (action.object) {
    message.reset(action.object->New());
    message->CopyFrom(*action.object);
  }
  WriteOptions options;
  switch (action.verb) {
    case Action::Verb::kCreate:
      co_return co_await client.Create(kind, action.ns, action.name, action.subresource,
                                       std::move(message), std::move(options));
    case Action::Verb::kUpdate:
      co_return co_await client.Update(kind, action.subresource, std::move(message),
                                       std::move(options));
    case Action::Verb::kUpdateStatus:
      co_return co_await client.Update(kind, "status", std::move(message), std::move(options));
    case Action::Verb::kPatch:
      co_return co_await client.Patch(kind, action.ns, action.name, action.subresource,
                                      action.patch_type, action.patch, std::move(options));
    case Action::Verb::kDelete:
      co_return co_await client.Delete(kind, action.ns, action.name, action.delete_options);
  }
  co_return InternalError("an action without a verb");
}

Task<> Try(Client& client, const Action& action, Outcome& outcome) {
  Result<api::ObjectPtr> result = co_await Send(client, action);
  if (result.ok()) {
    outcome.object = std::move(result).value();
    co_return;
  }
  const bool gone = action.verb == Action::Verb::kDelete && result.code() == Code::kNotFound;
  const bool exists = action.verb == Action::Verb::kCreate && action.tolerate_exists &&
                      result.code() == Code::kAlreadyExists;
  if (!gone && !exists) outcome.status = result.status();
}

void RecordNote(Execution& execution, EventNote note) {
  if (execution.record && note.about) execution.record(std::move(note));
}

// How many actions from `begin` may go out together.
size_t RunLength(const std::vector<Action>& actions, size_t begin, size_t allowed) {
  size_t end = begin + 1;
  if (actions[begin].verb == Action::Verb::kCreate) {
    while (end < actions.size() && end - begin < allowed &&
           actions[end].verb == Action::Verb::kCreate && actions[end].kind == actions[begin].kind) {
      ++end;
    }
  }
  return end - begin;
}

}  // namespace

Task<Status> Execute(Env& env, Client& client, Plan plan, Execution& execution) {
  for (EventNote& note : plan.events)
    RecordNote(execution, std::move(note));
  std::vector<Action> actions = std::move(plan.actions);
  size_t allowed = 1;
  Status first_failure;
  for (size_t begin = 0; begin < actions.size();) {
    const size_t count = RunLength(actions, begin, allowed);
    const bool creates = actions[begin].verb == Action::Verb::kCreate;
    std::vector<Outcome> outcomes(count);
    if (count == 1) {
      co_await Try(client, actions[begin], outcomes[0]);
    } else {
      Gate gate;
      for (size_t i = 0; i < count; ++i) {
        Spawn(env.executor(), gate, "plan", Try(client, actions[begin + i], outcomes[i]));
      }
      co_await gate.Close(env);
    }
    Status failure;
    for (size_t i = 0; i < count; ++i) {
      Action& action = actions[begin + i];
      Outcome& outcome = outcomes[i];
      if (outcome.object) {
        Written& entry = execution.written.emplace_back();
        entry.kind = &outcome.object->kind();
        entry.revision = outcome.object->revision();
        if (action.on_success) RecordNote(execution, action.on_success(outcome.object));
      }
      if (outcome.status.ok()) continue;
      if (failure.ok()) failure = outcome.status;
      if (action.on_failure) {
        Plan consequence = action.on_failure(outcome.status);
        // What a failure leads to is best effort: the first failure is what counts.
        Status ignored = co_await Execute(env, client, std::move(consequence), execution);
      }
    }
    if (!failure.ok()) {
      if (creates && NamespaceIsTerminating(failure)) co_return Status::Ok();
      if (first_failure.ok()) first_failure = failure;
      if (!actions[begin].independent) co_return first_failure;
    }
    begin += count;
    const bool more = begin < actions.size() && creates &&
                      actions[begin].verb == Action::Verb::kCreate &&
                      actions[begin].kind == actions[begin - 1].kind;
    allowed = more ? allowed * 2 : 1;
  }
  co_return first_failure;
}

}  // namespace gantry::client

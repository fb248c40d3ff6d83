#include "node/probes/prober.h"

#include <algorithm>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/core/v1/probe.pb.h"
#include "base/env/notifier.h"
#include "client/events.h"
#include "node/probes/handler.h"

namespace gantry::node {

using api::core::v1::Probe;
using std::chrono::seconds;

namespace {

enum class ProbeKind : uint8_t { kStartup, kLiveness, kReadiness };

constexpr const char* kKindNames[] = {"Startup", "Liveness", "Readiness"};

}  // namespace

struct Prober::Watch {
  Watch(Env& env, Runtime& runtime, client::EventRecorder& events)
      : env(env), runtime(runtime), events(events) {}

  Env& env;
  Runtime& runtime;
  client::EventRecorder& events;
  ProbeKind kind = ProbeKind::kLiveness;
  api::core::v1::Probe probe;
  HandlerTarget target;
  std::string field_path;
  api::ObjectPtr pod;
  WallTime started_at;
  std::optional<bool> result;
  CancelSource stop;
  Notifier wake;
  std::function<void()> changed;
  std::shared_ptr<Watch> gate_by;  // the startup probe that has to succeed first
};

Prober::Prober(Env& env, Runtime& runtime, client::EventRecorder& events, Executor strand,
               std::function<void()> changed)
    : env_(env),
      runtime_(runtime),
      events_(events),
      strand_(std::move(strand)),
      changed_(std::move(changed)) {}

Prober::~Prober() { StopAll(); }

Task<> Prober::Run(std::shared_ptr<Watch> watch) {
  CancelToken cancel = watch->stop.token();
  const Probe& probe = watch->probe;
  Duration period = seconds(std::max(1, probe.period_seconds()));
  Duration timeout = seconds(std::max(1, probe.timeout_seconds()));
  int successes_needed = std::max(1, probe.success_threshold()),
      failures_needed = std::max(1, probe.failure_threshold());
  WallTime first = watch->started_at + seconds(probe.initial_delay_seconds());
  if (WallTime now = watch->env.Now(); first > now)
    co_await SleepFor(watch->env, first - now, cancel);
  int successes = 0, failures = 0;
  while (!cancel.cancelled()) {
    if (watch->gate_by && watch->gate_by->result != true) {
      co_await watch->wake.Wait(watch->env, cancel);
      continue;
    }
    ProbeAnswer answer = co_await AskOnce(watch->env, watch->runtime, probe.handler(),
                                          watch->target, timeout, cancel);
    if (cancel.cancelled()) co_return;
    std::optional<bool> before = watch->result;
    if (answer.kind == ProbeAnswer::Kind::kSuccess) {
      failures = 0;
      if (++successes >= successes_needed) watch->result = true;
    } else {
      std::string what = kKindNames[static_cast<int>(watch->kind)];
      bool failed = answer.kind == ProbeAnswer::Kind::kFailure;
      std::string message =
          what + (failed ? " probe failed: " : " probe errored and resulted in unknown state: ") +
          answer.message;
      watch->events.Record(watch->pod, "Warning", "Unhealthy", std::move(message),
                           watch->field_path);
      if (failed) {
        successes = 0;
        if (++failures >= failures_needed) watch->result = false;
      }
    }
    if (watch->result != before) {
      watch->changed();
      // A container that has to go is not asked again; one that has come up needs no more asking.
      if (watch->kind == ProbeKind::kStartup) co_return;
      if (watch->kind == ProbeKind::kLiveness && watch->result == false) co_return;
    }
    co_await SleepFor(watch->env, period, cancel);
  }
}

void Prober::Sync(const api::Ref<api::core::v1::Pod>& pod, const ContainerList& containers,
                  const ContainerRuns& runs, const std::vector<std::string>& pod_ips) {
  for (const ContainerEntry& entry : containers.all()) {
    const ContainerRun* run = runs.Latest(entry.name());
    bool running = run != nullptr && run->state == ContainerRun::State::kRunning;
    auto known = watches_.find(entry.name());
    if (known != watches_.end() &&
        (!running || (!known->second.empty() && known->second.front()->target.id != run->id))) {
      StopContainer(entry.name(), false);
      known = watches_.end();
    }
    if (!running || known != watches_.end()) continue;
    const auto& spec = *entry.spec;
    if (!spec.has_liveness_probe() && !spec.has_readiness_probe() && !spec.has_startup_probe())
      continue;
    std::vector<std::shared_ptr<Watch>>& list = watches_[entry.name()];
    auto add = [&](ProbeKind kind, const Probe& probe) {
      auto watch = std::make_shared<Watch>(env_, runtime_, events_);
      watch->kind = kind;
      watch->probe = probe;
      watch->target.id = run->id;
      watch->target.bundle = run->bundle;
      watch->target.pod_ip = pod_ips.empty() ? std::string() : pod_ips.front();
      watch->target.container = spec;
      watch->field_path = std::string(entry.role == ContainerRole::kMain ? "spec.containers{"
                                                                         : "spec.initContainers{") +
                          entry.name() + "}";
      watch->pod = pod.object();
      watch->started_at = run->started_at;
      list.push_back(watch);
      return watch;
    };
    std::shared_ptr<Watch> startup;
    if (spec.has_startup_probe()) startup = add(ProbeKind::kStartup, spec.startup_probe());
    if (spec.has_liveness_probe()) add(ProbeKind::kLiveness, spec.liveness_probe());
    if (spec.has_readiness_probe()) add(ProbeKind::kReadiness, spec.readiness_probe());
    // A container that this status already calls started or ready (the agent was restarted) stays
    // so until a probe says else.
    for (const auto* statuses :
         {&pod->status().container_statuses(), &pod->status().init_container_statuses()}) {
      for (const auto& status : *statuses) {
        if (status.name() != entry.name() ||
            status.container_id() != std::string(kContainerIdScheme) + run->id)
          continue;
        for (auto& watch : list) {
          if (watch->kind == ProbeKind::kStartup && status.started()) watch->result = true;
          if (watch->kind == ProbeKind::kReadiness && status.ready()) watch->result = true;
        }
      }
    }
    for (auto& watch : list) {
      if (watch->kind != ProbeKind::kStartup) watch->gate_by = startup;
    }
    for (auto& watch : list) {
      std::vector<std::shared_ptr<Watch>> gated;
      if (watch == startup) {
        for (auto& other : list) {
          if (other != startup) gated.push_back(other);
        }
      }
      watch->changed = [changed = changed_, gated] {
        for (auto& other : gated)
          other->wake.Notify();
        changed();
      };
      if (watch->kind == ProbeKind::kStartup && watch->result == true) continue;
      Spawn(strand_, *gate_, "probe", Run(watch));
    }
  }
}

void Prober::StopContainer(const std::string& name, bool keep_readiness) {
  auto it = watches_.find(name);
  if (it == watches_.end()) return;
  for (auto& watch : it->second) {
    if (keep_readiness && watch->kind == ProbeKind::kReadiness) continue;
    watch->stop.Cancel();
    watch->changed = [] {};
    watch->gate_by.reset();
  }
  if (!keep_readiness) watches_.erase(it);
}

void Prober::StopAll() {
  while (!watches_.empty())
    StopContainer(watches_.begin()->first, false);
}

std::map<std::string, ProbeResults, std::less<>> Prober::Results() const {
  std::map<std::string, ProbeResults, std::less<>> results;
  for (const auto& [name, list] : watches_) {
    ProbeResults& result = results[name];
    for (const auto& watch : list) {
      if (watch->kind == ProbeKind::kStartup) result.startup = watch->result;
      if (watch->kind == ProbeKind::kLiveness) result.liveness = watch->result;
      if (watch->kind == ProbeKind::kReadiness) result.readiness = watch->result;
    }
  }
  return results;
}

std::optional<int64_t> Prober::GraceFor(const std::string& container) const {
  auto it = watches_.find(container);
  if (it == watches_.end()) return std::nullopt;
  for (const auto& watch : it->second) {
    if (watch->kind != ProbeKind::kReadiness && watch->result == false &&
        watch->probe.has_termination_grace_period_seconds()) {
      return watch->probe.termination_grace_period_seconds();
    }
  }
  return std::nullopt;
}

}  // namespace gantry::node

#include "scheduler/scheduler.h"

#include <array>
#include <boost/asio/post.hpp>
#include <map>
#include <optional>
#include <set>

#include "api/pods.h"
#include "base/env/spawn.h"
#include "base/log.h"
#include "client/events.h"
#include "scheduler/cluster_watch.h"
#include "scheduler/evaluation/evaluations.h"
#include "scheduler/extender/extender_chain.h"
#include "scheduler/plugins/profile.h"
#include "scheduler/preemption/preemption.h"
#include "scheduler/writes/pod_writes.h"

namespace gantry::scheduler {
namespace {

using api::core::v1::Pod;

// Bindings that are being written at the same time; more wait for a place.
constexpr int kMaxBindings = 256;

// Events hold no more.
constexpr size_t kMaxMessage = 1024;

std::string Shortened(std::string message) {
  constexpr std::string_view kEllipsis = " ...";
  if (message.size() <= kMaxMessage) return message;
  message.resize(kMaxMessage - kEllipsis.size());
  return message.append(kEllipsis);
}

std::set<std::string> NamesOf(const Configuration& configuration) {
  std::set<std::string> names;
  for (const ProfileConfig& profile : configuration.profiles)
    names.insert(profile.name);
  return names;
}

}  // namespace

class Scheduler::Loop {
 public:
  Loop(Env& env, client::Client& client, client::InformerSet& informers,
       const Configuration& configuration, ExtenderChain extenders)
      : env_(env),
        client_(client),
        strand_(env.MakeStrand()),
        watch_(env, NamesOf(configuration),
               {configuration.first_backoff, configuration.max_backoff}),
        evaluations_(watch_.nodes(), watch_.facts()),
        extenders_(std::move(extenders)) {
    for (const ProfileConfig& config : configuration.profiles) {
      ProfilePart& part = profiles_[config.name];
      part.profile = MakeProfile(config, watch_.nodes());
      part.events = std::make_unique<client::EventRecorder>(env, client, config.name);
    }
    // Handlers run on informers' strands; the state here belongs to the scheduler's.
    watch_.Subscribe(informers, [this](std::function<void()> work) {
      if (!gate_.Enter()) return;
      boost::asio::post(strand_, [this, work = std::move(work)] {
        work();
        wakeup_.Notify();
        gate_.Leave();
      });
    });
  }

  void Start() { Spawn(strand_, gate_, "scheduler", Run()); }

  Task<> Stop() {
    stop_.Cancel();
    wakeup_.Notify();
    co_await extenders_.Stop();
    co_await gate_.Close(env_);
    for (auto& [name, part] : profiles_)
      co_await part.events->Stop();
  }

 private:
  struct ProfilePart {
    Profile profile;
    std::unique_ptr<client::EventRecorder> events;
  };

  NodeTable& nodes() { return watch_.nodes(); }
  SchedulingQueue& queue() { return watch_.queue(); }
  ProfilePart& PartOf(const PodInfo& pod) {
    return profiles_.find(pod.pod->spec().scheduler_name())->second;
  }
  Evaluation& EvaluationOf(const PodInfoPtr& pod) {
    return evaluations_.For(PartOf(*pod).profile, pod);
  }

  Task<> Run() {
    if (!(co_await watch_.WaitForSync(stop_.token())).ok()) co_return;
    while (!stop_.token().cancelled()) {
      PodInfoPtr pod = bindings_ < kMaxBindings ? queue().Pop(env_.Steady()) : nullptr;
      if (!pod) {
        co_await wakeup_.Wait(env_, stop_.token(), queue().NextWakeup());
        continue;
      }
      if (extenders_.AnyInterested(*pod)) {
        co_await ScheduleWithExtenders(std::move(pod));
      } else {
        Schedule(std::move(pod));
      }
    }
  }

  void Schedule(PodInfoPtr pod) {
    Evaluation& evaluation = EvaluationOf(pod);
    // The node where room was made for it, when it passes there now.
    size_t slot = nodes().SlotOf(nodes().NominatedNodeOf(pod->uid()));
    if (slot == NodeTable::kNoSlot || !evaluation.Passes(*pod, slot))
      slot = evaluation.Best(*pod, RandomUint64(env_));
    if (slot != NodeTable::kNoSlot) {
      Place(std::move(pod), nodes().slots()[slot].name);
    } else {
      Fail(std::move(pod), &evaluation);
    }
  }

  void Place(PodInfoPtr pod, std::string node) {
    watch_.Place(pod, node);
    ++bindings_;
    Spawn(strand_, gate_, "scheduler-bind", Bind(std::move(pod), std::move(node)));
  }

  // It passes nowhere: says why, and makes room for it where it may.
  void Fail(PodInfoPtr pod, Evaluation* evaluation) {
    const bool has_nomination = !nodes().NominatedNodeOf(pod->uid()).empty();
    if (const Explanation* known = evaluation->Remembered(); known && !has_nomination) {
      GiveUp(std::move(pod), *known);
      return;
    }
    Explanation explanation = evaluation->Explain(*pod);
    PreemptionPlan plan = Plan(evaluation, *pod, explanation);
    if (!plan.candidates.empty()) {
      const std::string node = LeastHarmful(plan.candidates);
      MakeRoomOn(std::move(pod), node, std::move(plan.candidates[node]), std::move(explanation));
      return;
    }
    explanation.preemption = plan.message;
    std::optional<std::string> nominated;
    if (plan.drop_nomination) nominated = DropNomination(*pod);
    if (!has_nomination) evaluation->Remember(explanation);
    GiveUp(std::move(pod), explanation, nominated);
  }

  PreemptionPlan Plan(Evaluation* evaluation, const PodInfo& pod, const Explanation& explanation,
                      const std::vector<std::string>& refused = {}) {
    const auto& options = PartOf(pod).profile.preemption;
    if (!options || explanation.nodes == 0) return {};
    return PlanPreemption(*evaluation, nodes(), watch_.facts(), *options, pod, RandomUint64(env_),
                          refused);
  }

  // What the status says of the nomination from now on: nothing new when there was none.
  std::optional<std::string> DropNomination(const PodInfo& pod) {
    const bool had = !nodes().NominatedNodeOf(pod.uid()).empty() ||
                     !pod.pod->status().nominated_node_name().empty();
    if (!had) return std::nullopt;
    nodes().RemoveNomination(pod.uid());
    return std::string();
  }

  void GiveUp(PodInfoPtr pod, const Explanation& explanation,
              std::optional<std::string> nominated = std::nullopt) {
    queue().Unschedulable(pod->uid(), explanation.rules, env_.Steady());
    Unscheduled why{"Unschedulable", explanation.Message(), std::move(nominated)};
    Spawn(strand_, gate_, "scheduler-unschedulable", Report(std::move(pod), std::move(why)));
  }

  void MakeRoomOn(PodInfoPtr pod, std::string node, Victims victims, Explanation explanation) {
    std::vector<PodInfoPtr> displaced = LessImportantNominations(nodes(), node, *pod);
    for (const PodInfoPtr& other : displaced)
      watch_.DropNomination(*other);
    nodes().Nominate(pod, node);
    Spawn(strand_, gate_, "scheduler-preempt",
          Preempt(std::move(pod), std::move(node), std::move(victims.pods), std::move(displaced),
                  std::move(explanation)));
  }

  // The pod is not tried again before this is done: what it would find is not so yet.
  Task<> Preempt(PodInfoPtr pod, std::string node, std::vector<PodInfoPtr> victims,
                 std::vector<PodInfoPtr> displaced, Explanation explanation) {
    for (PodInfoPtr& other : displaced) {
      const std::string name = other->FullName();
      const Status cleared = co_await ClearNomination(client_, std::move(other));
      if (!cleared.ok())
        log::Warning("scheduler", "cannot clear a nomination",
                     {{"pod", name}, {"error", cleared.message()}});
    }
    bool failed = false;
    for (const PodInfoPtr& victim : victims) {
      if (victim->terminating()) continue;
      std::string scheduler = pod->pod->spec().scheduler_name();
      const Status made = co_await MakeRoom(client_, victim, std::move(scheduler), env_.Now());
      if (made.ok()) {
        PartOf(*pod).events->Record(victim->pod.object(), "Normal", "Preempted",
                                    "Preempted by pod " + pod->uid() + " on node " + node);
        continue;
      }
      log::Warning("scheduler", "cannot preempt a pod",
                   {{"pod", victim->FullName()}, {"error", made.message()}});
      failed = true;
      break;
    }
    if (failed) {
      queue().Retry(pod->uid(), env_.Steady());
    } else {
      queue().Unschedulable(pod->uid(), explanation.rules, env_.Steady());
    }
    wakeup_.Notify();
    Unscheduled why{"Unschedulable", explanation.Message(), std::move(node)};
    co_await Report(std::move(pod), std::move(why));
  }

  // As Schedule. What may change while they are asked is looked at again afterwards.
  Task<> ScheduleWithExtenders(PodInfoPtr pod) {
    Evaluation& evaluation = EvaluationOf(pod);
    Explanation explanation = evaluation.Explain(*pod);
    const std::vector<Evaluation::Scored> all = evaluation.Feasible(*pod);
    const size_t nominated = nodes().SlotOf(nodes().NominatedNodeOf(pod->uid()));
    std::vector<ExtenderChain::Candidate> first, then;
    std::vector<std::string> refused;
    for (const Evaluation::Scored& node : all)
      (node.slot == nominated ? first : then)
          .push_back({nodes().slots()[node.slot].node, node.score});
    const std::array<std::vector<ExtenderChain::Candidate>*, 2> rounds = {&first, &then};
    for (auto* candidates : rounds) {
      if (candidates->empty()) continue;
      Result<ExtenderChain::Choice> choice =
          co_await extenders_.Choose(pod, std::move(*candidates));
      if (!choice.ok()) {
        Error(std::move(pod), choice.status().message());
        co_return;
      }
      if (!choice->best.empty()) {
        PlaceOnOneOf(std::move(pod), choice->best);
        co_return;
      }
      for (const auto& [reason, count] : choice->reasons)
        explanation.reasons[reason] += count;
      refused.insert(refused.end(), choice->refused.begin(), choice->refused.end());
    }
    if (!all.empty()) explanation.rules.push_back(&extenders_.rule());
    co_await FailWithExtenders(std::move(pod), std::move(explanation), std::move(refused));
  }

  void PlaceOnOneOf(PodInfoPtr pod, const std::vector<std::string>& best) {
    const std::string& node = best[RandomBelow(env_, best.size())];
    const size_t slot = nodes().SlotOf(node);
    if (!queue().Has(pod->uid())) return;  // deleted, or placed by somebody else
    if (slot == NodeTable::kNoSlot || !EvaluationOf(pod).Passes(*pod, slot)) {
      queue().Retry(pod->uid(), env_.Steady());
      return;
    }
    Place(std::move(pod), node);
  }

  Task<> FailWithExtenders(PodInfoPtr pod, Explanation explanation,
                           std::vector<std::string> refused) {
    PreemptionPlan plan = Plan(&EvaluationOf(pod), *pod, explanation, refused);
    if (!plan.candidates.empty()) {
      Extender::PodsByNode on_node;
      for (const auto& [node, victims] : plan.candidates) {
        for (const auto& [uid, placed] : nodes().Find(node)->pods)
          on_node[node].push_back(placed.pod);
      }
      Result<Extender::Candidates> left =
          co_await extenders_.Preempt(pod, std::move(plan.candidates), std::move(on_node));
      if (!left.ok()) {
        Error(std::move(pod), left.status().message());
        co_return;
      }
      if (!left->empty()) {
        const std::string node = LeastHarmful(*left);
        MakeRoomOn(std::move(pod), node, std::move((*left)[node]), std::move(explanation));
        co_return;
      }
      plan.message = "no candidate node for preemption";
    }
    explanation.preemption = plan.message;
    std::optional<std::string> nominated;
    if (plan.drop_nomination) nominated = DropNomination(*pod);
    GiveUp(std::move(pod), explanation, std::move(nominated));
  }

  void Error(PodInfoPtr pod, std::string message) {
    queue().Retry(pod->uid(), env_.Steady());
    Unscheduled why{"SchedulerError", std::move(message), std::nullopt};
    Spawn(strand_, gate_, "scheduler-error", Report(std::move(pod), std::move(why)));
  }

  Task<> Bind(PodInfoPtr pod, std::string node) {
    Status bound;
    if (Extender* binder = extenders_.BinderOf(*pod)) {
      bound = co_await binder->Bind(pod, node);
    } else {
      bound = co_await WriteBinding(client_, pod, node);
    }
    --bindings_;
    wakeup_.Notify();
    if (bound.ok()) {
      queue().Done(pod->uid());
      PartOf(*pod).events->Record(pod->pod.object(), "Normal", "Scheduled",
                                  "Successfully assigned " + pod->FullName() + " to " + node);
      co_return;
    }
    const api::Ref<Pod> now = watch_.Newest(*pod);
    if (now && !now->spec().node_name().empty()) {
      // Somebody else was quicker; the informer's word may have come before this answer.
      queue().Done(pod->uid());
      nodes().RemovePod(pod->uid());
      if (!api::IsTerminal(*now))
        watch_.Place(std::make_shared<const PodInfo>(now, pod->shape), now->spec().node_name());
      co_return;
    }
    watch_.TakeBack(*pod);
    if (bound.code() == Code::kNotFound) {
      queue().Done(pod->uid());
      co_return;
    }
    log::Warning("scheduler", "binding failed",
                 {{"pod", pod->FullName()}, {"node", node}, {"error", bound.message()}});
    queue().Retry(pod->uid(), env_.Steady());
    Unscheduled why{"SchedulerError", "running Bind plugin \"DefaultBinder\": " + bound.message(),
                    std::nullopt};
    co_await Report(std::move(pod), std::move(why));
  }

  // The event and the condition that say why the pod has no node.
  Task<> Report(PodInfoPtr pod, Unscheduled why) {
    PartOf(*pod).events->Record(pod->pod.object(), "Warning", "FailedScheduling",
                                Shortened(why.message));
    const std::string name = pod->FullName();
    const Status written =
        co_await WriteUnscheduled(client_, std::move(pod), std::move(why), env_.Now());
    if (!written.ok()) {
      log::Warning("scheduler", "cannot report an unschedulable pod",
                   {{"pod", name}, {"error", written.message()}});
    }
  }

  Env& env_;
  client::Client& client_;
  Executor strand_;
  ClusterWatch watch_;
  Evaluations evaluations_;
  std::map<std::string, ProfilePart> profiles_;  // by the name that pods ask for
  ExtenderChain extenders_;
  Notifier wakeup_;
  CancelSource stop_;
  Gate gate_;
  int bindings_ = 0;
};

Result<std::unique_ptr<Scheduler>> Scheduler::Make(Env& env, client::Client& client,
                                                   client::InformerSet& informers,
                                                   const Configuration& configuration) {
  GANTRY_ASSIGN(ExtenderChain extenders, ExtenderChain::Make(env, configuration.extenders));
  return std::unique_ptr<Scheduler>(new Scheduler(
      std::make_unique<Loop>(env, client, informers, configuration, std::move(extenders))));
}

Scheduler::Scheduler(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}
Scheduler::~Scheduler() = default;
void Scheduler::Start() { loop_->Start(); }
Task<> Scheduler::Stop() { return loop_->Stop(); }

}  // namespace gantry::scheduler

#include "controllers/job/job.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/batch/v1/job.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/duration.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"
#include "controllers/job/indexes.h"
#include "controllers/job/pods.h"

namespace gantry::controllers {
namespace {

using api::batch::v1::Job;
using api::core::v1::Pod;
using api::testing::FromYaml;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr char kJob[] = R"(
metadata: {name: sums, namespace: default, generation: 1}
spec:
  parallelism: 2
  completions: 3
  backoffLimit: 2
  completionMode: NonIndexed
  podReplacementPolicy: TerminatingOrFailed
  selector: {matchLabels: {job-name: sums}}
  template:
    metadata: {labels: {job-name: sums}}
    spec: {restartPolicy: Never, containers: [{name: sum, image: "sum:1"}]}
)";

class JobTest : public ::testing::Test {
 protected:
  template <class Edit>
  void Put(Edit edit) {
    Job job = FromYaml<Job>(kJob);
    edit(job);
    harness_.Put(std::move(job));
    harness_.Settle();
  }
  void Put() {
    Put([](Job&) {});
  }
  template <class Edit>
  void Change(Edit edit) {
    Job copy = *harness_.client().Peek<Job>("default", "sums");
    edit(copy);
    harness_.Put(std::move(copy));
    harness_.Settle();
  }
  const api::batch::v1::JobStatus& Status() {
    job_ = harness_.client().Peek<Job>("default", "sums");
    return job_->status();
  }
  // "Complete=True CompletionsReached"
  std::vector<std::string> Conditions() {
    std::vector<std::string> found;
    for (const auto& condition : Status().conditions())
      found.push_back(condition.type() + "=" + condition.status() + " " + condition.reason());
    return found;
  }
  std::vector<Pod> Active() {
    std::vector<Pod> active;
    for (const auto& pod : harness_.client().All<Pod>()) {
      if (pod->status().phase() != "Succeeded" && pod->status().phase() != "Failed")
        active.push_back(*pod);
    }
    return active;
  }
  void Finish(Pod pod, int exit_code) {
    pod.mutable_status()->set_phase(exit_code == 0 ? "Succeeded" : "Failed");
    auto* status = pod.mutable_status()->add_container_statuses();
    status->set_name("sum");
    auto* end = status->mutable_state()->mutable_terminated();
    end->set_exit_code(exit_code);
    api::SetTime(harness_.env().Now(), end->mutable_finished_at());
    harness_.Put(std::move(pod));
    harness_.Settle();
  }
  void FinishOne(int exit_code) { Finish(Active().at(0), exit_code); }
  void FinishIndex(int index, int exit_code) {
    for (const Pod& pod : Active()) {
      if (IndexOf(pod) == index) return Finish(pod, exit_code);
    }
    ADD_FAILURE() << "no active pod with index " << index;
  }

  client::ReconcilerHarness harness_{MakeJobController()};
  api::Ref<Job> job_;
};

TEST_F(JobTest, RunsAsManyAtOnceAsAllowedUntilEnoughSucceeded) {
  Put();
  EXPECT_EQ(Active().size(), 2u);
  EXPECT_TRUE(Status().has_start_time());
  FinishOne(0);
  EXPECT_EQ(Active().size(), 2u);
  EXPECT_EQ(Status().succeeded(), 1);
  FinishOne(0);
  EXPECT_EQ(Active().size(), 1u);
  FinishOne(0);
  EXPECT_EQ(Status().succeeded(), 3);
  EXPECT_TRUE(Status().has_completion_time());
  EXPECT_THAT(Conditions(), UnorderedElementsAre("SuccessCriteriaMet=True CompletionsReached",
                                                 "Complete=True CompletionsReached"));
  EXPECT_THAT(harness_.events(), Contains("Normal Completed Job completed"));
  for (const auto& pod : harness_.client().All<Pod>())
    EXPECT_FALSE(IsTracked(*pod)) << "its finalizer would keep it for ever";
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(JobTest, WithoutCompletionsOneSuccessEndsTheMakingOfPods) {
  Put([](Job& job) { job.mutable_spec()->clear_completions(); });
  EXPECT_EQ(Active().size(), 2u);
  FinishOne(0);
  EXPECT_EQ(Active().size(), 1u);
  EXPECT_THAT(Conditions(), IsEmpty());
  FinishOne(0);
  EXPECT_THAT(Conditions(), Contains("Complete=True CompletionsReached"));
}

TEST_F(JobTest, FailedPodsAreReplacedLaterAndLaterUpToTheLimit) {
  Put([](Job& job) {
    job.mutable_spec()->set_parallelism(1);
    job.mutable_spec()->set_completions(1);
  });
  FinishOne(1);
  EXPECT_EQ(Status().failed(), 1);
  EXPECT_THAT(Active(), IsEmpty());
  harness_.Advance(std::chrono::seconds(11));
  ASSERT_EQ(Active().size(), 1u);
  FinishOne(1);
  harness_.Advance(std::chrono::seconds(11));
  EXPECT_THAT(Active(), IsEmpty());
  harness_.Advance(std::chrono::seconds(10));
  ASSERT_EQ(Active().size(), 1u);
  FinishOne(1);
  EXPECT_EQ(Status().failed(), 3);
  EXPECT_THAT(Conditions(), UnorderedElementsAre("FailureTarget=True BackoffLimitExceeded",
                                                 "Failed=True BackoffLimitExceeded"));
  EXPECT_THAT(harness_.events(),
              Contains("Warning BackoffLimitExceeded Job has reached the specified backoff limit"));
}

TEST_F(JobTest, ANodeWhoseClockIsAheadHoldsNothingUp) {
  Put([](Job& job) {
    job.mutable_spec()->set_parallelism(1);
    job.mutable_spec()->set_completions(1);
  });
  Pod pod = Active().at(0);
  const WallTime now = harness_.env().Now();
  auto* report = pod.mutable_metadata()->add_managed_fields();
  report->set_subresource("status");
  api::SetTime(now, report->mutable_time());
  pod.mutable_status()->set_phase("Failed");
  auto* end = pod.mutable_status()->add_container_statuses()->mutable_state()->mutable_terminated();
  end->set_exit_code(1);
  api::SetTime(now + std::chrono::hours(1), end->mutable_finished_at());
  harness_.Put(std::move(pod));
  harness_.Settle();
  EXPECT_THAT(Active(), IsEmpty());
  harness_.Advance(std::chrono::seconds(11));
  EXPECT_EQ(Active().size(), 1u);
}

TEST_F(JobTest, ADeadlineEndsTheJob) {
  Put([](Job& job) { job.mutable_spec()->set_active_deadline_seconds(30); });
  harness_.Advance(std::chrono::seconds(31));
  EXPECT_THAT(Active(), IsEmpty());
  EXPECT_THAT(Conditions(), Contains("Failed=True DeadlineExceeded"));
}

TEST_F(JobTest, SuspendingEndsThePodsWithoutCountingThem) {
  Put();
  Change([](Job& job) { job.mutable_spec()->set_suspend(true); });
  EXPECT_THAT(Active(), IsEmpty());
  EXPECT_EQ(Status().failed(), 0);
  EXPECT_FALSE(Status().has_start_time());
  EXPECT_THAT(Conditions(), UnorderedElementsAre("Suspended=True JobSuspended"));
  Change([](Job& job) { job.mutable_spec()->set_suspend(false); });
  EXPECT_EQ(Active().size(), 2u);
  EXPECT_THAT(Conditions(), UnorderedElementsAre("Suspended=False JobResumed"));
}

TEST_F(JobTest, FewerAtOnceEndsSome) {
  Put();
  Change([](Job& job) { job.mutable_spec()->set_parallelism(1); });
  EXPECT_EQ(Active().size(), 1u);
  EXPECT_EQ(Status().failed(), 0);
}

TEST_F(JobTest, IndexedPodsHaveTheirNumber) {
  Put([](Job& job) { job.mutable_spec()->set_completion_mode("Indexed"); });
  const Pod pod = Active().at(0);
  EXPECT_THAT(pod.metadata().name(), StartsWith("sums-0-"));
  EXPECT_EQ(pod.spec().hostname(), "sums-0");
  EXPECT_EQ(pod.metadata().labels().at("batch.kubernetes.io/job-completion-index"), "0");
  EXPECT_EQ(pod.spec().containers(0).env(0).name(), "JOB_COMPLETION_INDEX");
  FinishIndex(1, 0);
  EXPECT_EQ(Status().completed_indexes(), "1");
  FinishIndex(2, 0);
  FinishIndex(0, 0);
  EXPECT_EQ(Status().completed_indexes(), "0-2");
  EXPECT_EQ(Status().succeeded(), 3);
  EXPECT_THAT(Conditions(), Contains("Complete=True CompletionsReached"));
}

TEST_F(JobTest, ALimitByIndexFailsOnlyThatIndex) {
  Put([](Job& job) {
    job.mutable_spec()->set_completion_mode("Indexed");
    job.mutable_spec()->set_backoff_limit_per_index(1);
    job.mutable_spec()->set_backoff_limit(100);
    job.mutable_spec()->set_parallelism(3);
  });
  FinishIndex(1, 1);
  harness_.Advance(std::chrono::seconds(11));
  FinishIndex(1, 1);
  EXPECT_EQ(Status().failed_indexes(), "1");
  FinishIndex(0, 0);
  FinishIndex(2, 0);
  EXPECT_EQ(Status().completed_indexes(), "0,2");
  EXPECT_THAT(Conditions(), Contains("Failed=True FailedIndexes"));
}

TEST_F(JobTest, ASuccessPolicyEndsTheRest) {
  Put([](Job& job) {
    job.mutable_spec()->set_completion_mode("Indexed");
    job.mutable_spec()->mutable_success_policy()->add_rules()->set_succeeded_indexes("0");
  });
  FinishIndex(0, 0);
  EXPECT_THAT(Active(), IsEmpty());
  EXPECT_THAT(Conditions(), UnorderedElementsAre("SuccessCriteriaMet=True SuccessPolicy",
                                                 "Complete=True SuccessPolicy"));
}

TEST_F(JobTest, AFailurePolicyDecidesByExitCode) {
  Put([](Job& job) {
    auto* policy = job.mutable_spec()->mutable_pod_failure_policy();
    auto* ignore = policy->add_rules();
    ignore->set_action("Ignore");
    ignore->mutable_on_exit_codes()->set_operator_("In");
    ignore->mutable_on_exit_codes()->add_values(7);
    auto* fail = policy->add_rules();
    fail->set_action("FailJob");
    fail->mutable_on_exit_codes()->set_operator_("In");
    fail->mutable_on_exit_codes()->add_values(42);
  });
  FinishOne(7);
  EXPECT_EQ(Status().failed(), 0);
  EXPECT_EQ(Active().size(), 2u);
  const std::string name = Active().at(0).metadata().name();
  FinishOne(42);
  EXPECT_THAT(Conditions(), Contains("Failed=True PodFailurePolicy"));
  EXPECT_THAT(Active(), IsEmpty());
  EXPECT_THAT(harness_.events(),
              Contains("Warning PodFailurePolicy Container sum for pod default/" + name +
                       " failed with exit code 42 matching FailJob rule at index 1"));
}

// Killed between any two of its writes, the controller counts each pod once.
TEST_F(JobTest, AnInterruptedCountIsTakenUp) {
  Put([](Job& job) { job.mutable_spec()->set_parallelism(1); });
  Pod pod = Active().at(0);
  pod.mutable_status()->set_phase("Succeeded");
  harness_.Put(std::move(pod));
  for (int i = 0; i < 10; ++i) {
    Result<client::Plan> plan = harness_.Reconcile({"default", "sums"});
    ASSERT_TRUE(plan.ok());
    if (plan->actions.empty()) break;
    plan->actions.resize(1);  // the rest is lost
    ASSERT_TRUE(harness_.Apply(std::move(*plan)).ok());
    const int counted =
        Status().succeeded() + Status().uncounted_terminated_pods().succeeded_size();
    EXPECT_EQ(counted, 1);
  }
  EXPECT_EQ(Status().succeeded(), 1);
  EXPECT_EQ(Status().uncounted_terminated_pods().succeeded_size(), 0);
}

// A job that is deleted while its pods run (kubectl delete job): the collector deletes them when it
// is gone, and nobody else would take their finalizers.
TEST_F(JobTest, PodsOfAJobThatIsGoneCanGo) {
  Put();
  ASSERT_EQ(Active().size(), 2u);
  harness_.client().Remove<Job>("default", "sums");
  harness_.Settle();
  for (const Pod& pod : Active()) {
    EXPECT_TRUE(IsTracked(pod)) << "it may still be counted";
    Pod leaving = pod;
    api::SetTime(harness_.env().Now(), leaving.mutable_metadata()->mutable_deletion_timestamp());
    harness_.Put(std::move(leaving));
  }
  harness_.Settle();
  for (const Pod& pod : Active())
    EXPECT_FALSE(IsTracked(pod));
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

// kubectl delete job --cascade=orphan
TEST_F(JobTest, PodsThatOutliveTheirJobAreTrackedNoMore) {
  Put();
  harness_.client().Remove<Job>("default", "sums");
  for (const Pod& pod : Active()) {
    Pod orphan = pod;
    orphan.mutable_metadata()->clear_owner_references();
    harness_.Put(std::move(orphan));
  }
  harness_.Settle();
  ASSERT_EQ(Active().size(), 2u);
  for (const Pod& pod : Active())
    EXPECT_FALSE(IsTracked(pod));
}

TEST_F(JobTest, AFinishedJobGoesWhenItsTimeIsOver) {
  Put([](Job& job) {
    job.mutable_spec()->set_completions(1);
    job.mutable_spec()->set_parallelism(1);
    job.mutable_spec()->set_ttl_seconds_after_finished(60);
  });
  FinishOne(0);
  harness_.Advance(std::chrono::seconds(59));
  EXPECT_TRUE(harness_.client().Peek<Job>("default", "sums"));
  harness_.Advance(std::chrono::seconds(3));
  const auto job = harness_.client().Peek<Job>("default", "sums");
  EXPECT_TRUE(!job || job->metadata().has_deletion_timestamp());
}

TEST(JobIndexes, RangesGoBothWays) {
  EXPECT_EQ(FormatIndexes({0, 1, 2, 5, 7, 8}), "0-2,5,7,8");
  EXPECT_EQ(ParseIndexes("0-2,5,7,8", 100), (IndexSet{0, 1, 2, 5, 7, 8}));
  EXPECT_EQ(ParseIndexes("0-9", 2), (IndexSet{0, 1}));
  EXPECT_EQ(ParseIndexes("x,-1,3-,2", 10), (IndexSet{2}));
  EXPECT_EQ(FormatIndexes({}), "");
}

}  // namespace
}  // namespace gantry::controllers

#include "controllers/cronjob/cronjob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/batch/v1/cron_job.pb.h"
#include "api/batch/v1/job.pb.h"
#include "api/duration.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::batch::v1::CronJob;
using api::batch::v1::Job;
using api::testing::FromYaml;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The virtual clock begins at 2026-01-01T00:00:00Z.
constexpr char kCron[] = R"(
metadata: {name: backup, namespace: default, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  schedule: "*/10 * * * *"
  concurrencyPolicy: Allow
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 1
  jobTemplate:
    metadata: {labels: {app: backup}}
    spec: {template: {spec: {restartPolicy: Never, containers: [{name: main, image: "backup:1"}]}}}
)";

class CronJobTest : public ::testing::Test {
 protected:
  template <class Edit>
  void Put(Edit edit) {
    CronJob cron = FromYaml<CronJob>(kCron);
    edit(cron);
    harness_.Put(std::move(cron));
    harness_.Settle();
  }
  std::vector<std::string> Jobs() {
    std::vector<std::string> names;
    for (const auto& job : harness_.client().All<Job>())
      names.push_back(job->metadata().name());
    return names;
  }
  const api::batch::v1::CronJobStatus& Status() {
    cron_ = harness_.client().Peek<CronJob>("default", "backup");
    return cron_->status();
  }
  void Minutes(int minutes) { harness_.Advance(std::chrono::minutes(minutes)); }
  void Finish(const std::string& name, const char* condition = "Complete") {
    Job job = *harness_.client().Peek<Job>("default", name);
    auto* end = job.mutable_status()->add_conditions();
    end->set_type(condition);
    end->set_status("True");
    api::SetTime(harness_.env().Now(), job.mutable_status()->mutable_completion_time());
    harness_.Put(std::move(job));
    harness_.Settle();
  }

  client::ReconcilerHarness harness_{MakeCronJobController()};
  api::Ref<CronJob> cron_;
};

TEST_F(CronJobTest, MakesAJobAtEachTime) {
  Put([](CronJob&) {});
  EXPECT_THAT(Jobs(), IsEmpty());
  Minutes(11);
  // Minutes since 1970 at 00:10.
  EXPECT_THAT(Jobs(), ElementsAre("backup-29453770"));
  EXPECT_EQ(Status().active_size(), 1);
  EXPECT_EQ(api::FormatTime(api::ToWallTime(Status().last_schedule_time())),
            "2026-01-01T00:10:00Z");
  const auto job = harness_.client().All<Job>()[0];
  EXPECT_EQ(job->metadata().labels().at("app"), "backup");
  EXPECT_EQ(job->metadata().annotations().at("batch.kubernetes.io/cronjob-scheduled-timestamp"),
            "2026-01-01T00:10:00Z");
  EXPECT_EQ(job->metadata().owner_references(0).kind(), "CronJob");
  EXPECT_THAT(harness_.events(), Contains("Normal SuccessfulCreate Created job backup-29453770"));
  Minutes(10);
  EXPECT_THAT(Jobs(), ElementsAre("backup-29453770", "backup-29453780"));
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(CronJobTest, NotesTheEndOfJobs) {
  Put([](CronJob&) {});
  Minutes(10);
  Finish("backup-29453770");
  EXPECT_EQ(Status().active_size(), 0);
  EXPECT_TRUE(Status().has_last_successful_time());
  EXPECT_THAT(harness_.events(), Contains("Normal SawCompletedJob Saw completed job: "
                                          "backup-29453770, condition: Complete"));
}

TEST_F(CronJobTest, ForbidWaitsForTheRunningJob) {
  Put([](CronJob& cron) { cron.mutable_spec()->set_concurrency_policy("Forbid"); });
  Minutes(21);
  EXPECT_THAT(Jobs(), ElementsAre("backup-29453770"));
  EXPECT_THAT(harness_.events(), Contains(HasSubstr("Normal JobAlreadyActive")));
  Finish("backup-29453770");
  EXPECT_THAT(Jobs(), ElementsAre("backup-29453770", "backup-29453780"));
}

TEST_F(CronJobTest, ReplaceEndsTheRunningJob) {
  Put([](CronJob& cron) { cron.mutable_spec()->set_concurrency_policy("Replace"); });
  Minutes(21);
  EXPECT_THAT(Jobs(), ElementsAre("backup-29453780"));
}

TEST_F(CronJobTest, SuspendedItMakesNone) {
  Put([](CronJob& cron) { cron.mutable_spec()->set_suspend(true); });
  Minutes(60);
  EXPECT_THAT(Jobs(), IsEmpty());
}

TEST_F(CronJobTest, OfManyMissedTimesTheLatestIsMadeUpFor) {
  Put([](CronJob& cron) {
    cron.mutable_metadata()->mutable_creation_timestamp()->set_seconds(
        cron.metadata().creation_timestamp().seconds() - 3605);
  });
  EXPECT_THAT(Jobs(), ElementsAre("backup-29453760"));
}

TEST_F(CronJobTest, ATimeThatIsTooLongAgoIsGivenUp) {
  Put([](CronJob& cron) {
    cron.mutable_spec()->set_schedule("30 23 * * *");
    cron.mutable_spec()->set_starting_deadline_seconds(600);
    cron.mutable_metadata()->mutable_creation_timestamp()->set_seconds(
        cron.metadata().creation_timestamp().seconds() - 7200);
  });
  EXPECT_THAT(Jobs(), IsEmpty());
}

TEST_F(CronJobTest, OldJobsGo) {
  Put([](CronJob& cron) { cron.mutable_spec()->set_successful_jobs_history_limit(1); });
  Minutes(10);
  Finish("backup-29453770");
  Minutes(10);
  Finish("backup-29453780");
  EXPECT_THAT(Jobs(), ElementsAre("backup-29453780"));
  EXPECT_THAT(harness_.events(), Contains("Normal SuccessfulDelete Deleted job backup-29453770"));
}

}  // namespace
}  // namespace gantry::controllers

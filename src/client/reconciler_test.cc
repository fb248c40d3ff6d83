#include "client/reconciler.h"

#include <gmock/gmock.h>

#include <map>

#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/core/v1/secret.pb.h"
#include "base/env/testing/virtual_env.h"
#include "client/testing/fake_client.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::client {
namespace {

using api::core::v1::ConfigMap;
using api::core::v1::Secret;
using ::testing::ElementsAre;
using ::testing::SizeIs;

ConfigMap Config(std::string name, int copies) {
  ConfigMap config;
  config.mutable_metadata()->set_namespace_("ns");
  config.mutable_metadata()->set_name(std::move(name));
  (*config.mutable_data())["copies"] = std::to_string(copies);
  return config;
}

// Keeps as many Secrets with a generated name per ConfigMap as that asks for.
class Copier : public Reconciler {
 public:
  std::string_view name() const override { return "copier"; }

  void Setup(InformerSet& informers, Enqueue enqueue) override {
    configs_ = &informers.For<ConfigMap>();
    secrets_ = &informers.For<Secret>();
    configs_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const api::ObjectPtr& any = after ? after : before;
      enqueue({any->ns(), any->name()});
    });
    secrets_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      const api::ObjectPtr& any = after ? after : before;
      enqueue({any->ns(), any->meta().labels().at("of")});
    });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    ++calls;
    Plan plan;
    auto config = GetFrom<ConfigMap>(*configs_, key.ns, key.name);
    if (!config) return plan;
    int wanted = std::stoi(config->data().at("copies"));
    for (const auto& secret : Typed<Secret>(secrets_->List(key.ns))) {
      if (secret->metadata().labels().at("of") == key.name) --wanted;
    }
    for (; wanted > 0; --wanted) {
      Secret secret;
      secret.mutable_metadata()->set_namespace_(key.ns);
      secret.mutable_metadata()->set_generate_name(key.name + "-");
      (*secret.mutable_metadata()->mutable_labels())["of"] = key.name;
      plan.Create(std::move(secret));
      plan.actions.back().on_success = [about = config.object()](const api::ObjectPtr& written) {
        EventNote note;
        note.about = about;
        note.type = "Normal";
        note.reason = "SuccessfulCreate";
        note.message = "Created secret: " + written->name();
        return note;
      };
      plan.actions.back().on_failure = [about = config.object()](const Status& failure) {
        Plan plan;
        EventNote& note = plan.events.emplace_back();
        note.about = about;
        note.type = "Warning";
        note.reason = "FailedCreate";
        note.message = "Error creating: " + failure.message();
        return plan;
      };
    }
    return plan;
  }

  int calls = 0;

 private:
  Informer* configs_ = nullptr;
  Informer* secrets_ = nullptr;
};

struct RunnerTest : ::testing::Test {
  RunnerTest() {
    auto copier_made = std::make_unique<Copier>();
    copier = copier_made.get();
    runner.Add(std::move(copier_made));
  }
  ~RunnerTest() override {
    env.RunToEnd(informers.Stop());
    env.RunToEnd(runner.Stop());
  }

  VirtualEnv env;
  FakeClient client{env};
  InformerSet informers{env, client};
  ReconcilerRunner runner{env, client, informers};
  Copier* copier = nullptr;
};

TEST_F(RunnerTest, BringsTheWorldToWhatIsAskedForAndNoFurther) {
  client.Put(Config("a", 3));
  client.Put(Config("b", 20));
  runner.Start();
  env.RunUntilIdle();
  EXPECT_THAT(client.All<Secret>(), SizeIs(23));
  client.Put(Config("a", 5));
  env.RunUntilIdle();
  EXPECT_THAT(client.All<Secret>(), SizeIs(25));
}

TEST_F(RunnerTest, AKeyWaitsUntilTheInformersShowItsOwnWrites) {
  client.Put(Config("a", 3));
  runner.Start();
  env.RunUntilIdle();
  ASSERT_THAT(client.All<Secret>(), SizeIs(3));

  // Secrets are no longer seen; a change of the config map must not lead to copies of what was just
  // made.
  client.SetFault([](const FakeClient::Call& call) {
    return call.verb == "watch" && call.kind->kind == "Secret" ? Unavailable("cut") : Status::Ok();
  });
  client.Put(Config("a", 6));
  // The writes go out on what was seen; then the stream breaks before they come back.
  client.BreakWatches(Unavailable("cut"));
  env.Advance(std::chrono::minutes(1));
  EXPECT_THAT(client.All<Secret>(), SizeIs(6));
  const int calls = copier->calls;
  client.Put(Config("a", 7));
  env.Advance(std::chrono::minutes(1));
  EXPECT_EQ(copier->calls, calls) << "reconciled on an old view";
  client.SetFault(nullptr);
  env.Advance(std::chrono::minutes(2));
  EXPECT_THAT(client.All<Secret>(), SizeIs(7));
}

// Looks at config maps once the view of secrets is as new as they are.
class Careful : public Reconciler {
 public:
  std::string_view name() const override { return "careful"; }
  void Setup(InformerSet& informers, Enqueue enqueue) override {
    configs_ = &informers.For<ConfigMap>();
    secrets_ = &informers.For<Secret>();
    configs_->AddHandler([enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      if (after) enqueue({after->ns(), after->name()});
    });
  }
  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    ++calls;
    Plan plan;
    const api::ObjectPtr config = configs_->Get(key.ns, key.name);
    if (secrets_->revision() < config->revision()) {
      plan.look_again_at.push_back({secrets_, config->revision()});
    } else {
      ++judged;
    }
    return plan;
  }
  int calls = 0, judged = 0;

 private:
  Informer* configs_ = nullptr;
  Informer* secrets_ = nullptr;
};

TEST_F(RunnerTest, AKeyComesAgainAtOnceWhenTheViewsAreNewEnough) {
  auto made = std::make_unique<Careful>();
  Careful* careful = made.get();
  runner.Add(std::move(made));
  client.Put(Config("other", 0));
  runner.Start();
  env.RunUntilIdle();
  const SteadyTime before = env.Steady();
  const int calls = careful->calls, judged = careful->judged;
  client.Put(Config("a", 0));
  env.RunUntilIdle();
  EXPECT_EQ(careful->calls, calls + 2);
  EXPECT_EQ(careful->judged, judged + 1);
  EXPECT_EQ(env.Steady(), before);
}

TEST_F(RunnerTest, FailuresComeBackWithBackOffUntilTheyPass) {
  std::vector<Duration> tried;
  client.SetFault([&](const FakeClient::Call& call) {
    if (call.verb != "create" || call.kind->kind != "Secret") return Status::Ok();
    tried.push_back(env.Steady().time_since_epoch());
    return tried.size() <= 4 ? InternalError("disk on fire") : Status::Ok();
  });
  client.Put(Config("a", 100));
  runner.Start();
  env.Advance(std::chrono::seconds(10));
  EXPECT_THAT(client.All<Secret>(), SizeIs(100));
  ASSERT_GE(tried.size(), 5u);
  // One attempt each, not a hundred; 5, 10, 20, 40 ms apart.
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(tried[i + 1] - tried[i], std::chrono::milliseconds(5 << i));
  int failed = 0;
  for (const auto& event : client.All<api::core::v1::Event>()) {
    if (event->reason() != "FailedCreate") continue;
    failed += event->count();
    EXPECT_EQ(event->message(), "Error creating: disk on fire");
    EXPECT_EQ(event->source().component(), "copier-controller");
    EXPECT_EQ(event->involved_object().kind(), "ConfigMap");
  }
  EXPECT_EQ(failed, 4);
}

TEST_F(RunnerTest, ATerminatingNamespaceIsNoReasonToTryAgain) {
  int tries = 0;
  client.SetFault([&](const FakeClient::Call& call) {
    if (call.verb != "create" || call.kind->kind != "Secret") return Status::Ok();
    ++tries;
    StatusDetails details;
    StatusCause& cause = details.causes.emplace_back();
    cause.reason = "NamespaceTerminating";
    return Status(Code::kForbidden, "namespace ns is being terminated", details);
  });
  client.Put(Config("a", 3));
  runner.Start();
  env.Advance(std::chrono::minutes(5));
  EXPECT_EQ(tries, 1);
}

TEST(ReconcilerHarness, AFailureEndsThePlanUnlessItsActionIsIndependent) {
  for (const bool independent : {false, true}) {
    ReconcilerHarness harness(std::make_unique<Copier>());
    for (const char* name : {"a", "b", "c"})
      harness.Put(Config(name, 0));
    harness.client().SetFault([](const FakeClient::Call& call) {
      return call.verb == "delete" && call.name == "a" ? Status(Code::kForbidden, "kept")
                                                       : Status();
    });
    Plan plan;
    for (const char* name : {"a", "b", "c"}) {
      plan.Delete(Config(name, 0));
      plan.actions.back().independent = independent;
    }
    const Status status = harness.Apply(std::move(plan));
    EXPECT_EQ(status.message(), "kept");
    EXPECT_THAT(harness.client().All<ConfigMap>(), SizeIs(independent ? 1 : 3));
  }
}

TEST(ReconcilerHarness, GivesPlansAndCarriesThemOut) {
  auto copier = std::make_unique<Copier>();
  ReconcilerHarness harness(std::move(copier));
  harness.Put(Config("a", 2));
  Plan plan = *harness.Reconcile({"ns", "a"});
  EXPECT_EQ(plan.actions.size(), 2u);
  EXPECT_EQ(plan.actions[0].verb, Action::Verb::kCreate);
  EXPECT_EQ(plan.actions[0].kind->kind, "Secret");
  EXPECT_THAT(harness.client().All<Secret>(), SizeIs(0));
  harness.Settle();
  EXPECT_THAT(harness.client().All<Secret>(), SizeIs(2));
  EXPECT_THAT(harness.events(), SizeIs(2));
  EXPECT_THAT(harness.events()[0],
              ::testing::StartsWith("Normal SuccessfulCreate Created secret: a-"));
  EXPECT_TRUE(harness.Reconcile({"ns", "a"})->actions.empty());
}

}  // namespace
}  // namespace gantry::client

#include "client/events.h"

#include <gmock/gmock.h>

#include <map>

#include "api/core/v1/event.pb.h"
#include "api/core/v1/pod.pb.h"
#include "base/env/testing/virtual_env.h"
#include "client/testing/fake_client.h"

namespace gantry::client {
namespace {

using api::core::v1::Event;
using ::testing::SizeIs;
using ::testing::StartsWith;

struct EventsTest : ::testing::Test {
  EventsTest() {
    api::core::v1::Pod pod;
    pod.mutable_metadata()->set_namespace_("ns");
    pod.mutable_metadata()->set_name("web");
    about = client.Put(std::move(pod)).object();
  }
  ~EventsTest() override { env.RunToEnd(recorder.Stop()); }

  void Record(std::string message, std::string reason = "Pulled") {
    recorder.Record(about, "Normal", std::move(reason), std::move(message), "spec.containers{web}");
    env.Advance(std::chrono::milliseconds(100));
  }

  VirtualEnv env;
  FakeClient client{env};
  EventRecorder recorder{env, client, "kubelet", "node-1"};
  api::ObjectPtr about;
};

TEST_F(EventsTest, SaysWhatHappenedToWhomAndWhoSaysSo) {
  Record("Container image \"busybox\" already present on machine");
  ASSERT_THAT(client.All<Event>(), SizeIs(1));
  const api::Ref<Event> event = client.All<Event>()[0];
  EXPECT_THAT(event->metadata().name(), StartsWith("web."));
  EXPECT_EQ(event->metadata().namespace_(), "ns");
  EXPECT_EQ(event->involved_object().kind(), "Pod");
  EXPECT_EQ(event->involved_object().api_version(), "v1");
  EXPECT_EQ(event->involved_object().uid(), about->uid());
  EXPECT_EQ(event->involved_object().resource_version(), std::to_string(about->revision()));
  EXPECT_EQ(event->involved_object().field_path(), "spec.containers{web}");
  EXPECT_EQ(event->type(), "Normal");
  EXPECT_EQ(event->reason(), "Pulled");
  EXPECT_EQ(event->count(), 1);
  EXPECT_EQ(event->source().component(), "kubelet");
  EXPECT_EQ(event->source().host(), "node-1");
  EXPECT_EQ(event->reporting_component(), "kubelet");
  EXPECT_EQ(event->reporting_instance(), "node-1");
}

TEST_F(EventsTest, ARepeatRaisesTheCount) {
  Record("again");
  env.Advance(std::chrono::seconds(90));
  Record("again");
  Record("other");
  Record("again");
  ASSERT_THAT(client.All<Event>(), SizeIs(2));
  for (const auto& event : client.All<Event>()) {
    if (event->message() != "again") continue;
    EXPECT_EQ(event->count(), 3);
    EXPECT_EQ(event->last_timestamp().seconds() - event->first_timestamp().seconds(), 90);
  }
}

TEST_F(EventsTest, WhatComesAtOnceIsCountedToo) {
  for (const char* message : {"again", "again", "other", "again"})
    recorder.Record(about, "Normal", "Pulled", message);
  EXPECT_THAT(client.All<Event>(), SizeIs(0));
  env.Advance(std::chrono::milliseconds(100));
  ASSERT_THAT(client.All<Event>(), SizeIs(2));
  for (const auto& event : client.All<Event>())
    EXPECT_EQ(event->count(), event->message() == "again" ? 3 : 1);
}

TEST_F(EventsTest, ARepeatOfAnEventThatIsGoneIsMadeAnew) {
  Record("again");
  client.Remove<Event>("ns", client.All<Event>()[0]->metadata().name());
  Record("again");
  ASSERT_THAT(client.All<Event>(), SizeIs(1));
  EXPECT_EQ(client.All<Event>()[0]->count(), 2);
}

TEST_F(EventsTest, ManyThatDifferInTheMessageOnlyAreCombined) {
  for (int i = 0; i < 15; ++i) {
    Record("attempt " + std::to_string(i));
    env.Advance(std::chrono::seconds(1));
  }
  const std::vector<api::Ref<Event>> events = client.All<Event>();
  ASSERT_THAT(events, SizeIs(10));
  int combined = 0;
  for (const auto& event : events) {
    if (event->message() == "(combined from similar events): attempt 14") combined = event->count();
  }
  EXPECT_EQ(combined, 6);
}

TEST_F(EventsTest, AFloodIsCutOffAfter25AndLetsOneThroughIn300Seconds) {
  for (int i = 0; i < 40; ++i)
    Record("message", "Reason" + std::to_string(i));
  EXPECT_THAT(client.All<Event>(), SizeIs(25));
  env.Advance(std::chrono::seconds(301));
  for (int i = 0; i < 5; ++i)
    Record("message", "Later" + std::to_string(i));
  EXPECT_THAT(client.All<Event>(), SizeIs(26));
}

TEST_F(EventsTest, AnOutageOnlyDelays) {
  bool down = true;
  client.SetFault([&](const FakeClient::Call&) {
    return down ? Unavailable("connection refused") : Status::Ok();
  });
  Record("hello");
  env.Advance(std::chrono::seconds(25));
  EXPECT_THAT(client.All<Event>(), SizeIs(0));
  down = false;
  env.Advance(std::chrono::seconds(10));
  EXPECT_THAT(client.All<Event>(), SizeIs(1));
}

}  // namespace
}  // namespace gantry::client

#include "api/convert.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "api/autoscaling/v1/horizontal_pod_autoscaler.pb.h"
#include "api/autoscaling/v2/horizontal_pod_autoscaler.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/events/v1/event.pb.h"
#include "api/json.h"
#include "api/kinds.h"
#include "api/testing/fill.h"

namespace gantry::api {
namespace {

using google::protobuf::util::MessageDifferencer;

TEST(ConvertTest, EventsLoseNothingThereAndBack) {
  core::v1::Event event;
  testing::FillMessage(&event, 11);
  auto other = ConvertTo(KindOf<events::v1::Event>(), event);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(static_cast<const events::v1::Event&>(**other).note(), event.message());
  auto back = ConvertTo(KindOf<core::v1::Event>(), **other);
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(MessageDifferencer::Equals(**back, event));
}

TEST(ConvertTest, AutoscalersKeepWhatV1HasNoFieldsFor) {
  autoscaling::v2::HorizontalPodAutoscaler hpa;
  ASSERT_TRUE(ReadJson(R"({"metadata":{"name":"a","annotations":{"mine":"1"}},
      "spec":{"scaleTargetRef":{"kind":"Deployment","name":"web"},"minReplicas":2,"maxReplicas":5,
        "behavior":{"scaleDown":{"stabilizationWindowSeconds":60}},
        "metrics":[{"type":"Pods","pods":{"metric":{"name":"qps"},"target":{"type":"AverageValue","averageValue":"100"}}},
                   {"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}]},
      "status":{"currentReplicas":3,"desiredReplicas":4,
        "conditions":[{"type":"AbleToScale","status":"True","lastTransitionTime":"2024-01-02T03:04:05Z"}],
        "currentMetrics":[{"type":"Resource","resource":{"name":"cpu","current":{"averageUtilization":50,"averageValue":"20m"}}}]}})",
                       &hpa)
                  .ok());
  auto converted = ConvertTo(KindOf<autoscaling::v1::HorizontalPodAutoscaler>(), hpa);
  ASSERT_TRUE(converted.ok());
  const auto& v1 = static_cast<const autoscaling::v1::HorizontalPodAutoscaler&>(**converted);
  EXPECT_EQ(v1.spec().target_cpu_utilization_percentage(), 80);
  EXPECT_EQ(v1.status().current_cpu_utilization_percentage(), 50);
  EXPECT_EQ(v1.metadata().annotations().at("autoscaling.alpha.kubernetes.io/metrics"),
            R"([{"type":"Pods","pods":{"metricName":"qps","targetAverageValue":"100"}}])");
  auto back = ConvertTo(KindOf<autoscaling::v2::HorizontalPodAutoscaler>(), v1);
  ASSERT_TRUE(back.ok());
  std::string json, expected;
  WriteJson(**back, &json);
  WriteJson(hpa, &expected);
  EXPECT_EQ(json, expected);
}

TEST(ConvertTest, KindsWithoutAConversionAreRefused) {
  EXPECT_EQ(ConvertTo(KindOf<core::v1::Event>(), autoscaling::v2::HorizontalPodAutoscaler()).code(),
            Code::kInternalError);
}

}  // namespace
}  // namespace gantry::api

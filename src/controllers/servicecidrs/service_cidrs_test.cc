#include "controllers/servicecidrs/service_cidrs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/networking/v1/ip_address.pb.h"
#include "api/testing/from_yaml.h"
#include "client/testing/reconciler_harness.h"

namespace gantry::controllers {
namespace {

using api::networking::v1::IPAddress;
using api::networking::v1::ServiceCIDR;
using api::testing::FromYaml;
using ::testing::IsEmpty;

class ServiceCidrTest : public ::testing::Test {
 protected:
  void PutRange(const std::string& name, const std::string& cidr) {
    harness_.Put(
        FromYaml<ServiceCIDR>("{metadata: {name: " + name + "}, spec: {cidrs: ['" + cidr + "']}}"));
    harness_.Settle();
  }
  void PutAddress(const std::string& ip) {
    harness_.Put(FromYaml<IPAddress>(
        "{metadata: {name: '" + ip +
        "', labels: {ipaddress.kubernetes.io/managed-by: ipallocator.k8s.io}}}"));
    harness_.Settle();
  }
  void MarkDeleted(const std::string& name) {
    ServiceCIDR range = *Range(name);
    range.mutable_metadata()->mutable_deletion_timestamp()->set_seconds(
        std::chrono::duration_cast<std::chrono::seconds>(harness_.env().Now().time_since_epoch())
            .count());
    harness_.Put(std::move(range));
    harness_.Settle();
  }
  api::Ref<ServiceCIDR> Range(const std::string& name) {
    return harness_.client().Peek<ServiceCIDR>("", name);
  }
  client::ReconcilerHarness harness_{MakeServiceCidrController()};
};

TEST_F(ServiceCidrTest, ARangeIsHeldAndReady) {
  PutRange("more", "10.50.0.0/24");
  ASSERT_EQ(Range("more")->metadata().finalizers_size(), 1);
  EXPECT_EQ(Range("more")->metadata().finalizers(0), "networking.k8s.io/service-cidr-finalizer");
  const auto& ready = Range("more")->status().conditions(0);
  EXPECT_EQ(ready.type() + "=" + ready.status(), "Ready=True");
  EXPECT_EQ(ready.message(), "Kubernetes Service CIDR is ready");
  EXPECT_THAT(harness_.Restless(), IsEmpty());
}

TEST_F(ServiceCidrTest, ARangeWithAddressesStaysUntilTheyAreGone) {
  PutRange("more", "10.50.0.0/24");
  PutAddress("10.50.0.7");
  MarkDeleted("more");
  harness_.Advance(std::chrono::seconds(60));
  ASSERT_TRUE(Range("more"));
  EXPECT_EQ(Range("more")->status().conditions(0).reason(), "Terminating");
  EXPECT_THAT(harness_.Restless(), IsEmpty());
  harness_.Remove<IPAddress>("", "10.50.0.7");
  harness_.Settle();
  EXPECT_FALSE(Range("more"));
}

TEST_F(ServiceCidrTest, AddressesOfALargerRangeHoldNothing) {
  PutRange("more", "10.50.0.0/24");
  PutAddress("10.50.0.7");
  MarkDeleted("more");
  PutRange("all", "10.50.0.0/16");
  ASSERT_EQ(Range("more")->metadata().finalizers_size(), 1) << "servers may not have heard of it";
  harness_.Advance(std::chrono::seconds(11));
  EXPECT_FALSE(Range("more"));
}

}  // namespace
}  // namespace gantry::controllers

// Addresses, families and node ports of services through the API of clusters with one family and
// with both.
#include <gtest/gtest.h>

#include <span>

#include "apiserver/testing/api_fixture.h"

namespace gantry::apiserver {
namespace {

constexpr char kServices[] = "/api/v1/namespaces/default/services";
constexpr char kAddresses[] = "/apis/networking.k8s.io/v1/ipaddresses";
constexpr char kRanges[] = "/apis/networking.k8s.io/v1/servicecidrs";

// JSON of a service named "web" with a port.
std::string Web(const std::string& spec) {
  return R"({"metadata":{"name":"web"},"spec":{)" + spec + R"("ports":[{"port":80}]}})";
}

// "SingleStack IPv4 10.43 " and so on: policy, families, the networks of the addresses.
std::string Families(const Reply& reply) {
  std::string text = reply.At("spec.ipFamilyPolicy");
  for (const char* field : {"spec.ipFamilies.", "spec.clusterIPs."}) {
    for (const char* index : {"0", "1"}) {
      const std::string value = reply.At(std::string(field) + index);
      if (value.starts_with("10.43.")) {
        text += " 10.43";
      } else if (value.starts_with("fd43:")) {
        text += " fd43";
      } else if (!value.empty()) {
        text += " " + value;
      }
    }
  }
  return text;
}

class Services : public ::testing::Test {
 protected:
  void Expect(const Reply& reply, const std::string& want, const std::string& what) {
    if (reply.status < 300) {
      EXPECT_EQ(Families(reply), want) << what << "\n" << reply.body;
      EXPECT_EQ(reply.At("spec.clusterIP"), reply.At("spec.clusterIPs.0")) << what;
    } else {
      const std::string message = reply.At("message");
      const std::string begin = "Service \"web\" is invalid: ";
      EXPECT_EQ(reply.status, 422) << what << reply.body;
      EXPECT_EQ(message.substr(message.starts_with(begin) ? begin.size() : 0), want) << what;
    }
  }
  static std::string NotConfigured(const std::string& index, const std::string& family) {
    return "spec.ipFamilies[" + index + "]: Invalid value: \"" + family +
           "\": not configured on this cluster";
  }
};

struct Row {
  const char* spec;
  std::string want;
};

TEST_F(Services, GetTheFamiliesThatTheyAskFor) {
  const std::string no_dual =
      "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured "
      "for "
      "dual-stack services";
  const Row four_alone[] = {
      {"", "SingleStack IPv4 10.43"},
      {R"("ipFamilyPolicy":"PreferDualStack",)", "PreferDualStack IPv4 10.43"},
      {R"("ipFamilyPolicy":"RequireDualStack",)", no_dual},
      {R"("ipFamilies":["IPv6"],)",
       "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"},
      {R"("clusterIP":"fd43::7",)",
       "spec.clusterIPs[0]: Invalid value: [\"fd43::7\"]: IPv6 is not configured on this cluster"},
      {R"("clusterIP":"None","selector":{"a":"b"},)", "SingleStack IPv4 None"},
      {R"("clusterIP":"None",)", "RequireDualStack IPv4 IPv6 None"},
      {R"("clusterIP":"10.99.0.1",)",
       "spec.clusterIPs: Invalid value: [\"10.99.0.1\"]: failed to allocate IP 10.99.0.1: the "
       "provided IP (10.99.0.1) is not in the valid range. The range of valid IPs is 10.43.0.0/16"},
      {R"("type":"ExternalName","externalName":"a.example",)", ""},
  };
  const Row both[] = {
      {"", "SingleStack IPv4 10.43"},
      {R"("ipFamilies":["IPv6"],)", "SingleStack IPv6 fd43"},
      {R"("ipFamilyPolicy":"PreferDualStack",)", "PreferDualStack IPv4 IPv6 10.43 fd43"},
      {R"("ipFamilyPolicy":"RequireDualStack","ipFamilies":["IPv6"],)",
       "RequireDualStack IPv6 IPv4 fd43 10.43"},
      {R"("ipFamilyPolicy":"PreferDualStack","clusterIPs":["fd43::77"],"clusterIP":"fd43::77",)",
       "PreferDualStack IPv6 IPv4 fd43 10.43"},
      {R"("clusterIP":"fd43::78",)", "SingleStack IPv6 fd43"},
      {R"("ipFamilyPolicy":"RequireDualStack","clusterIPs":["10.43.9.9","fd43::9"],)",
       "RequireDualStack IPv4 IPv6 10.43 fd43"},
      {R"("ipFamilies":["IPv4","IPv6"],)",
       "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or "
       "'PreferDualStack' when multiple IP families are specified"},
      {R"("clusterIPs":["10.43.9.9","fd43::9"],)",
       "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or "
       "'PreferDualStack' when multiple cluster IPs are specified"},
      {R"("ipFamilyPolicy":"PreferDualStack","ipFamilies":["IPv4","IPv4"],)",
       "spec.ipFamilies[1]: Duplicate value: \"IPv4\""},
      {R"("clusterIP":"10.43.9.9","ipFamilies":["IPv6"],)",
       "spec.clusterIPs[0]: Invalid value: \"10.43.9.9\": expected an IPv6 value as indicated by "
       "`ipFamilies[0]`"},
      {R"("clusterIP":"None","selector":{"a":"b"},"ipFamilyPolicy":"PreferDualStack",)",
       "PreferDualStack IPv4 IPv6 None"},
  };
  const Row six_alone[] = {
      {"", "SingleStack IPv6 fd43"},
      {R"("ipFamilies":["IPv4"],)", NotConfigured("0", "IPv4")},
  };
  auto check = [this](const std::string& ranges, std::span<const Row> rows) {
    ApiFixture api(nullptr, ranges);
    for (const Row& row : rows) {
      Reply made = api.Post(kServices, Web(row.spec));
      Expect(made, row.want, ranges + " " + row.spec);
      if (made.status == 201) {
        ASSERT_EQ(api.Delete(std::string(kServices) + "/web").status, 200);
      }
    }
    EXPECT_EQ(api.Get(kAddresses).At("items.1"), "") << "all were given back but one";
  };
  check("10.43.0.0/16", four_alone);
  check("10.43.0.0/16,fd43::/112", both);
  check("fd43::/108", six_alone);
}

TEST_F(Services, ComeAndGoBetweenOneFamilyAndBoth) {
  ApiFixture api(nullptr, "10.43.0.0/16,fd43::/112");
  const std::string web = std::string(kServices) + "/web";
  auto patch = [&](const char* spec) {
    return api.Patch(web, "merge-patch+json", std::string(R"({"spec":{)") + spec + "}}");
  };
  Reply made = api.Post(kServices, Web(""));
  const std::string first = made.At("spec.clusterIP");
  Reply both = patch(R"("ipFamilyPolicy":"RequireDualStack")");
  Expect(both, "RequireDualStack IPv4 IPv6 10.43 fd43", "upgrade");
  EXPECT_EQ(both.At("spec.clusterIP"), first);
  const std::string second = std::string(kAddresses) + "/" + both.At("spec.clusterIPs.1");
  EXPECT_EQ(api.Get(second).At("spec.parentRef.name"), "web");
  EXPECT_NE(api.Get(second).body.find(R"("ipaddress.kubernetes.io/ip-family":"IPv6")"),
            std::string::npos);
  Expect(patch(R"("ipFamilies":["IPv4"])"),
         "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": must be 'SingleStack' to "
         "release the secondary IP family",
         "a family less");
  Expect(
      patch(R"("clusterIPs":["fd43::99","10.43.1.1"],"clusterIP":"fd43::99")"),
      "[spec.clusterIPs[0]: Invalid value: \"fd43::99\": expected an IPv4 value as indicated by "
      "`ipFamilies[0]`, spec.clusterIPs[1]: Invalid value: \"10.43.1.1\": expected an IPv6 value "
      "as indicated by `ipFamilies[1]`]",
      "the families turned round");
  Expect(patch(R"("ipFamilyPolicy":"SingleStack")"), "SingleStack IPv4 10.43", "downgrade");
  EXPECT_EQ(api.Get(second).status, 404) << "the second address is free";
  Expect(patch(R"("ipFamilyPolicy":"PreferDualStack")"), "PreferDualStack IPv4 IPv6 10.43 fd43",
         "again");
  Reply alias = patch(R"("type":"ExternalName","externalName":"a.example","clusterIP":null)");
  EXPECT_EQ(Families(alias), "") << alias.body;
  EXPECT_EQ(api.Get(kAddresses).At("items.1"), "");
  Reply back = patch(R"("type":"ClusterIP","externalName":null)");
  Expect(back, "SingleStack IPv4 10.43", "an alias that gets an address");
}

TEST_F(Services, KubernetesHasTheFirstAddressOfTheFirstFamily) {
  ApiFixture api(nullptr, "fd43::/112,10.43.0.0/16");
  Reply kubernetes = api.Get(std::string(kServices) + "/kubernetes");
  EXPECT_EQ(Families(kubernetes), "SingleStack IPv6 fd43");
  EXPECT_EQ(kubernetes.At("spec.clusterIP"), "fd43::1");
  Reply range = api.Get(std::string(kRanges) + "/kubernetes");
  EXPECT_EQ(range.At("spec.cidrs"), R"(["fd43::/112","10.43.0.0/16"])");
}

TEST_F(Services, BalancersWithPolicyLocalGetAHealthCheckPort) {
  ApiFixture api;
  const std::string web = std::string(kServices) + "/web";
  Reply made =
      api.Post(kServices, Web(R"("type":"LoadBalancer","externalTrafficPolicy":"Local",)"));
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string port = made.At("spec.healthCheckNodePort");
  EXPECT_GE(std::stoi(port), 30000);
  EXPECT_NE(port, made.At("spec.ports.0.nodePort"));
  Reply taken = api.Post(kServices, R"({"metadata":{"name":"b"},"spec":{"type":"NodePort",)"
                                    R"("ports":[{"port":80,"nodePort":)" +
                                        port + "}]}}");
  EXPECT_NE(taken.At("message").find("provided port is already allocated"), std::string::npos);
  Reply kept = api.Patch(web, "merge-patch+json", R"({"spec":{"healthCheckNodePort":null}})");
  EXPECT_EQ(kept.At("spec.healthCheckNodePort"), port);
  Reply changed = api.Patch(web, "merge-patch+json", R"({"spec":{"healthCheckNodePort":31999}})");
  EXPECT_EQ(changed.At("message"),
            "Service \"web\" is invalid: spec.healthCheckNodePort: Forbidden: field is immutable");
  Reply everywhere =
      api.Patch(web, "merge-patch+json", R"({"spec":{"externalTrafficPolicy":"Cluster"}})");
  EXPECT_EQ(everywhere.At("spec.healthCheckNodePort"), "") << everywhere.body;
  Reply asked =
      api.Patch(web, "merge-patch+json",
                R"({"spec":{"externalTrafficPolicy":"Local","healthCheckNodePort":)" + port + "}}");
  EXPECT_EQ(asked.At("spec.healthCheckNodePort"), port) << asked.body;
  Reply outside = api.Post(
      kServices,
      R"({"metadata":{"name":"c"},"spec":{"type":"LoadBalancer",)"
      R"("externalTrafficPolicy":"Local","healthCheckNodePort":80,"ports":[{"port":80}]}})");
  EXPECT_EQ(outside.status, 500);
  EXPECT_NE(outside.At("message").find("failed to allocate requested HealthCheck NodePort 80: "
                                       "provided port is not in the valid range"),
            std::string::npos)
      << outside.body;
  ASSERT_EQ(api.Delete(web).status, 200);
  EXPECT_EQ(api.Post(kServices, R"({"metadata":{"name":"b"},"spec":{"type":"NodePort",)"
                                R"("ports":[{"port":80,"nodePort":)" +
                                    port + "}]}}")
                .status,
            201);
}

TEST_F(Services, NodePortsAreSharedByProtocolsAndLeftOutOnDemand) {
  ApiFixture api;
  Reply shared = api.Post(
      kServices,
      R"({"metadata":{"name":"dns"},"spec":{"type":"NodePort","ports":[)"
      R"({"name":"u","port":53,"protocol":"UDP"},{"name":"t","port":53,"nodePort":30053}]}})");
  EXPECT_EQ(shared.At("spec.ports.0.nodePort"), "30053") << shared.body;
  Reply none =
      api.Post(kServices, Web(R"("type":"LoadBalancer","allocateLoadBalancerNodePorts":false,)"));
  EXPECT_EQ(none.status, 201) << none.body;
  EXPECT_EQ(none.At("spec.ports.0.nodePort"), "");
}

TEST_F(Services, FurtherRangesGiveAddresses) {
  ApiFixture api(nullptr, "10.43.0.0/29");
  auto make = [&](const std::string& name) {
    return api.Post(kServices,
                    R"({"metadata":{"name":")" + name + R"("},"spec":{"ports":[{"port":80}]}})");
  };
  int made = 0;
  while (made < 10 && make("s" + std::to_string(made)).status == 201)
    ++made;
  EXPECT_EQ(made, 5) << "six addresses, one of them that of kubernetes";
  EXPECT_EQ(make("x").status, 500);
  EXPECT_NE(make("x").At("message").find("failed to allocate a serviceIP: range is full"),
            std::string::npos);
  const std::string more = R"({"metadata":{"name":"more"},"spec":{"cidrs":["10.60.0.0/24"]}})";
  ASSERT_EQ(api.Post(kRanges, more).status, 201);
  EXPECT_EQ(make("x").At("spec.clusterIP").substr(0, 8), "10.60.0.");
  EXPECT_EQ(api.Post(kServices, Web(R"("clusterIP":"10.60.0.9",)")).status, 201);
}

TEST_F(Services, RangesAndAddressesAreChecked) {
  ApiFixture api;
  const struct {
    const char* cidrs;
    const char* want;
  } rows[] = {
      {"", "spec.cidrs: Required value: at least one CIDR required"},
      {R"("10.60.0.0/24","10.61.0.0/24")",
       R"(spec.cidrs: Invalid value: {"cidrs":["10.60.0.0/24","10.61.0.0/24"]}: may specify no )"
       "more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"},
      {R"("10.60.0.0")",
       R"(spec.cidrs[0]: Invalid value: "10.60.0.0": must be a valid CIDR value, (e.g. )"
       "10.9.8.0/24 or 2001:db8::/64)"},
      {R"("10.60.0.7/24")",
       R"(spec.cidrs[0]: Invalid value: "10.60.0.7/24": must not have bits set beyond the prefix )"
       "length"},
  };
  for (const auto& row : rows) {
    Reply made = api.Post(
        kRanges, std::string(R"({"metadata":{"name":"r"},"spec":{"cidrs":[)") + row.cidrs + "]}}");
    EXPECT_EQ(made.At("message"),
              std::string("ServiceCIDR.networking.k8s.io \"r\" is invalid: ") + row.want);
  }
  const std::string range = std::string(kRanges) + "/kubernetes";
  Reply changed = api.Patch(range, "merge-patch+json", R"({"spec":{"cidrs":["10.44.0.0/16"]}})");
  EXPECT_EQ(
      changed.At("message"),
      "ServiceCIDR.networking.k8s.io \"kubernetes\" is invalid: spec.cidrs[0]: Invalid value: "
      "\"10.44.0.0/16\": field is immutable");
  Reply grown =
      api.Patch(range, "merge-patch+json", R"({"spec":{"cidrs":["10.43.0.0/16","fd43::/112"]}})");
  EXPECT_EQ(grown.status, 200) << grown.body;
  Reply address = api.Post(kAddresses, R"({"metadata":{"name":"FD00::1"},"spec":{}})");
  EXPECT_EQ(address.At("message"),
            "IPAddress.networking.k8s.io \"FD00::1\" is invalid: [metadata.name: Invalid value: "
            "\"FD00::1\": must be a canonical format IP address, spec.parentRef: Required value]");
}

}  // namespace
}  // namespace gantry::apiserver

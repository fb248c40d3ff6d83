#include "apiserver/apply/managed_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/apps/v1/deployment.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/service.pb.h"
#include "api/duration.h"
#include "api/json.h"

namespace gantry::apiserver {
namespace {

using api::JsonValue;
using api::apps::v1::Deployment;
using api::core::v1::ConfigMap;
using api::core::v1::Pod;
using api::core::v1::Service;

const WallTime kStart = *api::ParseTime("2024-05-10T12:00:00Z");

template <class T>
T Object(std::string_view json) {
  T object;
  Status status = api::ReadJson(json, &object);
  EXPECT_TRUE(status.ok()) << status.ToString();
  return object;
}

// "kubectl/Update: {...}" of every entry, with the subresource behind the operation.
template <class T>
std::vector<std::string> Entries(const T& object) {
  std::vector<std::string> out;
  for (const auto& entry : object.metadata().managed_fields())
    out.push_back(entry.manager() + "/" + entry.operation() +
                  (entry.subresource().empty() ? "" : "/") + entry.subresource() + ": " +
                  entry.fields_v1().raw());
  return out;
}

template <class T>
std::string Json(const T& object) {
  T copy = object;
  copy.mutable_metadata()->clear_managed_fields();
  std::string out;
  api::WriteJson(copy, &out);
  return out;
}

template <class T>
void Update(const T* before, T* after, std::string_view manager = "kubectl",
            std::string_view subresource = "", int seconds = 0) {
  UpdateManagedFields(api::KindOf<T>(), before, after, manager, subresource,
                      kStart + std::chrono::seconds(seconds));
}

template <class T>
Result<T> ApplyAs(const T* live, std::string_view json, std::string_view manager,
                  bool force = false, std::string_view subresource = "") {
  auto applied = JsonValue::Parse(json);
  EXPECT_TRUE(applied.ok()) << json;
  auto result = Apply(api::KindOf<T>(), live, *applied, manager, subresource, force, kStart);
  if (!result.ok()) return result.status();
  return static_cast<const T&>(**result);
}

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ManagedFields, CreateOwnsWhatItSet) {
  Pod pod = Object<Pod>(
      R"({"metadata":{"name":"p","namespace":"d","uid":"u","creationTimestamp":"2024-01-01T00:00:00Z",
      "labels":{"app":"web"},"ownerReferences":[{"apiVersion":"v1","kind":"X","name":"x","uid":"1-2"}]},
      "spec":{"containers":[{"name":"c","image":"i","resources":{},"ports":[{"containerPort":80,"protocol":"TCP"}],
      "env":[{"name":"A","value":"b"}]}],"dnsPolicy":"ClusterFirst","securityContext":{},"nodeSelector":{"a":"b"}},
      "status":{"phase":"Pending"}})");
  Update<Pod>(nullptr, &pod);
  EXPECT_THAT(
      Entries(pod),
      ElementsAre(
          "kubectl/Update: "
          R"({"f:metadata":{"f:labels":{".":{},"f:app":{}},"f:ownerReferences":{".":{},)"
          R"("k:{\"uid\":\"1-2\"}":{}}},)"
          R"("f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},)"
          R"("f:env":{".":{},"k:{\"name\":\"A\"}":{".":{},"f:name":{},"f:value":{}}},)"
          R"("f:image":{},"f:name":{},"f:ports":{".":{},)"
          R"("k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},)"
          R"("f:resources":{}}},"f:dnsPolicy":{},"f:nodeSelector":{},"f:securityContext":{}}})"));
  const auto& entry = pod.metadata().managed_fields(0);
  EXPECT_EQ(entry.api_version(), "v1");
  EXPECT_EQ(entry.fields_type(), "FieldsV1");
  EXPECT_EQ(api::ToWallTime(entry.time()), kStart);
}

TEST(ManagedFields, UpdateTakesOverWhatItChanges) {
  ConfigMap before = Object<ConfigMap>(R"({"metadata":{"name":"c"},"data":{"a":"1","b":"2"}})");
  Update<ConfigMap>(nullptr, &before, "first");
  ConfigMap after = before;
  (*after.mutable_data())["a"] = "9";
  (*after.mutable_data())["c"] = "3";
  after.mutable_data()->erase("b");
  Update(&before, &after, "second", "", 5);
  EXPECT_THAT(Entries(after), ElementsAre(R"(first/Update: {"f:data":{}})",
                                          R"(second/Update: {"f:data":{"f:a":{},"f:c":{}}})"));
}

TEST(ManagedFields, WithoutChangeNothingMoves) {
  ConfigMap before = Object<ConfigMap>(R"({"metadata":{"name":"c"},"data":{"a":"1"}})");
  Update<ConfigMap>(nullptr, &before, "first");
  ConfigMap after = before;
  after.mutable_metadata()->set_resource_version("7");
  after.mutable_metadata()->clear_managed_fields();
  Update(&before, &after, "second", "", 5);
  EXPECT_EQ(after.metadata().managed_fields_size(), 1);
  EXPECT_EQ(after.metadata().managed_fields(0).SerializeAsString(),
            before.metadata().managed_fields(0).SerializeAsString());
}

TEST(ManagedFields, StatusHasAnEntryOfItsOwn) {
  Pod before = Object<Pod>(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c"}]}})");
  Update<Pod>(nullptr, &before, "kubectl");
  Pod after = before;
  after.mutable_status()->set_phase("Running");
  auto* condition = after.mutable_status()->add_conditions();
  condition->set_type("Ready");
  condition->set_status("True");
  Update(&before, &after, "kubelet", "status", 1);
  EXPECT_THAT(
      Entries(after),
      ElementsAre(
          ::testing::StartsWith("kubectl/Update: "),
          "kubelet/Update/status: "
          R"({"f:status":{"f:conditions":{".":{},"k:{\"type\":\"Ready\"}":{".":{},"f:lastProbeTime":{},)"
          R"("f:lastTransitionTime":{},"f:status":{},"f:type":{}}},"f:phase":{}}})"));
}

TEST(ManagedFields, ResetAndOptOut) {
  ConfigMap before = Object<ConfigMap>(R"({"metadata":{"name":"c"},"data":{"a":"1"}})");
  Update<ConfigMap>(nullptr, &before);
  ConfigMap reset = before;
  reset.mutable_metadata()->clear_managed_fields();
  reset.mutable_metadata()->add_managed_fields();
  Update(&before, &reset);
  EXPECT_THAT(Entries(reset), IsEmpty());
  // From now on updates are not tracked, until something is applied.
  ConfigMap after = reset;
  (*after.mutable_data())["a"] = "2";
  Update(&reset, &after);
  EXPECT_THAT(Entries(after), IsEmpty());
  auto applied = ApplyAs(
      &after, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"b":"3"}})",
      "me");
  ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  EXPECT_THAT(Entries(*applied),
              ElementsAre(R"(me/Apply: {"f:data":{"f:b":{}}})",
                          R"(before-first-apply/Update: {"f:data":{".":{},"f:a":{}}})"));
}

TEST(ManagedFields, ClientMaySendThem) {
  ConfigMap before = Object<ConfigMap>(R"({"metadata":{"name":"c"},"data":{"a":"1"}})");
  Update<ConfigMap>(nullptr, &before, "kubectl-client-side-apply");
  ConfigMap after = before;
  auto* entry = after.mutable_metadata()->mutable_managed_fields(0);
  entry->set_manager("kubectl");
  entry->set_operation("Apply");
  Update(&before, &after, "migration");
  EXPECT_THAT(Entries(after), ElementsAre(R"(kubectl/Apply: {"f:data":{".":{},"f:a":{}}})"));
  // What cannot be read is not taken.
  after.mutable_metadata()->mutable_managed_fields(0)->mutable_fields_v1()->set_raw("[]");
  Update(&before, &after, "migration");
  EXPECT_THAT(Entries(after),
              ElementsAre(R"(kubectl-client-side-apply/Update: {"f:data":{".":{},"f:a":{}}})"));
}

TEST(ManagedFields, OldUpdatersAreMerged) {
  ConfigMap object = Object<ConfigMap>(R"({"metadata":{"name":"c"}})");
  (*object.mutable_data())["k0"] = "x";
  Update<ConfigMap>(nullptr, &object, "m0");
  for (int i = 1; i <= 12; ++i) {
    ConfigMap after = object;
    (*after.mutable_data())["k" + std::to_string(i)] = "x";
    Update(&object, &after, "m" + std::to_string(i), "", i);
    object = after;
  }
  EXPECT_EQ(object.metadata().managed_fields_size(), 10);
  EXPECT_EQ(
      Entries(object)[0],
      R"(ancient-changes/Update: {"f:data":{".":{},"f:k0":{},"f:k1":{},"f:k2":{},"f:k3":{}}})");
}

constexpr std::string_view kWeb =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},
    "spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"},
    "creationTimestamp":null},"spec":{"containers":[{"name":"c","image":"i:1","ports":[{"containerPort":80}]}]}}}})";

TEST(Apply, CreateOwnsWhatWasApplied) {
  auto created = ApplyAs<Deployment>(nullptr, kWeb, "kubectl");
  ASSERT_TRUE(created.ok()) << created.status().ToString();
  EXPECT_THAT(
      Entries(*created),
      ElementsAre(
          "kubectl/Apply: "
          R"({"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:metadata":)"
          R"({"f:creationTimestamp":{},"f:labels":{"f:app":{}}},"f:spec":{"f:containers":)"
          R"({"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},"f:ports":)"
          R"({"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}}}}}}}})"));
}

TEST(Apply, RemovesWhatIsNoLongerApplied) {
  auto first =
      ApplyAs<Service>(nullptr, R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s",
      "labels":{"a":"1","b":"2"}},"spec":{"selector":{"x":"y"},"ports":[{"port":80,"name":"http"},{"port":81,"name":"alt"}]}})",
                       "me");
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  Service live = *first;
  for (auto& port : *live.mutable_spec()->mutable_ports())
    port.set_protocol("TCP");                               // defaulted
  (*live.mutable_metadata()->mutable_labels())["c"] = "3";  // somebody else's
  Service before = *first;
  Update(&before, &live, "other");
  auto second = ApplyAs(
      &live, R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"s","labels":{"b":"2"}},
      "spec":{"ports":[{"port":80,"name":"http"}]}})",
      "me");
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_EQ(
      Json(*second),
      R"({"metadata":{"name":"s","labels":{"b":"2","c":"3"}},"spec":{"ports":)"
      R"([{"name":"http","protocol":"TCP","port":80,"targetPort":0}]},"status":{"loadBalancer":{}}})");
}

TEST(Apply, CoOwnedFieldsStay) {
  constexpr std::string_view kConfig =
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"1"}})";
  auto one = ApplyAs<ConfigMap>(nullptr, kConfig, "one");
  ASSERT_TRUE(one.ok());
  auto two = ApplyAs(&*one, kConfig, "two");
  ASSERT_TRUE(two.ok()) << two.status().ToString();
  EXPECT_THAT(Entries(*two), ElementsAre(R"(one/Apply: {"f:data":{"f:a":{}}})",
                                         R"(two/Apply: {"f:data":{"f:a":{}}})"));
  constexpr std::string_view kEmpty =
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}})";
  auto released = ApplyAs(&*two, kEmpty, "one");
  ASSERT_TRUE(released.ok());
  EXPECT_EQ(Json(*released), R"({"metadata":{"name":"c"},"data":{"a":"1"}})");
  EXPECT_THAT(Entries(*released), ElementsAre(R"(two/Apply: {"f:data":{"f:a":{}}})"));
  auto gone = ApplyAs(&*released, kEmpty, "two");
  ASSERT_TRUE(gone.ok());
  EXPECT_EQ(Json(*gone), R"({"metadata":{"name":"c"}})");
}

TEST(Apply, Conflicts) {
  Deployment live = Object<Deployment>(kWeb);
  Update<Deployment>(nullptr, &live, "kubectl-client-side-apply");
  constexpr std::string_view kOne =
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":5}})";
  auto one = ApplyAs(&live, kOne, "me");
  EXPECT_EQ(one.code(), Code::kConflict);
  EXPECT_EQ(
      one.status().message(),
      R"(Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas)");
  ASSERT_EQ(one.status().details().causes.size(), 1u);
  EXPECT_EQ(one.status().details().causes[0].reason, "FieldManagerConflict");
  EXPECT_EQ(one.status().details().causes[0].message,
            R"(conflict with "kubectl-client-side-apply" using apps/v1)");
  EXPECT_EQ(one.status().details().causes[0].field, ".spec.replicas");

  constexpr std::string_view kTwo =
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{
      "replicas":5,"template":{"spec":{"containers":[{"name":"c","image":"i:2"}]}}}})";
  EXPECT_EQ(
      ApplyAs(&live, kTwo, "me").status().message(),
      "Apply failed with 2 conflicts: conflicts with \"kubectl-client-side-apply\" using apps/v1:\n"
      "- .spec.replicas\n- .spec.template.spec.containers[name=\"c\"].image");

  auto forced = ApplyAs(&live, kTwo, "me", true);
  ASSERT_TRUE(forced.ok());
  EXPECT_EQ(forced->spec().replicas(), 5);
  EXPECT_EQ(forced->spec().template_().spec().containers(0).image(), "i:2");
  EXPECT_EQ(Entries(*forced)[0],
            "me/Apply: "
            R"({"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":)"
            R"({"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{}}}}}}})");
  EXPECT_EQ(Entries(*forced)[1].find("f:replicas"), std::string::npos);
  // The same value is shared, not fought over.
  EXPECT_TRUE(
      ApplyAs(&live, R"({"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":3}})", "me")
          .ok());
}

TEST(Apply, KubectlTakesOverFromItsClientSide) {
  ConfigMap live = Object<ConfigMap>(
      R"({"metadata":{"name":"c","annotations":{"kubectl.kubernetes.io/last-applied-configuration":
      "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"1\"}}"}},
      "data":{"a":"1","b":"1"}})");
  Update<ConfigMap>(nullptr, &live, "kubectl-client-side-apply");
  auto applied = ApplyAs(
      &live, R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"2"}})",
      "kubectl");
  ASSERT_TRUE(applied.ok()) << applied.status().ToString();
  EXPECT_EQ(applied->data().at("a"), "2");
  EXPECT_EQ(applied->metadata().annotations().begin()->second,
            R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"a":"2"}})"
            "\n");
  EXPECT_EQ(ApplyAs(&live, R"({"apiVersion":"v1","kind":"ConfigMap","data":{"b":"2"}})", "kubectl")
                .code(),
            Code::kConflict);
}

TEST(Apply, ListOrder) {
  auto order = [](std::string_view live, std::string_view applied) {
    auto list = [](std::string_view names) {
      std::string out;
      for (char c : names)
        out += (out.empty() ? "" : ",") + std::string(R"({"name":")") + c + R"("})";
      return R"({"apiVersion":"v1","kind":"Pod","spec":{"containers":[)" + out + "]}}";
    };
    Pod pod = Object<Pod>(list(live));
    auto result = ApplyAs(&pod, list(applied), "me");
    std::string names;
    if (result.ok())
      for (const auto& container : result->spec().containers())
        names += container.name();
    return names;
  };
  EXPECT_EQ(order("abc", "b"), "abc");
  EXPECT_EQ(order("abc", "ca"), "bca");
  EXPECT_EQ(order("abc", "xc"), "abxc");
  EXPECT_EQ(order("abc", "bx"), "abcx");
  EXPECT_EQ(order("", "ba"), "ba");
}

TEST(Apply, BadRequests) {
  auto error = [](std::string_view json) {
    return ApplyAs<Deployment>(nullptr, json, "me").status().ToString();
  };
  EXPECT_EQ(error(R"({"apiVersion":"apps/v1beta1","kind":"Deployment"})"),
            "BadRequest: Incorrect version specified in apply patch. Specified patch version: "
            "apps/v1beta1, expected: apps/v1");
  EXPECT_EQ(error(R"({"apiVersion":"apps/v1","metadata":{"managedFields":[]}})"),
            "BadRequest: metadata.managedFields must be nil");
  EXPECT_EQ(
      error(
          R"({"apiVersion":"apps/v1","metadata":{"name":"web","namespace":"d"},"spec":{"foo":1}})"),
      ": failed to create typed patch object (d/web; apps/v1, Kind=Deployment): .spec.foo: field "
      "not declared in schema");
  EXPECT_EQ(
      error(
          R"({"apiVersion":"apps/v1","metadata":{"name":"web","namespace":"d"},"spec":{"replicas":"x"}})"),
      ": failed to create typed patch object (d/web; apps/v1, Kind=Deployment): .spec.replicas: "
      "expected numeric (int "
      "or float), got string");
  EXPECT_THAT(
      error(
          R"({"apiVersion":"apps/v1","spec":{"template":{"spec":{"containers":[{"name":"a"},{"name":"a"}]}}}})"),
      ::testing::HasSubstr(
          R"(.spec.template.spec.containers: duplicate entries for key [name="a"])"));
  EXPECT_THAT(
      error(
          R"({"apiVersion":"apps/v1","spec":{"template":{"spec":{"containers":[{"image":"a"}]}}}})"),
      ::testing::HasSubstr(
          ".spec.template.spec.containers: element 0: associative list with keys has an element "
          "that omits key field \"name\" (and doesn't have default value)"));
}

}  // namespace
}  // namespace gantry::apiserver

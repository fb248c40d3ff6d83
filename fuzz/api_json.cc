// JSON of API objects: whatever is read must come back the same when it is written and read again,
// in JSON and in binary. The first byte picks the type.

#include <google/protobuf/message.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "api/apiextensions/v1/apiextensions.pb.h"
#include "api/apps/v1/deployment.pb.h"
#include "api/autoscaling/v2/horizontal_pod_autoscaler.pb.h"
#include "api/core/v1/config_map.pb.h"
#include "api/core/v1/event.pb.h"
#include "api/core/v1/pod.pb.h"
#include "api/core/v1/secret.pb.h"
#include "api/json.h"

namespace api = gantry::api;
using google::protobuf::Message;

namespace {

std::string Json(const Message& message) {
  std::string out;
  api::WriteJson(message, &out);
  return out;
}

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::array<const Message*, 7> kTypes = {
      &api::core::v1::Pod::default_instance(),
      &api::core::v1::ConfigMap::default_instance(),
      &api::core::v1::Secret::default_instance(),
      &api::core::v1::Event::default_instance(),
      &api::apps::v1::Deployment::default_instance(),
      &api::autoscaling::v2::HorizontalPodAutoscaler::default_instance(),
      &api::apiextensions::v1::CustomResourceDefinition::default_instance(),
  };
  if (size == 0) return 0;
  const Message& type = *kTypes[data[0] % kTypes.size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::unique_ptr<Message> first(type.New());
  api::JsonIssues issues;
  if (!api::ReadJson(text, first.get(), &issues).ok()) return 0;
  Require(api::CheckRawJson(*first).ok());
  const std::string json = Json(*first);

  std::unique_ptr<Message> second(type.New());
  issues.messages.clear();
  Require(api::ReadJson(json, second.get(), &issues).ok());
  Require(issues.messages.empty());
  Require(Json(*second) == json);

  std::unique_ptr<Message> third(type.New());
  Require(third->ParseFromString(first->SerializeAsString()));
  Require(Json(*third) == json);
  return 0;
}

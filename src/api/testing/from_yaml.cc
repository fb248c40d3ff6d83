#include "api/testing/from_yaml.h"

#include <string>

#include "api/json.h"
#include "api/yaml.h"
#include "base/check.h"

namespace gantry::api::testing {

void ReadYaml(std::string_view yaml, google::protobuf::Message* out) {
  Result<std::vector<std::string>> documents = YamlToJson(yaml);
  GANTRY_CHECK(documents.ok(), documents.status().message());
  GANTRY_CHECK(documents->size() == 1, "one document is wanted");
  JsonIssues issues;
  Status read = ReadJson(documents->front(), out, &issues);
  GANTRY_CHECK(read.ok(), read.message());
  GANTRY_CHECK(issues.messages.empty(), issues.messages.front());
}

}  // namespace gantry::api::testing

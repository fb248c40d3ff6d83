// Every message and field against the published facts of the Kubernetes API, where those are at
// hand: in the file that GANTRY_K8S_API_FACTS names, or beside the repository.

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "api/json_value.h"
#include "api/options.pb.h"
#include "api/schema.h"
#include "api/testing/all_types.h"

namespace gantry::api {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

std::string TextOf(const JsonValue& value, std::string_view key) {
  const JsonValue* member = value.Find(key);
  return member == nullptr ? "" : member->is_string() ? member->as_string() : member->ToString();
}
bool Flag(const JsonValue& value, std::string_view key) { return TextOf(value, key) == "true"; }

JsonValue LoadFacts() {
  const char* named = std::getenv("GANTRY_K8S_API_FACTS");
  std::ifstream in(named != nullptr ? named : "../shared/k8s-api/messages.json");
  std::stringstream text;
  text << in.rdbuf();
  if (!in || text.str().empty()) return {};
  Result<JsonValue> facts = JsonValue::Parse(text.str());
  return facts.ok() ? *facts : JsonValue();
}

// "map<string,k8s.io...Quantity>", "k8s.io.api.core.v1.Container", "int32": the type as the facts
// name it in full.
std::string TypeName(const FieldDescriptor* field) {
  if (field->is_map()) return "map<string," + TypeName(field->message_type()->map_value()) + ">";
  if (field->message_type() != nullptr)
    return std::string(SchemaOf(field->message_type()).k8s_name());
  return field->type_name();
}

std::string FactType(std::string type, const std::string& package) {
  static const std::map<std::string, std::string> kJsonOnly = {
      {"interface{}", "k8s.io.apimachinery.pkg.runtime.RawExtension"},
      {"runtime.RawExtension", "k8s.io.apimachinery.pkg.runtime.RawExtension"},
      {"IncludeObjectPolicy", "string"},
      {"RowConditionType", "string"},
      {"ConditionStatus", "string"}};
  if (type.starts_with("map<string,"))
    return "map<string," + FactType(type.substr(11, type.size() - 12), package) + ">";
  if (auto it = kJsonOnly.find(type); it != kJsonOnly.end()) return it->second;
  const bool own = type.find('.') == std::string::npos && type[0] >= 'A' && type[0] <= 'Z';
  return own ? package + "." + type : type;
}

std::vector<std::string> Keys(const JsonValue& fact) {
  std::vector<std::string> keys;
  if (const JsonValue* list = fact.Find("listMapKey"))
    for (const JsonValue& key : list->as_array())
      keys.push_back(key.as_string());
  return keys;
}

void CheckField(const JsonValue& fact, const FieldDescriptor* field, const Descriptor* message,
                const std::string& package) {
  SCOPED_TRACE(field->full_name());
  const FieldFacts& facts = field->options().GetExtension(k8s);
  EXPECT_EQ(TypeName(field), FactType(TextOf(fact, "type"), package));
  if (!field->is_map()) EXPECT_EQ(field->is_repeated(), Flag(fact, "repeated"));
  const MessageSchema& schema = SchemaOf(message);
  if (schema.form() != JsonForm::kObject) return;
  EXPECT_EQ(facts.inline_(), Flag(fact, "inline"));
  if (facts.inline_()) return;

  const FieldSchema* own = schema.Find(TextOf(fact, "name"));
  ASSERT_NE(own, nullptr) << TextOf(fact, "name");
  EXPECT_EQ(own->required, !Flag(fact, "optional"));
  const bool value_message =
      own->type == ValueType::kMessage && !own->list && !own->map && !Flag(fact, "pointer");
  EXPECT_EQ(own->always, value_message ? !Flag(fact, "omitzero") : !Flag(fact, "omitempty"));
  if (own->type != ValueType::kMessage) EXPECT_EQ(own->pointer, Flag(fact, "pointer"));

  const std::string list_type = TextOf(fact, "listType");
  EXPECT_EQ(own->list_type, list_type == "map"   ? ListType::kMap
                            : list_type == "set" ? ListType::kSet
                                                 : ListType::kAtomic);
  EXPECT_EQ(std::vector<std::string>(own->keys.begin(), own->keys.end()), Keys(fact));
  EXPECT_EQ(own->merge_key, TextOf(fact, "patchMergeKey"));
  EXPECT_EQ(facts.patch(), TextOf(fact, "patchStrategy"));
  if (own->map) EXPECT_EQ(own->atomic, TextOf(fact, "mapType") == "atomic");
  if (own->message != nullptr && !own->list && !own->map) {
    const std::string structure = TextOf(fact, "structType");
    EXPECT_EQ(own->atomic, structure == "atomic" || (structure.empty() && own->message->atomic()));
  }
  EXPECT_EQ(own->default_value, TextOf(fact, "default"));
  EXPECT_EQ(own->gate, TextOf(fact, "featureGate"));
  if (const JsonValue* values = fact.Find("enum"); values != nullptr && Flag(fact, "enumMarker"))
    EXPECT_EQ(own->enum_values.size(), values->as_array().size());
}

void CheckMessage(const std::string& name, const JsonValue& fact, const Descriptor* message) {
  SCOPED_TRACE(name);
  const MessageSchema& schema = SchemaOf(message);
  const std::string package = name.substr(0, name.rfind('.'));
  EXPECT_EQ(schema.type_meta(), Flag(fact, "typeMeta"));
  EXPECT_EQ(schema.form() != JsonForm::kObject, fact.Find("json") != nullptr);
  EXPECT_EQ(schema.atomic(), TextOf(fact, "structType") == "atomic");
  const bool json_only = TextOf(fact, "proto") == "false";
  const auto& fields = fact.Find("fields")->as_array();
  ASSERT_EQ(static_cast<size_t>(message->field_count()), fields.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    // Fields stand in the order of the facts, which is the order of the JSON.
    const FieldDescriptor* field = message->field(static_cast<int>(i));
    if (!json_only)
      EXPECT_EQ(std::to_string(field->number()), TextOf(fields[i], "number")) << field->full_name();
    CheckField(fields[i], field, message, package);
  }
}

TEST(FactsTest, EveryMessageOfTheGroupsIsThereAsKubernetesHasIt) {
  const JsonValue facts = LoadFacts();
  if (facts.is_null())
    GTEST_SKIP() << "no facts at hand: set GANTRY_K8S_API_FACTS to messages.json";
  std::map<std::string, const Descriptor*, std::less<>> ours;
  std::set<std::string, std::less<>> packages;
  for (const Descriptor* type : testing::AllTypes()) {
    const std::string name(SchemaOf(type).k8s_name());
    ours[name] = type;
    packages.insert(name.substr(0, name.rfind('.')));
  }
  for (const char* package :
       {"core.v1", "apps.v1", "discovery.v1", "coordination.v1", "events.v1", "rbac.v1",
        "authentication.v1", "authorization.v1", "batch.v1", "autoscaling.v1", "autoscaling.v2",
        "policy.v1", "networking.v1", "storage.v1", "scheduling.v1", "node.v1", "certificates.v1"})
    EXPECT_TRUE(packages.contains(std::string("k8s.io.api.") + package)) << package;
  size_t checked = 0;
  for (const auto& [name, fact] : facts.as_object()) {
    if (!packages.contains(name.substr(0, name.rfind('.')))) continue;
    auto it = ours.find(name);
    ASSERT_NE(it, ours.end()) << "no message for " << name;
    CheckMessage(name, fact, it->second);
    ++checked;
  }
  EXPECT_EQ(checked, ours.size());
}

TEST(FactsTest, NamesAndNumbersAreUniqueAndMergeKeysExist) {
  for (const Descriptor* type : testing::AllTypes()) {
    const MessageSchema& schema = SchemaOf(type);
    std::set<std::string_view> names;
    for (const FieldSchema& field : schema.fields()) {
      if (schema.form() != JsonForm::kObject) continue;
      EXPECT_TRUE(names.insert(field.name).second) << type->full_name() << "." << field.name;
      EXPECT_EQ(schema.Find(field.name), &field);
      for (std::string_view key : field.keys) {
        EXPECT_TRUE(field.message != nullptr && field.message->Find(key) != nullptr)
            << type->full_name() << "." << field.name << " has no key " << key;
      }
      if (!field.merge_key.empty() && field.message != nullptr)
        EXPECT_NE(field.message->Find(field.merge_key), nullptr)
            << type->full_name() << "." << field.name;
      EXPECT_EQ(field.list_type == ListType::kMap, !field.keys.empty())
          << type->full_name() << "." << field.name;
    }
  }
}

}  // namespace
}  // namespace gantry::api

#include "api/defaults.h"

#include <unordered_map>

#include "api/defaults/rules.h"

namespace gantry::api {
namespace {

using Table = std::unordered_map<const google::protobuf::Descriptor*, defaults::Rule>;

Table MakeTable() {
  Table table;
  for (auto rules : {defaults::AdmissionRules, defaults::AppsRules, defaults::AutoscalingRules,
                     defaults::BatchRules, defaults::ClusterRules, defaults::CoreRules,
                     defaults::NetworkRules, defaults::PodRules}) {
    for (const defaults::RuleRow& row : rules())
      table.emplace(row.type, row.rule);
  }
  return table;
}

}  // namespace

void SetDefaults(google::protobuf::Message* object) {
  static const Table table = MakeTable();
  auto row = table.find(object->GetDescriptor());
  if (row != table.end()) row->second(object);
}

}  // namespace gantry::api

#pragma once

#include <google/protobuf/message.h>

#include <vector>

#include "api/validation/check.h"

// The table that validation.cc looks kinds up in. One file per group fills it.
namespace gantry::api::validation {

struct RuleRow {
  const google::protobuf::Descriptor* type;
  void (*create)(const google::protobuf::Message&, Errors*);
  void (*update)(const google::protobuf::Message&, const google::protobuf::Message&, Errors*);
  // Null where a status update has no rules but those of metadata.
  void (*status)(const google::protobuf::Message&, const google::protobuf::Message&, Errors*);
};

template <class T, void (*Create)(const T&, Errors*), void (*Update)(const T&, const T&, Errors*),
          void (*StatusUpdate)(const T&, const T&, Errors*) = nullptr>
RuleRow Row() {
  using google::protobuf::Message;
  RuleRow row{
      T::descriptor(),
      [](const Message& object, Errors* errors) { Create(static_cast<const T&>(object), errors); },
      [](const Message& object, const Message& old, Errors* errors) {
        Update(static_cast<const T&>(object), static_cast<const T&>(old), errors);
      },
      nullptr};
  if constexpr (StatusUpdate != nullptr) {
    row.status = [](const Message& object, const Message& old, Errors* errors) {
      StatusUpdate(static_cast<const T&>(object), static_cast<const T&>(old), errors);
    };
  }
  return row;
}

std::vector<RuleRow> AddressRules();
std::vector<RuleRow> AppsRules();
std::vector<RuleRow> AutoscalingRules();
std::vector<RuleRow> BatchRules();
std::vector<RuleRow> ClusterRules();
std::vector<RuleRow> CoreRules();
std::vector<RuleRow> ExtensionRules();
std::vector<RuleRow> NetworkRules();
std::vector<RuleRow> RbacRules();
std::vector<RuleRow> ServiceRules();
std::vector<RuleRow> StorageRules();

// A number of things or a part of all of them: not negative, or a percentage.
void CheckIntOrPercent(const Path& path, const intstr::IntOrString& value, Errors* errors);
void CheckAtMostAll(const Path& path, const intstr::IntOrString& value, Errors* errors);
// The number, or the number in front of the percent sign; 0 where there is none.
int64_t NumberOf(const intstr::IntOrString& value);

}  // namespace gantry::api::validation

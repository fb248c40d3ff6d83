#pragma once

#include <string>
#include <vector>

#include "cli/client/describe_page.h"

namespace gantry::cli {

// What the description of a kind needs beside the object: a list or one object of another kind.
struct Relation {
  const char* name;  // in Described::related
  // Of the API; {ns}, {name} and {selector} are filled in.
  const char* target;
};
std::vector<Relation> RelationsOf(const std::string& kind);

// An object as kubectl's `describe` shows it; kinds without a description of their own are shown
// as a tree of their fields.
std::string DescribeObject(const Described& what);

// A pod template as `rollout history --revision` shows it: with tabs, as kubectl does.
std::string PodTemplateText(const api::JsonValue& pod_template);

}  // namespace gantry::cli

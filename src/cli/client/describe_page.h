#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_value.h"
#include "base/env/time.h"

// What the descriptions of all kinds share (describe_*.cc): lines of cells, and the parts that many
// kinds have. The layout is kubectl's.
namespace gantry::cli {

// An object with what its description needs beside it.
struct Described {
  api::JsonValue object;
  std::vector<api::JsonValue> events;  // its own, oldest first
  // Of other kinds, by what `describe` calls them: "pods", "lease", "slices" (describe.cc).
  std::map<std::string, std::vector<api::JsonValue>> related;
  WallTime now;

  const std::vector<api::JsonValue>& Related(const std::string& name) const;
};

// Lines of cells. Threading: one user.
class Page {
 public:
  // `level` steps of two spaces before the line.
  void Line(size_t level, const std::vector<std::string>& cells);
  // The values one below the other, "<none>" where there are none.
  void Lines(size_t level, const std::string& title, const std::vector<std::string>& values);
  void Head(const std::string& text) { Line(0, {text}); }
  void Raw(std::string_view text) { text_ += text; }

  // With tabs, and with columns instead of them.
  const std::string& text() const { return text_; }
  std::string Aligned() const;

 private:
  std::string text_;
};

std::string OrNone(std::string text, const char* none = "<none>");
// The members of a map, sorted, as "name=value" with `between` for the sign.
std::vector<std::string> Pairs(const api::JsonValue& object, std::string_view path,
                               const char* between);
// Scalars of a list.
std::vector<std::string> Texts(const api::JsonValue& object, std::string_view path);
// "Fri, 20 Nov 2026 20:03:20 +0000"; "<unset>" for no time.
std::string LongTime(const std::string& text);
const char* Truth(bool value, const char* yes = "true", const char* no = "false");

void AddName(const api::JsonValue& object, Page* page);
void AddNamespace(const api::JsonValue& object, Page* page);
void AddLabels(const api::JsonValue& object, Page* page);
void AddAnnotations(const api::JsonValue& object, Page* page, size_t level = 0);
// Name, namespace, labels and annotations, where nothing stands between them.
void AddIdentity(const api::JsonValue& object, Page* page);
void AddSelector(const api::JsonValue& object, Page* page);
void AddController(const api::JsonValue& object, Page* page);
// Type, status and reason.
void AddConditions(const api::JsonValue& object, Page* page);
void AddEvents(const Described& what, Page* page);

// describe_pod_spec.cc: the containers of a pod (`status` null: of a template) and its volumes.
void AddContainers(const api::JsonValue& pod, const api::JsonValue& spec,
                   const api::JsonValue* status, Page* page);
// "http-get http://:80/ delay=0s timeout=1s ..."
std::string ProbeText(const api::JsonValue& probe);
void AddVolumes(const api::JsonValue& spec, bool in_template, Page* page);
void AddPlacement(const api::JsonValue& spec, size_t level, Page* page);
void AddPodTemplate(const api::JsonValue& pod_template, Page* page);

// One kind each, without its events.
using Describer = void (*)(const Described&, Page*);
void DescribePod(const Described& what, Page* page);
void DescribeNode(const Described& what, Page* page);
void DescribeDeployment(const Described& what, Page* page);
void DescribeReplicaSet(const Described& what, Page* page);
void DescribeStatefulSet(const Described& what, Page* page);
void DescribeDaemonSet(const Described& what, Page* page);
void DescribeJob(const Described& what, Page* page);
void DescribeService(const Described& what, Page* page);
void DescribeEndpoints(const Described& what, Page* page);
void DescribeEndpointSlice(const Described& what, Page* page);
void DescribeNetworkPolicy(const Described& what, Page* page);
void DescribeConfigMap(const Described& what, Page* page);
void DescribeSecret(const Described& what, Page* page);
void DescribeNamespace(const Described& what, Page* page);
void DescribeResourceQuota(const Described& what, Page* page);
void DescribeServiceAccount(const Described& what, Page* page);
void DescribePriorityClass(const Described& what, Page* page);
void DescribeRole(const Described& what, Page* page);
void DescribeRoleBinding(const Described& what, Page* page);
// Any kind: all its fields as a tree.
void DescribeOther(const Described& what, Page* page);

}  // namespace gantry::cli

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::apiserver::apply {

// A set of paths into an object: what one manager owns. It is a tree whose nodes are named as
// FieldsV1 names them: "f:spec" (a member), `k:{"name":"web"}` (the item of a list with these
// keys), `v:"x"` (this item of a set). Nodes that stand side by side are sorted. Threading: a
// value.
class FieldSet {
 public:
  struct Node;
  using Nodes = std::vector<Node>;

  bool empty() const;
  const Nodes& nodes() const { return nodes_; }
  Nodes* mutable_nodes() { return &nodes_; }

  // The JSON of FieldsV1, and back. kBadRequest for text that is none.
  static Result<FieldSet> Parse(std::string_view fields_v1);
  void AppendTo(std::string* out) const;

  void Add(const FieldSet& other);
  // Takes out the paths that are in `other`.
  void Remove(const FieldSet& other);
  // Takes out the paths in `other` with all that is below them.
  void RemoveBelow(const FieldSet& other);
  static FieldSet Intersection(const FieldSet& a, const FieldSet& b);

  // Every path as messages show it (`.spec.containers[name="web"].image`), in order.
  std::vector<std::string> Paths() const;

 private:
  Nodes nodes_;
};

struct FieldSet::Node {
  std::string element;
  bool member = false;  // the path that ends here is in the set
  Nodes children;
};

// The order of nodes that stand side by side: by name, numbers in keys by value.
bool ElementLess(std::string_view a, std::string_view b);
void Sort(FieldSet::Nodes* nodes);

// The node of that name, added when absent.
FieldSet::Node* FindOrAdd(FieldSet::Nodes* nodes, std::string_view element);
const FieldSet::Node* FindNode(const FieldSet::Nodes& nodes, std::string_view element);

// "f:spec" as ".spec", `k:{"name":"web"}` as `[name="web"]`, `v:"x"` as `[="x"]`.
std::string ElementText(std::string_view element);

}  // namespace gantry::apiserver::apply

#include "apiserver/apply/field_set.h"

#include <algorithm>
#include <cstring>

#include "api/json_text.h"
#include "api/json_value.h"

namespace gantry::apiserver::apply {
namespace {

using Node = FieldSet::Node;
using Nodes = FieldSet::Nodes;

// How many bytes two texts begin with alike. Elements of a list have a long one.
size_t CommonPrefix(std::string_view a, std::string_view b) {
  const size_t size = std::min(a.size(), b.size());
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    if (std::memcmp(a.data() + i, b.data() + i, 8) != 0) break;
  }
  while (i < size && a[i] == b[i])
    ++i;
  return i;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

void AppendNodes(const Nodes& nodes, bool member, std::string* out) {
  out->push_back('{');
  if (member) out->append("\".\":{}");
  for (const Node& node : nodes) {
    if (out->back() != '{') out->push_back(',');
    api::AppendJsonString(node.element, out);
    out->push_back(':');
    if (node.children.empty()) {
      out->append("{}");
    } else {
      AppendNodes(node.children, node.member, out);
    }
  }
  out->push_back('}');
}

// Reads the JSON of FieldsV1: nothing but objects in objects.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  bool Parse(Nodes* out) {
    bool member = false;
    if (!Object(out, &member, 0)) return false;
    SkipSpace();
    return pos_ == text_.size();
  }

 private:
  static constexpr int kMaxDepth = 200;

  void SkipSpace() {
    while (pos_ < text_.size() && (text_[pos_] == ' ' || text_[pos_] == '\n' ||
                                   text_[pos_] == '\t' || text_[pos_] == '\r'))
      ++pos_;
  }
  bool Eat(char c) {
    SkipSpace();
    if (pos_ >= text_.size() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }

  bool Name(std::string* out) {
    if (!Eat('"')) return false;
    size_t start = pos_;
    bool escaped = false;
    while (pos_ < text_.size() && text_[pos_] != '"') {
      if (text_[pos_] == '\\') {
        escaped = true;
        ++pos_;
      }
      ++pos_;
    }
    if (pos_ >= text_.size()) return false;
    ++pos_;
    if (!escaped) {
      out->assign(text_.substr(start, pos_ - 1 - start));
      return true;
    }
    auto parsed = api::JsonValue::Parse(text_.substr(start - 1, pos_ - start + 1));
    if (!parsed.ok() || !parsed->is_string()) return false;
    *out = std::move(parsed->as_string());
    return true;
  }

  // `member` is set where the object has the member ".".
  bool Object(Nodes* nodes, bool* member, int depth) {
    if (depth > kMaxDepth || !Eat('{')) return false;
    if (Eat('}')) return true;
    do {
      Node node;
      if (!Name(&node.element) || !Eat(':')) return false;
      bool inner = false;
      if (!Object(&node.children, &inner, depth + 1)) return false;
      if (node.element == ".") {
        *member = true;
        continue;
      }
      if (node.element.size() < 2 || node.element[1] != ':') return false;
      node.member = inner || node.children.empty();
      nodes->push_back(std::move(node));
    } while (Eat(','));
    Sort(nodes);
    return Eat('}');
  }

  std::string_view text_;
  size_t pos_ = 0;
};

void AddNodes(Nodes* nodes, const Nodes& other) {
  if (other.empty()) return;
  if (nodes->empty()) {
    *nodes = other;
    return;
  }
  Nodes out;
  out.reserve(nodes->size() + other.size());
  auto a = nodes->begin();
  auto b = other.begin();
  while (a != nodes->end() || b != other.end()) {
    if (b == other.end() || (a != nodes->end() && ElementLess(a->element, b->element))) {
      out.push_back(std::move(*a++));
    } else if (a == nodes->end() || ElementLess(b->element, a->element)) {
      out.push_back(*b++);
    } else {
      a->member |= b->member;
      AddNodes(&a->children, b->children);
      out.push_back(std::move(*a++));
      ++b;
    }
  }
  *nodes = std::move(out);
}

void RemoveNodes(Nodes* nodes, const Nodes& other, bool below) {
  if (other.empty()) return;
  std::erase_if(*nodes, [&](Node& node) {
    const Node* match = FindNode(other, node.element);
    if (!match) return false;
    if (match->member) {
      if (below) return true;
      node.member = false;
    }
    RemoveNodes(&node.children, match->children, below);
    return !node.member && node.children.empty();
  });
}

Nodes Intersect(const Nodes& a, const Nodes& b) {
  Nodes out;
  for (const Node& node : a) {
    const Node* match = FindNode(b, node.element);
    if (!match) continue;
    Node both{node.element, node.member && match->member,
              Intersect(node.children, match->children)};
    if (both.member || !both.children.empty()) out.push_back(std::move(both));
  }
  return out;
}

void CollectPaths(const Nodes& nodes, const std::string& prefix, std::vector<std::string>* out) {
  for (const Node& node : nodes) {
    std::string path = prefix + ElementText(node.element);
    if (node.member) out->push_back(path);
    CollectPaths(node.children, path, out);
  }
}

}  // namespace

bool ElementLess(std::string_view a, std::string_view b) {
  size_t i = CommonPrefix(a, b);
  // The longer of two numbers in a key is the greater one.
  bool numbers = a.size() > 2 && (a[0] == 'k' || a[0] == 'v') && i < a.size() && i < b.size() &&
                 (IsDigit(a[i]) || IsDigit(b[i]));
  if (numbers) {
    size_t start = i;
    while (start > 0 && IsDigit(a[start - 1]))
      --start;
    if (a[start - 1] == ':') {
      size_t end_a = i, end_b = i;
      while (end_a < a.size() && IsDigit(a[end_a]))
        ++end_a;
      while (end_b < b.size() && IsDigit(b[end_b]))
        ++end_b;
      if (end_a != end_b) return end_a < end_b;
    }
  }
  if (i == a.size() || i == b.size()) return a.size() < b.size();
  return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
}

void Sort(Nodes* nodes) {
  auto less = [](const Node& a, const Node& b) { return ElementLess(a.element, b.element); };
  if (!std::is_sorted(nodes->begin(), nodes->end(), less))
    std::sort(nodes->begin(), nodes->end(), less);
}

Node* FindOrAdd(Nodes* nodes, std::string_view element) {
  auto at = std::lower_bound(
      nodes->begin(), nodes->end(), element,
      [](const Node& node, std::string_view name) { return ElementLess(node.element, name); });
  if (at == nodes->end() || at->element != element)
    at = nodes->insert(at, Node{std::string(element), false, {}});
  return &*at;
}

const Node* FindNode(const Nodes& nodes, std::string_view element) {
  auto at = std::lower_bound(
      nodes.begin(), nodes.end(), element,
      [](const Node& node, std::string_view name) { return ElementLess(node.element, name); });
  return at == nodes.end() || at->element != element ? nullptr : &*at;
}

std::string ElementText(std::string_view element) {
  std::string_view name = element.substr(2);
  if (element[0] == 'f') return "." + std::string(name);
  if (element[0] == 'v') return "[=" + std::string(name) + "]";
  if (element[0] == 'i') return "[" + std::string(name) + "]";
  auto keys = api::JsonValue::Parse(name);
  std::string out = "[";
  if (keys.ok() && keys->is_object())
    for (const auto& [key, value] : keys->as_object()) {
      if (out.size() > 1) out += ",";
      out += key + "=" + value.ToString();
    }
  return out + "]";
}

bool FieldSet::empty() const { return nodes_.empty(); }

Result<FieldSet> FieldSet::Parse(std::string_view fields_v1) {
  FieldSet set;
  if (fields_v1.empty()) return set;
  if (!Parser(fields_v1).Parse(&set.nodes_))
    return BadRequest("metadata.managedFields: fieldsV1 is not valid");
  return set;
}

void FieldSet::AppendTo(std::string* out) const { AppendNodes(nodes_, false, out); }
void FieldSet::Add(const FieldSet& other) { AddNodes(&nodes_, other.nodes_); }
void FieldSet::Remove(const FieldSet& other) { RemoveNodes(&nodes_, other.nodes_, false); }
void FieldSet::RemoveBelow(const FieldSet& other) { RemoveNodes(&nodes_, other.nodes_, true); }

FieldSet FieldSet::Intersection(const FieldSet& a, const FieldSet& b) {
  FieldSet out;
  out.nodes_ = Intersect(a.nodes_, b.nodes_);
  return out;
}

std::vector<std::string> FieldSet::Paths() const {
  std::vector<std::string> out;
  CollectPaths(nodes_, "", &out);
  return out;
}

}  // namespace gantry::apiserver::apply

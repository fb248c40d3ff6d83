#include "cli/client/jsonpath.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "api/json_value.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

struct Step;

// One side of a filter: a path from the item (or the root), or a constant.
struct Operand {
  bool is_path = false;
  bool from_root = false;
  std::vector<Step> path;
  JsonValue constant;
};

struct Step {
  enum class Type : uint8_t { kField, kWildcard, kDescend, kSlice, kFilter, kUnion };
  Type type = Type::kField;
  std::string name;              // kField
  std::vector<Step> parts;       // kUnion
  std::optional<int64_t> first;  // kSlice; an index has `last` unset and `single`
  std::optional<int64_t> last;
  int64_t stride = 1;
  bool single = false;
  std::string op;  // kFilter; "exists" when there is no right side
  Operand left, right;
};

}  // namespace

struct JsonPath::Node {
  enum class Type : uint8_t { kList, kText, kPath, kRange };
  Type type = Type::kList;
  std::string text;
  std::vector<Step> path;
  bool from_root = false;
  std::vector<Node> body;  // kList, kRange
};

namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Status Template(JsonPath::Node* list, bool in_range) {
    while (at_ < text_.size()) {
      if (text_[at_] != '{') {
        JsonPath::Node node;
        node.type = JsonPath::Node::Type::kText;
        const size_t end = text_.find('{', at_);
        node.text = text_.substr(at_, end == std::string_view::npos ? end : end - at_);
        at_ = end == std::string_view::npos ? text_.size() : end;
        list->body.push_back(std::move(node));
        continue;
      }
      ++at_;
      SkipSpace();
      if (Word("end")) {
        if (!in_range) return BadRequest("not in range, nothing to end");
        return Close();
      }
      JsonPath::Node node;
      if (Word("range")) {
        node.type = JsonPath::Node::Type::kRange;
        GANTRY_TRY(Path(&node.path, &node.from_root));
        GANTRY_TRY(Close());
        GANTRY_TRY(Template(&node, true));
        list->body.push_back(std::move(node));
        continue;
      }
      while (Peek() != '}') {
        JsonPath::Node part;
        if (Peek() == '\0') return BadRequest("unclosed action");
        if (Peek() == '"' || Peek() == '\'') {
          part.type = JsonPath::Node::Type::kText;
          GANTRY_ASSIGN(part.text, Quoted());
        } else {
          part.type = JsonPath::Node::Type::kPath;
          GANTRY_TRY(Path(&part.path, &part.from_root));
        }
        list->body.push_back(std::move(part));
        SkipSpace();
      }
      GANTRY_TRY(Close());
    }
    if (in_range) return BadRequest("unterminated range: {end} is missing");
    return Status::Ok();
  }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void SkipSpace() {
    while (Peek() == ' ' || Peek() == '\t')
      ++at_;
  }
  bool Take(std::string_view what) {
    if (!text_.substr(at_).starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  bool Word(std::string_view word) {
    const std::string_view rest = text_.substr(at_);
    if (!rest.starts_with(word)) return false;
    const char next = rest.size() > word.size() ? rest[word.size()] : '}';
    if (next != ' ' && next != '}' && next != '\t') return false;
    at_ += word.size();
    SkipSpace();
    return true;
  }
  Status Close() {
    SkipSpace();
    return Take("}") ? Status::Ok() : BadRequest("unclosed action");
  }
  Status Unrecognized() const {
    return BadRequest("unrecognized character in action: U+00" + Hex(Peek()) + " '" +
                      std::string(1, Peek()) + "'");
  }
  static std::string Hex(char c) {
    const char* const digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    return {digits[byte >> 4], digits[byte & 15]};
  }

  Result<std::string> Quoted() {
    const char quote = text_[at_++];
    std::string out;
    while (Peek() != quote) {
      char c = Peek();
      if (c == '\0') return BadRequest("unterminated quoted string");
      ++at_;
      if (c == '\\' && at_ < text_.size()) {
        c = text_[at_++];
        c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
      }
      out += c;
    }
    ++at_;
    return out;
  }

  Status Path(std::vector<Step>* path, bool* from_root) {
    SkipSpace();
    const size_t begin = at_;
    if (Take("$"))
      *from_root = true;
    else if (Take("@"))
      *from_root = false;
    while (true) {
      if (Take("..")) {
        Step descend;
        descend.type = Step::Type::kDescend;
        path->push_back(std::move(descend));
        if (Peek() != '[') GANTRY_TRY(Field(path));
      } else if (Take(".")) {
        if (Peek() != '[' && Peek() != '}' && Peek() != ' ') GANTRY_TRY(Field(path));
      } else if (Peek() == '[') {
        GANTRY_TRY(Brackets(path));
      } else {
        break;
      }
    }
    if (at_ == begin) return Unrecognized();
    return Status::Ok();
  }

  Status Field(std::vector<Step>* path) {
    Step step;
    if (Take("*")) {
      step.type = Step::Type::kWildcard;
      path->push_back(std::move(step));
      return Status::Ok();
    }
    while (at_ < text_.size()) {
      char c = Peek();
      if (c == '\\' && at_ + 1 < text_.size()) {
        c = text_[++at_];
      } else if (std::string_view(" \t.[]{}()=<>!,|&").find(c) != std::string_view::npos) {
        break;
      }
      step.name += c;
      ++at_;
    }
    if (step.name.empty()) return Unrecognized();
    path->push_back(std::move(step));
    return Status::Ok();
  }

  Status Brackets(std::vector<Step>* path) {
    ++at_;
    SkipSpace();
    Step step;
    if (Take("?(")) {
      GANTRY_TRY(Filter(&step));
      SkipSpace();
      if (!Take(")")) return BadRequest("unterminated filter");
    } else if (Take("*")) {
      step.type = Step::Type::kWildcard;
    } else {
      GANTRY_TRY(Element(&step));
      SkipSpace();
      if (Peek() == ',') {
        Step first = std::move(step);
        step = Step();
        step.type = Step::Type::kUnion;
        step.parts.push_back(std::move(first));
        while (Take(",")) {
          SkipSpace();
          Step next;
          GANTRY_TRY(Element(&next));
          step.parts.push_back(std::move(next));
          SkipSpace();
        }
      }
    }
    SkipSpace();
    if (!Take("]")) return BadRequest("unterminated array");
    path->push_back(std::move(step));
    return Status::Ok();
  }

  // An index, a slice or a quoted name.
  Status Element(Step* step) {
    if (Peek() == '\'' || Peek() == '"') {
      GANTRY_ASSIGN(step->name, Quoted());
      return Status::Ok();
    }
    step->type = Step::Type::kSlice;
    step->first = Number();
    step->single = true;
    if (Take(":")) {
      step->single = false;
      step->last = Number();
      if (Take(":")) step->stride = Number().value_or(1);
      if (step->stride <= 0) return BadRequest("step must be > 0");
    } else if (!step->first) {
      const size_t end = text_.find(']', at_);
      if (end == std::string_view::npos) return BadRequest("unterminated array");
      return BadRequest("invalid array index " + std::string(text_.substr(at_, end - at_)));
    }
    return Status::Ok();
  }

  std::optional<int64_t> Number() {
    int64_t number = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), number);
    if (error != std::errc()) return std::nullopt;
    at_ = static_cast<size_t>(end - text_.data());
    return number;
  }

  Status Filter(Step* step) {
    step->type = Step::Type::kFilter;
    GANTRY_TRY(Side(&step->left));
    SkipSpace();
    step->op = "exists";
    for (const char* op : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (!Take(op)) continue;
      step->op = op;
      return Side(&step->right);
    }
    return Status::Ok();
  }

  Status Side(Operand* operand) {
    SkipSpace();
    if (Peek() == '\'' || Peek() == '"') {
      GANTRY_ASSIGN(operand->constant, Quoted());
      return Status::Ok();
    }
    if (Peek() == '@' || Peek() == '$' || Peek() == '.') {
      operand->is_path = true;
      return Path(&operand->path, &operand->from_root);
    }
    const size_t begin = at_;
    while (at_ < text_.size() && std::string_view(" )=<>!").find(Peek()) == std::string_view::npos)
      ++at_;
    Result<JsonValue> constant = JsonValue::Parse(text_.substr(begin, at_ - begin));
    if (!constant.ok()) return BadRequest("unrecognized constant in filter");
    operand->constant = std::move(constant).value();
    return Status::Ok();
  }

  std::string_view text_;
  size_t at_ = 0;
};

using Found = std::vector<const JsonValue*>;

// Members by name, as Go prints maps.
JsonValue Sorted(const JsonValue& value) {
  if (value.is_array()) {
    JsonValue::Array items;
    for (const JsonValue& item : value.as_array())
      items.push_back(Sorted(item));
    return items;
  }
  if (!value.is_object()) return value;
  JsonValue::Object members;
  for (const auto& [name, member] : value.as_object())
    members.emplace_back(name, Sorted(member));
  std::sort(members.begin(), members.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return members;
}

class Evaluator {
 public:
  explicit Evaluator(const JsonValue& root) : root_(root) {}

  Status Print(const JsonPath::Node& list, const JsonValue& current, std::string* out) {
    for (const JsonPath::Node& node : list.body) {
      if (node.type == JsonPath::Node::Type::kText) {
        *out += node.text;
        continue;
      }
      GANTRY_ASSIGN(const Found found, Walk(node.path, node.from_root ? root_ : current));
      if (node.type == JsonPath::Node::Type::kRange) {
        for (const JsonValue* item : found)
          GANTRY_TRY(Print(node, *item, out));
        continue;
      }
      for (size_t i = 0; i < found.size(); ++i) {
        if (i > 0) *out += ' ';
        *out += ScalarText(Sorted(*found[i]));
      }
    }
    return Status::Ok();
  }

  Result<Found> Walk(const std::vector<Step>& path, const JsonValue& start) {
    Found found = {&start};
    for (const Step& step : path) {
      Found next;
      for (const JsonValue* value : found)
        GANTRY_TRY(Apply(step, *value, &next));
      found = std::move(next);
    }
    return found;
  }

 private:
  Status Apply(const Step& step, const JsonValue& value, Found* out) {
    switch (step.type) {
      case Step::Type::kField:
        if (const JsonValue* member = value.Find(step.name)) out->push_back(member);
        break;
      case Step::Type::kWildcard:
        Children(value, out);
        break;
      case Step::Type::kDescend:
        Descend(value, out);
        break;
      case Step::Type::kUnion:
        for (const Step& part : step.parts)
          GANTRY_TRY(Apply(part, value, out));
        break;
      case Step::Type::kSlice:
        return Slice(step, value, out);
      case Step::Type::kFilter:
        if (!value.is_array()) break;
        for (const JsonValue& item : value.as_array()) {
          GANTRY_ASSIGN(const bool passes, Passes(step, item));
          if (passes) out->push_back(&item);
        }
        break;
    }
    return Status::Ok();
  }

  static void Children(const JsonValue& value, Found* out) {
    if (value.is_array()) {
      for (const JsonValue& item : value.as_array())
        out->push_back(&item);
    } else if (value.is_object()) {
      for (const auto& [name, member] : value.as_object())
        out->push_back(&member);
    }
  }

  static void Descend(const JsonValue& value, Found* out) {
    out->push_back(&value);
    Found children;
    Children(value, &children);
    for (const JsonValue* child : children)
      Descend(*child, out);
  }

  static Status Slice(const Step& step, const JsonValue& value, Found* out) {
    if (value.is_null()) return Status::Ok();
    if (!value.is_array()) return BadRequest("a value that is not a list is given an index");
    const auto& items = value.as_array();
    const auto size = static_cast<int64_t>(items.size());
    int64_t first = step.first.value_or(0);
    if (first < 0) first += size;
    if (step.single) {
      if (first < 0 || first >= size) {
        return BadRequest("array index out of bounds: index " + std::to_string(*step.first) +
                          ", length " + std::to_string(size));
      }
      out->push_back(&items[static_cast<size_t>(first)]);
      return Status::Ok();
    }
    int64_t last = step.last.value_or(size);
    if (last < 0) last += size;
    for (int64_t i = std::max<int64_t>(first, 0); i < std::min(last, size); i += step.stride)
      out->push_back(&items[static_cast<size_t>(i)]);
    return Status::Ok();
  }

  Result<Found> Side(const Operand& operand, const JsonValue& item) {
    if (!operand.is_path) return Found{&operand.constant};
    return Walk(operand.path, operand.from_root ? root_ : item);
  }

  Result<bool> Passes(const Step& step, const JsonValue& item) {
    GANTRY_ASSIGN(const Found left, Side(step.left, item));
    if (left.empty()) return false;
    if (step.op == "exists") return true;
    GANTRY_ASSIGN(const Found right, Side(step.right, item));
    if (right.empty()) return false;
    const JsonValue& a = *left[0];
    const JsonValue& b = *right[0];
    if (step.op == "==") return a == b;
    if (step.op == "!=") return !(a == b);
    int order = 0;
    if (a.is_number() && b.is_number()) {
      order = a.as_double() < b.as_double() ? -1 : a.as_double() > b.as_double() ? 1 : 0;
    } else {
      order = ScalarText(a).compare(ScalarText(b));
    }
    if (step.op == "<") return order < 0;
    if (step.op == "<=") return order <= 0;
    if (step.op == ">") return order > 0;
    return order >= 0;
  }

  const JsonValue& root_;
};

}  // namespace

JsonPath::JsonPath(std::unique_ptr<Node> root) : root_(std::move(root)) {}
JsonPath::~JsonPath() = default;
JsonPath::JsonPath(JsonPath&&) noexcept = default;
JsonPath& JsonPath::operator=(JsonPath&&) noexcept = default;

Result<JsonPath> JsonPath::Parse(std::string_view text) {
  auto root = std::make_unique<Node>();
  GANTRY_TRY(Parser(text).Template(root.get(), false));
  return JsonPath(std::move(root));
}

Result<std::vector<const JsonValue*>> JsonPath::Find(const JsonValue& value) const {
  Found all;
  for (const Node& node : root_->body) {
    if (node.type != Node::Type::kPath) continue;
    GANTRY_ASSIGN(const Found found, Evaluator(value).Walk(node.path, value));
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

Result<std::string> JsonPath::Print(const JsonValue& value) const {
  std::string out;
  GANTRY_TRY(Evaluator(value).Print(*root_, value, &out));
  return out;
}

}  // namespace gantry::cli

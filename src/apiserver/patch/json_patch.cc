#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/patch/patch.h"

namespace gantry::apiserver {
namespace {

using api::JsonValue;
using Path = std::vector<std::string>;

// kube-apiserver keeps the details of a patch that does not apply to itself.
Status DoesNotApply() {
  return Status(Code::kInvalid, "the server rejected our request due to an error in our request");
}

// The parts of an RFC 6901 pointer; none for the whole document and for text that does not begin
// with a slash, both of which Kubernetes refuses.
std::optional<Path> ParsePointer(const std::string& text) {
  if (text.empty() || text[0] != '/') return std::nullopt;
  Path path;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '/') {
      path.emplace_back();
    } else if (text[i] == '~' && i + 1 < text.size() &&
               (text[i + 1] == '0' || text[i + 1] == '1')) {
      path.back().push_back(text[++i] == '0' ? '~' : '/');
    } else {
      path.back().push_back(text[i]);
    }
  }
  return path;
}

// The index that `key` names among `size` elements; negative ones count from the end.
std::optional<size_t> ParseIndex(const std::string& key, size_t size) {
  int64_t index = 0;
  auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error != std::errc() || end != key.data() + key.size()) return std::nullopt;
  if (index < 0) index += static_cast<int64_t>(size);
  if (index < 0 || static_cast<size_t>(index) >= size) return std::nullopt;
  return static_cast<size_t>(index);
}

JsonValue* Child(JsonValue* parent, const std::string& key) {
  if (parent->is_object()) return parent->Find(key);
  if (!parent->is_array()) return nullptr;
  auto index = ParseIndex(key, parent->as_array().size());
  return index ? &parent->as_array()[*index] : nullptr;
}

// Whatever holds the last part of the path.
JsonValue* Parent(JsonValue* document, const Path& path) {
  for (size_t i = 0; document && i + 1 < path.size(); ++i)
    document = Child(document, path[i]);
  return document && (document->is_object() || document->is_array()) ? document : nullptr;
}

bool Add(JsonValue* document, const Path& path, JsonValue value) {
  JsonValue* parent = Parent(document, path);
  if (!parent) return false;
  const std::string& key = path.back();
  if (parent->is_object()) {
    (*parent)[key] = std::move(value);
    return true;
  }
  JsonValue::Array& array = parent->as_array();
  if (key == "-") {
    array.push_back(std::move(value));
    return true;
  }
  // One place more than there are elements: the one behind the last.
  auto index = ParseIndex(key, array.size() + 1);
  if (!index) return false;
  array.insert(array.begin() + static_cast<ptrdiff_t>(*index), std::move(value));
  return true;
}

// Takes the value at the path out of the document.
std::optional<JsonValue> Remove(JsonValue* document, const Path& path) {
  JsonValue* parent = Parent(document, path);
  JsonValue* child = parent ? Child(parent, path.back()) : nullptr;
  if (!child) return std::nullopt;
  JsonValue value = std::move(*child);
  if (parent->is_object()) {
    parent->Erase(path.back());
  } else {
    JsonValue::Array& array = parent->as_array();
    array.erase(array.begin() + (child - array.data()));
  }
  return value;
}

JsonValue* Find(JsonValue* document, const Path& path) {
  JsonValue* parent = Parent(document, path);
  return parent ? Child(parent, path.back()) : nullptr;
}

std::optional<Path> PathOf(const JsonValue& operation, std::string_view member) {
  const JsonValue* text = operation.Find(member);
  return text && text->is_string() ? ParsePointer(text->as_string()) : std::nullopt;
}

// True where the operation applied. `copied` counts the bytes that copies added so far.
bool ApplyOperation(JsonValue* document, const JsonValue& operation, size_t* copied) {
  const JsonValue* op = operation.Find("op");
  auto path = PathOf(operation, "path");
  if (!op || !op->is_string() || !path) return false;
  const std::string& name = op->as_string();
  const JsonValue* value = operation.Find("value");
  if (name == "add") return Add(document, *path, value ? *value : JsonValue());
  if (name == "remove") return Remove(document, *path).has_value();
  if (name == "replace") {
    JsonValue* target = Find(document, *path);
    if (target) *target = value ? *value : JsonValue();
    return target != nullptr;
  }
  if (name == "test") {
    const JsonValue* target = Find(document, *path);
    if (!target || target->is_null()) return !value || value->is_null();
    return value && *target == *value;
  }
  auto from = PathOf(operation, "from");
  if (!from) return false;
  if (name == "move") {
    auto moved = Remove(document, *from);
    return moved && Add(document, *path, *std::move(moved));
  }
  if (name == "copy") {
    const JsonValue* source = Find(document, *from);
    if (!source) return false;
    *copied += source->ToString().size();
    if (*copied > kMaxJsonPatchCopyBytes) return false;
    JsonValue copy = *source;
    return Add(document, *path, std::move(copy));
  }
  return false;
}

std::string_view GoKind(const JsonValue& value) {
  if (value.is_object()) return "object";
  if (value.is_array()) return "array";
  if (value.is_string()) return "string";
  if (value.is_bool()) return "bool";
  return "number";
}

Status WrongType(const JsonValue& value, std::string_view type) {
  return BadRequest("json: cannot unmarshal " + std::string(GoKind(value)) +
                    " into Go value of type " + std::string(type));
}

}  // namespace

Result<JsonValue> JsonPatch(JsonValue document, std::string_view patch) {
  GANTRY_ASSIGN(JsonValue parsed, JsonValue::Parse(patch));
  if (parsed.is_null()) return document;
  if (!parsed.is_array()) return WrongType(parsed, "jsonpatch.Patch");
  const JsonValue::Array& operations = parsed.as_array();
  for (const JsonValue& operation : operations)
    if (!operation.is_object() && !operation.is_null())
      return WrongType(operation, "jsonpatch.Operation");
  if (operations.size() > kMaxJsonPatchOperations)
    return Status(Code::kRequestEntityTooLarge,
                  "Request entity too large: The allowed maximum operations in a JSON patch is " +
                      std::to_string(kMaxJsonPatchOperations) + ", got " +
                      std::to_string(operations.size()));
  size_t copied = 0;
  for (const JsonValue& operation : operations)
    if (!ApplyOperation(&document, operation, &copied)) return DoesNotApply();
  return document;
}

}  // namespace gantry::apiserver

#include "cli/client/create_objects.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/base64.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

struct Kind {
  const char* kind;
  std::vector<const char*> names;
  bool has_data = false;
};

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kKinds = {
      {"ConfigMap", {"configmap", "cm"}, true},
      {"Secret", {"secret"}, true},
      {"Namespace", {"namespace", "ns"}},
      {"ServiceAccount", {"serviceaccount", "sa"}},
  };
  return kKinds;
}

const Kind* Find(const std::string& word) {
  for (const Kind& kind : Kinds()) {
    for (const char* name : kind.names) {
      if (word == name) return &kind;
    }
  }
  return nullptr;
}

Result<std::string> FileText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  if (!file || !(text << file.rdbuf()))
    return LocalError("error reading " + path + ": no such file or directory");
  return text.str();
}

using Data = std::vector<std::pair<std::string, std::string>>;

Status AddPair(const std::string& text, const char* flag, Data* data) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return LocalError("invalid " + std::string(flag) + " source " + text + ", expected key=value");
  data->emplace_back(text.substr(0, equals), text.substr(equals + 1));
  return Status::Ok();
}

// A file, or all files of a folder, by their names.
Status AddFile(const std::string& source, Data* data) {
  const size_t equals = source.find('=');
  const std::filesystem::path path = source.substr(equals == std::string::npos ? 0 : equals + 1);
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    if (equals != std::string::npos)
      return LocalError("cannot give a key name for a directory path");
    for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
      if (entry.is_regular_file(error)) GANTRY_TRY(AddFile(entry.path().string(), data));
    }
    return Status::Ok();
  }
  GANTRY_ASSIGN(std::string text, FileText(path.string()));
  data->emplace_back(
      equals == std::string::npos ? path.filename().string() : source.substr(0, equals),
      std::move(text));
  return Status::Ok();
}

Result<Data> DataOf(const CreateFlags& flags) {
  Data data;
  for (const std::string& literal : flags.literals)
    GANTRY_TRY(AddPair(literal, "literal", &data));
  for (const std::string& file : flags.files)
    GANTRY_TRY(AddFile(file, &data));
  for (const std::string& path : flags.env_files) {
    GANTRY_ASSIGN(const std::string text, FileText(path));
    for (const std::string& line : SplitText(text, '\n')) {
      if (!line.empty() && line[0] != '#') GANTRY_TRY(AddPair(line, "env-file", &data));
    }
  }
  return data;
}

bool IsText(const std::string& text) {
  for (const char c : text) {
    if (c == '\0' || static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

void AddData(const Kind& kind, const Data& data, JsonValue* object) {
  const bool secret = std::string_view(kind.kind) == "Secret";
  for (const auto& [key, value] : data) {
    if (!secret && IsText(value)) {
      (*object)["data"][key] = value;
      continue;
    }
    std::string encoded;
    api::AppendBase64(value, &encoded);
    (*object)[secret ? "data" : "binaryData"][key] = encoded;
  }
}

}  // namespace

Result<JsonValue> ObjectOfWords(const std::vector<std::string>& words, const CreateFlags& flags) {
  const Kind* kind = words.empty() ? nullptr : Find(words[0]);
  if (kind == nullptr)
    return LocalError(
        "create makes configmap, secret generic, namespace and serviceaccount; all "
        "else comes from a file (-f)");
  const bool secret = std::string_view(kind->kind) == "Secret";
  if (secret && (words.size() < 2 || words[1] != "generic"))
    return LocalError(
        "the secrets that create makes are of the kind generic: create secret "
        "generic NAME");
  const size_t name_at = secret ? 2 : 1;
  if (words.size() != name_at + 1)
    return LocalError("exactly one NAME is required, got " +
                      std::to_string(words.size() < name_at ? 0 : words.size() - name_at));
  JsonValue object;
  object["apiVersion"] = "v1";
  object["kind"] = kind->kind;
  object["metadata"]["name"] = words[name_at];
  if (!kind->has_data) return object;
  GANTRY_ASSIGN(const Data data, DataOf(flags));
  AddData(*kind, data, &object);
  if (secret && !flags.type.empty()) object["type"] = flags.type;
  return object;
}

}  // namespace gantry::cli

#include "cli/config_file.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

#include "api/json_value.h"
#include "api/yaml.h"

namespace gantry::cli {
namespace {

// Takes "--config FILE" or "--config=FILE" out of the arguments.
Result<std::optional<std::string>> TakeConfigFlag(std::vector<std::string>* arguments) {
  for (size_t i = 0; i < arguments->size(); ++i) {
    std::string& argument = (*arguments)[i];
    if (argument.starts_with("--config=")) {
      std::optional<std::string> file = argument.substr(9);
      arguments->erase(arguments->begin() + static_cast<ptrdiff_t>(i));
      return file;
    }
    if (argument == "--config") {
      if (i + 1 == arguments->size()) return BadRequest("--config needs a file");
      std::optional<std::string> file = (*arguments)[i + 1];
      arguments->erase(arguments->begin() + static_cast<ptrdiff_t>(i),
                       arguments->begin() + static_cast<ptrdiff_t>(i) + 2);
      return file;
    }
  }
  return std::optional<std::string>();
}

bool IsGiven(const std::vector<std::string>& arguments, const std::string& flag) {
  return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
    return argument == flag || argument.starts_with(flag + "=");
  });
}

Result<std::string> TextOf(const std::string& key, const api::JsonValue& value) {
  if (value.is_string()) return value.as_string();
  if (value.is_int()) return std::to_string(value.as_int());
  return BadRequest("\"" + key + "\" must be a text, a number, true or false");
}

Result<std::vector<std::string>> ReadFlags(const std::string& file,
                                           const std::vector<std::string>& given) {
  std::ifstream in(file);
  if (!in) return Status(Code::kNotFound, "cannot read it");
  std::stringstream text;
  text << in.rdbuf();
  GANTRY_ASSIGN(const std::vector<std::string> documents, api::YamlToJson(text.str()));
  std::vector<std::string> flags;
  for (const std::string& document : documents) {
    GANTRY_ASSIGN(const api::JsonValue root, api::JsonValue::Parse(document));
    if (root.is_null()) continue;
    if (!root.is_object()) return BadRequest("it must be a mapping of flags to values");
    for (const auto& [key, value] : root.as_object()) {
      const std::string flag = "--" + key;
      if (IsGiven(given, flag)) continue;
      if (value.is_bool()) {
        if (value.as_bool()) flags.push_back(flag);
        continue;
      }
      GANTRY_ASSIGN(const std::string word, TextOf(key, value));
      flags.push_back(flag + "=" + word);
    }
  }
  return flags;
}

}  // namespace

Result<std::vector<std::string>> WithConfigFile(std::vector<std::string> arguments,
                                                const std::string& default_file) {
  auto command = std::find_if(arguments.begin(), arguments.end(), [](const std::string& argument) {
    return argument == "server" || argument == "agent";
  });
  if (command == arguments.end() || command != arguments.begin()) return arguments;
  GANTRY_ASSIGN(const std::optional<std::string> named, TakeConfigFlag(&arguments));
  const std::string file = named.value_or(default_file);
  Result<std::vector<std::string>> flags = ReadFlags(file, arguments);
  if (!flags.ok()) {
    // Nobody has to have a configuration, but one that is asked for has to be there.
    if (flags.code() == Code::kNotFound && !named) return arguments;
    return flags.status().WithContext("configuration file " + file);
  }
  arguments.insert(arguments.begin() + 1, flags->begin(), flags->end());
  return arguments;
}

}  // namespace gantry::cli

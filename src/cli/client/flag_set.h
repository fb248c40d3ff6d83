#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::cli {

// Flags that every client command takes; they may also stand before the command's name.
struct GlobalFlags {
  std::string kubeconfig;
  std::string context;
  std::string ns;
};

// The flags of one command, read as kubectl reads them: flags and arguments in any order,
// "--name=value", "--name value",
// "-nvalue", joined one-letter switches, and "--" before what belongs to another program.
// Threading: one user; what the flags point at outlives it.
class FlagSet {
 public:
  // `usage` is the line that help shows: "scale TYPE/NAME --replicas=N".
  FlagSet(std::string usage, GlobalFlags* globals);

  void String(std::string name, char letter, std::string* out, std::string help);
  void Strings(std::string name, char letter, std::vector<std::string>* out, std::string help);
  void Int(std::string name, char letter, int64_t* out, std::string help);
  void Bool(std::string name, char letter, bool* out, std::string help);

  // kCanceled with the text to show when help is asked for; otherwise worded as kubectl words it.
  Status Parse(const std::vector<std::string>& args);
  // Reads flags up to the first argument and gives its index.
  Result<size_t> ParseLeading(const std::vector<std::string>& args);

  // The arguments before and behind "--".
  const std::vector<std::string>& args() const { return args_; }
  const std::vector<std::string>& rest() const { return rest_; }
  bool Given(std::string_view name) const;

 private:
  enum class Type : uint8_t { kString, kStrings, kInt, kBool };
  struct Flag {
    std::string name;
    char letter = 0;
    Type type = Type::kString;
    void* out = nullptr;
    std::string help;
    bool given = false;
  };

  void Add(std::string name, char letter, Type type, void* out, std::string help);
  Flag* ByName(std::string_view name);
  Flag* ByLetter(char letter);
  // Reads the flag at args[*at] and moves `at` behind it and its value.
  Status Take(const std::vector<std::string>& args, size_t* at);
  Status Set(Flag* flag, const std::string& shown, const std::string& value);
  std::string Help() const;

  std::string usage_;
  std::vector<Flag> flags_;
  std::vector<std::string> args_;
  std::vector<std::string> rest_;
};

}  // namespace gantry::cli

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/env/time.h"
#include "base/status.h"

namespace gantry::cli {

// Flags that every client command takes; they may also stand before the command's name.
struct GlobalFlags {
  std::string kubeconfig, context, cluster, user, ns;
  // Instead of what the kubeconfig says.
  std::string server, token, tls_server_name;
  std::string certificate_authority, client_certificate, client_key;  // files
  bool insecure_skip_tls_verify = false;
  // Whom to act as.
  std::string as, as_uid;
  std::vector<std::string> as_groups;
  std::optional<gantry::Duration> request_timeout;
};

// What --help shows of a command beside its flags.
struct CommandHelp {
  const char* usage;     // "scale TYPE/NAME --replicas=N"
  const char* about;     // sentences
  const char* examples;  // "# what it does" and the line, in turns
};

// The flags of one command, read as kubectl reads them: flags and arguments in any order,
// "--name=value", "--name value",
// "-nvalue", joined one-letter switches, and "--" before what belongs to another program.
// Threading: one user; what the flags point at outlives it.
class FlagSet {
 public:
  FlagSet(const CommandHelp& help, GlobalFlags* globals);

  void String(std::string name, char letter, std::string* out, std::string help);
  void Strings(std::string name, char letter, std::vector<std::string>* out, std::string help);
  void Int(std::string name, char letter, int64_t* out, std::string help);
  void Bool(std::string name, char letter, bool* out, std::string help);
  // "30s", "1m30s".
  void Time(std::string name, char letter, std::optional<gantry::Duration>* out, std::string help);
  // A value that may be left out ("--dry-run"), and is `alone` then.
  void Optional(std::string name, std::string* out, std::string alone, std::string help);

  // kCanceled with the text to show when help is asked for; otherwise worded as kubectl words it.
  Status Parse(const std::vector<std::string>& args);
  // Reads flags up to the first argument and gives its index.
  Result<size_t> ParseLeading(const std::vector<std::string>& args);

  // The arguments before and behind "--".
  const std::vector<std::string>& args() const { return args_; }
  const std::vector<std::string>& rest() const { return rest_; }
  bool Given(std::string_view name) const;
  // A failure of the line as a whole, with the way to the help.
  Status Misused(const std::string& message) const;

 private:
  enum class Type : uint8_t { kString, kStrings, kInt, kBool, kTime };
  struct Flag {
    std::string name;
    char letter = 0;
    Type type = Type::kString;
    void* out = nullptr;
    std::string help;
    std::string alone;  // the value when none is given; kString
    bool given = false;
  };

  void Add(std::string name, char letter, Type type, void* out, std::string help);
  Flag* ByName(std::string_view name);
  Flag* ByLetter(char letter);
  // Reads the flag at args[*at] and moves `at` behind it and its value.
  Status Take(const std::vector<std::string>& args, size_t* at);
  Status Set(Flag* flag, const std::string& shown, const std::string& value);
  Status BadFlag(const std::string& message) const;
  std::string Command() const;
  std::string Help() const;
  void AppendFlags(size_t from, size_t to, std::string* text) const;

  CommandHelp help_;
  size_t global_flags_ = 0;  // how many of `flags_` are those of every command
  std::vector<Flag> flags_;
  std::vector<std::string> args_;
  std::vector<std::string> rest_;
};

}  // namespace gantry::cli

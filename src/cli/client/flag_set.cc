#include "cli/client/flag_set.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "api/duration.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"

namespace gantry::cli {

FlagSet::FlagSet(const CommandHelp& help, GlobalFlags* globals) : help_(help) {
  String("as", 0, &globals->as, "Act as this user");
  Strings("as-group", 0, &globals->as_groups, "Act as a member of this group; may be repeated");
  String("as-uid", 0, &globals->as_uid, "Act as the user with this UID");
  String("certificate-authority", 0, &globals->certificate_authority,
         "File of the authority that the server's certificate is checked against");
  String("client-certificate", 0, &globals->client_certificate, "File of the client's certificate");
  String("client-key", 0, &globals->client_key, "File of the client's key");
  String("cluster", 0, &globals->cluster, "Cluster of the kubeconfig to use");
  String("context", 0, &globals->context, "Context of the kubeconfig to use");
  Bool("insecure-skip-tls-verify", 0, &globals->insecure_skip_tls_verify,
       "Do not check the server's certificate");
  String("kubeconfig", 0, &globals->kubeconfig, "Path of the kubeconfig file");
  String("namespace", 'n', &globals->ns, "Namespace to work in");
  Time("request-timeout", 0, &globals->request_timeout, "How long one request may take (0: any)");
  String("server", 's', &globals->server, "Address of the server");
  String("tls-server-name", 0, &globals->tls_server_name,
         "Name that the server's certificate is checked for");
  String("token", 0, &globals->token, "Bearer token");
  String("user", 0, &globals->user, "User of the kubeconfig to use");
  global_flags_ = flags_.size();
}

void FlagSet::String(std::string name, char letter, std::string* out, std::string help) {
  Add(std::move(name), letter, Type::kString, out, std::move(help));
}
void FlagSet::Strings(std::string name, char letter, std::vector<std::string>* out,
                      std::string help) {
  Add(std::move(name), letter, Type::kStrings, out, std::move(help));
}
void FlagSet::Int(std::string name, char letter, int64_t* out, std::string help) {
  Add(std::move(name), letter, Type::kInt, out, std::move(help));
}
void FlagSet::Bool(std::string name, char letter, bool* out, std::string help) {
  Add(std::move(name), letter, Type::kBool, out, std::move(help));
}
void FlagSet::Time(std::string name, char letter, std::optional<gantry::Duration>* out,
                   std::string help) {
  Add(std::move(name), letter, Type::kTime, out, std::move(help));
}
void FlagSet::Optional(std::string name, std::string* out, std::string alone, std::string help) {
  Add(std::move(name), 0, Type::kString, out, std::move(help));
  flags_.back().alone = std::move(alone);
}

void FlagSet::Add(std::string name, char letter, Type type, void* out, std::string help) {
  Flag flag;
  flag.name = std::move(name);
  flag.letter = letter;
  flag.type = type;
  flag.out = out;
  flag.help = std::move(help);
  flags_.push_back(std::move(flag));
}

FlagSet::Flag* FlagSet::ByName(std::string_view name) {
  for (Flag& flag : flags_) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

FlagSet::Flag* FlagSet::ByLetter(char letter) {
  for (Flag& flag : flags_) {
    if (flag.letter == letter) return &flag;
  }
  return nullptr;
}

bool FlagSet::Given(std::string_view name) const {
  for (const Flag& flag : flags_) {
    if (flag.name == name) return flag.given;
  }
  return false;
}

Status FlagSet::Parse(const std::vector<std::string>& args) {
  size_t at = 0;
  while (at < args.size()) {
    if (args[at] == "--") {
      rest_.assign(args.begin() + static_cast<ptrdiff_t>(at) + 1, args.end());
      break;
    }
    if (args[at].size() > 1 && args[at].front() == '-') {
      GANTRY_TRY(Take(args, &at));
    } else {
      args_.push_back(args[at++]);
    }
  }
  return Status::Ok();
}

Result<size_t> FlagSet::ParseLeading(const std::vector<std::string>& args) {
  size_t at = 0;
  while (at < args.size() && args[at].size() > 1 && args[at].front() == '-')
    GANTRY_TRY(Take(args, &at));
  return at;
}

Status FlagSet::Take(const std::vector<std::string>& args, size_t* at) {
  const std::string& arg = args[(*at)++];
  if (arg == "--help" || arg == "-h") return Status(Code::kCanceled, Help());
  if (arg.starts_with("--")) {
    const size_t equals = arg.find('=');
    const std::string name = arg.substr(2, equals == std::string::npos ? equals : equals - 2);
    Flag* flag = ByName(name);
    if (flag == nullptr) return BadFlag("unknown flag: --" + name);
    if (equals != std::string::npos) return Set(flag, "--" + name, arg.substr(equals + 1));
    if (flag->type == Type::kBool) return Set(flag, "--" + name, "true");
    if (!flag->alone.empty()) return Set(flag, "--" + name, flag->alone);
    if (*at == args.size()) return BadFlag("flag needs an argument: --" + name);
    return Set(flag, "--" + name, args[(*at)++]);
  }
  for (size_t i = 1; i < arg.size(); ++i) {
    Flag* flag = ByLetter(arg[i]);
    const std::string shown = "-" + std::string(1, arg[i]);
    if (flag == nullptr) {
      return BadFlag("unknown shorthand flag: '" + std::string(1, arg[i]) + "' in " + arg);
    }
    const bool equals = i + 1 < arg.size() && arg[i + 1] == '=';
    if (flag->type == Type::kBool && !equals) {
      GANTRY_TRY(Set(flag, shown, "true"));
      continue;
    }
    if (i + 1 < arg.size()) return Set(flag, shown, arg.substr(i + (equals ? 2 : 1)));
    if (*at == args.size()) {
      return BadFlag("flag needs an argument: '" + std::string(1, arg[i]) + "' in " + arg);
    }
    return Set(flag, shown, args[(*at)++]);
  }
  return Status::Ok();
}

Status FlagSet::Set(Flag* flag, const std::string& shown, const std::string& value) {
  flag->given = true;
  // kubectl names a flag with a letter by both.
  const std::string name =
      flag->letter != 0 ? "-" + std::string(1, flag->letter) + ", --" + flag->name : shown;
  const std::string bad = "invalid argument \"" + value + "\" for \"" + name + "\" flag: ";
  switch (flag->type) {
    case Type::kString:
      *static_cast<std::string*>(flag->out) = value;
      break;
    case Type::kStrings:
      static_cast<std::vector<std::string>*>(flag->out)->push_back(value);
      break;
    case Type::kInt: {
      int64_t number = 0;
      const char* end = value.data() + value.size();
      const auto [stop, error] = std::from_chars(value.data(), end, number);
      if (error != std::errc() || stop != end)
        return BadFlag(bad + "strconv.ParseInt: parsing \"" + value + "\": invalid syntax");
      *static_cast<int64_t*>(flag->out) = number;
      break;
    }
    case Type::kBool: {
      static constexpr std::string_view kTrue[] = {"true", "t", "T", "TRUE", "True", "1"};
      static constexpr std::string_view kFalse[] = {"false", "f", "F", "FALSE", "False", "0"};
      const bool yes = std::find(std::begin(kTrue), std::end(kTrue), value) != std::end(kTrue);
      if (!yes && std::find(std::begin(kFalse), std::end(kFalse), value) == std::end(kFalse))
        return BadFlag(bad + "strconv.ParseBool: parsing \"" + value + "\": invalid syntax");
      *static_cast<bool*>(flag->out) = yes;
      break;
    }
    case Type::kTime: {
      Result<gantry::Duration> time = api::ParseGoDuration(value);
      if (!time.ok()) return BadFlag(bad + time.status().message());
      *static_cast<std::optional<gantry::Duration>*>(flag->out) = *time;
      break;
    }
  }
  return Status::Ok();
}

// "gantry rollout status": the words of the usage up to the first that is a parameter.
std::string FlagSet::Command() const {
  std::string text = "gantry";
  for (const std::string& word : SplitText(help_.usage, ' ')) {
    const bool plain = std::all_of(word.begin(), word.end(),
                                   [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; });
    if (!plain || word.empty() || word[0] == '-') break;
    text += " " + word;
  }
  return text;
}

Status FlagSet::BadFlag(const std::string& message) const {
  return LocalError(message + "\nSee '" + Command() + " --help' for usage.");
}

Status FlagSet::Misused(const std::string& message) const {
  return LocalError(message + "\nSee '" + Command() + " -h' for help and examples");
}

void FlagSet::AppendFlags(size_t from, size_t to, std::string* text) const {
  constexpr size_t kColumn = 36;
  for (size_t i = from; i < to; ++i) {
    const Flag& flag = flags_[i];
    std::string left = flag.letter != 0 ? "  -" + std::string(1, flag.letter) + ", " : "      ";
    left += "--" + flag.name;
    if (!flag.alone.empty())
      left += "[=VALUE]";
    else if (flag.type != Type::kBool)
      left += flag.type == Type::kInt ? "=N" : flag.type == Type::kTime ? "=TIME" : "=VALUE";
    if (left.size() < kColumn) left.resize(kColumn, ' ');
    *text += left + " " + flag.help + "\n";
  }
}

std::string FlagSet::Help() const {
  std::string text = std::string(help_.about) + "\n";
  if (*help_.examples != '\0') {
    text += "\nExamples:\n";
    for (const std::string& line : SplitText(help_.examples, '\n'))
      text += "  " + line + "\n";
  }
  if (flags_.size() > global_flags_) {
    text += "\nOptions:\n";
    AppendFlags(global_flags_, flags_.size(), &text);
  }
  text += "\nOptions of every command:\n";
  AppendFlags(0, global_flags_, &text);
  text += "\nUsage:\n";
  for (const std::string& line : SplitText(help_.usage, '\n'))
    text += "  gantry " + line + "\n";
  while (text.ends_with('\n'))
    text.pop_back();
  return text;
}

}  // namespace gantry::cli

#include "cli/client/flag_set.h"

#include <charconv>
#include <utility>

#include "cli/client/failure.h"

namespace gantry::cli {

FlagSet::FlagSet(std::string usage, GlobalFlags* globals) : usage_(std::move(usage)) {
  String("kubeconfig", 0, &globals->kubeconfig, "Path of the kubeconfig file");
  String("context", 0, &globals->context, "Context of the kubeconfig to use");
  String("namespace", 'n', &globals->ns, "Namespace to work in");
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
    if (flag == nullptr) return LocalError("unknown flag: --" + name);
    if (equals != std::string::npos) return Set(flag, "--" + name, arg.substr(equals + 1));
    if (flag->type == Type::kBool) return Set(flag, "--" + name, "true");
    if (*at == args.size()) return LocalError("flag needs an argument: --" + name);
    return Set(flag, "--" + name, args[(*at)++]);
  }
  for (size_t i = 1; i < arg.size(); ++i) {
    Flag* flag = ByLetter(arg[i]);
    const std::string shown = "-" + std::string(1, arg[i]);
    if (flag == nullptr) {
      return LocalError("unknown shorthand flag: '" + std::string(1, arg[i]) + "' in " + arg);
    }
    const bool equals = i + 1 < arg.size() && arg[i + 1] == '=';
    if (flag->type == Type::kBool && !equals) {
      GANTRY_TRY(Set(flag, shown, "true"));
      continue;
    }
    if (i + 1 < arg.size()) return Set(flag, shown, arg.substr(i + (equals ? 2 : 1)));
    if (*at == args.size()) {
      return LocalError("flag needs an argument: '" + std::string(1, arg[i]) + "' in " + arg);
    }
    return Set(flag, shown, args[(*at)++]);
  }
  return Status::Ok();
}

Status FlagSet::Set(Flag* flag, const std::string& shown, const std::string& value) {
  flag->given = true;
  const std::string bad = "invalid argument \"" + value + "\" for \"" + shown + "\" flag: ";
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
        return LocalError(bad + "strconv.ParseInt: parsing \"" + value + "\": invalid syntax");
      *static_cast<int64_t*>(flag->out) = number;
      break;
    }
    case Type::kBool:
      if (value != "true" && value != "false")
        return LocalError(bad + "strconv.ParseBool: parsing \"" + value + "\": invalid syntax");
      *static_cast<bool*>(flag->out) = value == "true";
      break;
  }
  return Status::Ok();
}

std::string FlagSet::Help() const {
  std::string text = "Usage:\n  gantry " + usage_ + "\n\nOptions:\n";
  for (const Flag& flag : flags_) {
    std::string left = flag.letter != 0 ? "  -" + std::string(1, flag.letter) + ", " : "      ";
    left += "--" + flag.name;
    if (flag.type != Type::kBool) left += flag.type == Type::kInt ? "=N" : "=VALUE";
    if (left.size() < 34) left.resize(34, ' ');
    text += left + " " + flag.help + "\n";
  }
  return text;
}

}  // namespace gantry::cli

#include "cli/client/client_commands.h"

#include <cstdio>

#include "cli/client/failure.h"
#include "cli/commands.h"

namespace gantry::cli {
namespace {

struct Command {
  const char* name;
  const char* help;
  Result<int> (*run)(Invocation);
};

constexpr Command kCommands[] = {
    {"get", "Show objects, as a table or in full", RunGet},
    {"describe", "Show an object with what belongs to it and its events", RunDescribe},
    {"apply", "Make objects as files say", RunApply},
    {"diff", "Show what apply would change", RunDiff},
    {"create", "Make objects that are not there yet", RunCreate},
    {"delete", "Delete objects", RunDelete},
    {"patch", "Change fields of an object", RunPatch},
    {"label", "Set labels", RunLabel},
    {"annotate", "Set annotations", RunAnnotate},
    {"logs", "Show what a container wrote", RunLogs},
    {"exec", "Run a command in a container", RunExec},
    {"attach", "Join the program that runs in a container", RunAttach},
    {"scale", "Set the number of replicas", RunScale},
    {"rollout", "Follow, list, undo or restart a rollout", RunRollout},
    {"wait", "Wait until objects are in a state", RunWait},
    {"cordon", "Keep new pods from nodes", RunCordon},
    {"uncordon", "Let new pods come to nodes again", RunUncordon},
    {"taint", "Put taints on nodes, or take them away", RunTaint},
    {"events", "List events", RunEvents},
    {"api-resources", "List the types that the server has", RunApiResources},
    {"token", "Make, list and delete the tokens with which machines join", RunToken},
    {"members", "List the servers that run their own etcd, or take one out", RunMembers},
    {"top", "Show the use of resources", RunTop},
    {"why", "Say why a pod is pending, crashing or not ready, and the nearest fix", RunWhy},
};

int Finish(const Result<int>& result) {
  if (result.ok()) return *result;
  // Parse gives the text of --help as a cancellation; other failures begin with "error".
  const bool help =
      result.status().code() == Code::kCanceled && !result.status().message().starts_with("error");
  std::fprintf(help ? stdout : stderr, "%s\n", result.status().message().c_str());
  return help ? 0 : 1;
}

}  // namespace

std::string ClientCommandsHelp() {
  std::string text =
      "The cluster's client (--kubeconfig FILE, --context NAME and -n NAMESPACE go with each):\n";
  for (const Command& command : kCommands) {
    std::string name = std::string("  ") + command.name;
    name.resize(17, ' ');
    text += name + command.help + "\n";
  }
  return text;
}

std::optional<int> RunClientCommand(int argc, const char* const* argv) {
  Invocation call;
  std::vector<std::string> args(argv + 1, argv + argc);
  constexpr CommandHelp kNoHelp = {"COMMAND", "", ""};
  FlagSet leading(kNoHelp, &call.globals);
  const Result<size_t> at = leading.ParseLeading(args);
  if (!at.ok() || *at == args.size()) return std::nullopt;
  for (const Command& command : kCommands) {
    if (args[*at] != command.name) continue;
    call.args.assign(args.begin() + static_cast<ptrdiff_t>(*at) + 1, args.end());
    return Finish(command.run(std::move(call)));
  }
  return std::nullopt;
}

}  // namespace gantry::cli

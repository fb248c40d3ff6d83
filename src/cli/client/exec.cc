#include <cstdio>

#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/pods_of.h"
#include "cli/client/terminal_session.h"
#include "client/http/transport.h"

// exec and attach.
namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {"exec (POD | TYPE/NAME) [-c CONTAINER] [-it] -- COMMAND [ARGS...]",
                               "Run a command in a container. The exit code is the command's.",
                               "# A command\n"
                               "gantry exec web-5d8c7 -- date\n"
                               "# A shell\n"
                               "gantry exec -it web-5d8c7 -c main -- sh\n"
                               "# In a pod of a deployment, with standard input\n"
                               "gantry exec -i deploy/web -- tar xf - -C /tmp < files.tar"};
constexpr CommandHelp kAttachHelp = {
    "attach (POD | TYPE/NAME) [-c CONTAINER] [-it]",
    "Join the program that runs in a container: see what it writes, and write to it.",
    "# What it writes from now on\n"
    "gantry attach web-5d8c7\n"
    "# Its terminal\n"
    "gantry attach -it shell -c main"};

std::string StreamTarget(const JsonValue& pod, const char* what, const std::string& container,
                         bool with_stdin, bool tty) {
  return "/api/v1/namespaces/" + TextAt(pod, "metadata.namespace") + "/pods/" +
         TextAt(pod, "metadata.name") + "/" + what +
         "?container=" + client::QueryEscape(container) +
         (with_stdin ? "&stdin=true&stdout=true" : "&stdout=true") +
         (tty ? "&tty=true" : "&stderr=true");
}

}  // namespace

Result<int> RunExec(Invocation call) {
  std::string container;
  bool with_stdin = false, tty = false, quiet = false;
  FlagSet set(kHelp, &call.globals);
  set.String("container", 'c', &container, "The container");
  set.Bool("quiet", 'q', &quiet, "Only what the command writes");
  set.Bool("stdin", 'i', &with_stdin, "Give it standard input");
  set.Bool("tty", 't', &tty, "Give it a terminal");
  GANTRY_TRY(set.Parse(call.args));
  if (set.args().empty()) return LocalError("pod, type/name or --filename must be specified");
  if (set.args().size() > 1)
    return set.Misused(
        "exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead");
  if (set.rest().empty())
    return LocalError("you must specify at least one command for the container");
  if (tty && (!with_stdin || !StdinIsTerminal())) {
    std::fputs("Unable to use a TTY - input is not a terminal or the right kind of file\n", stderr);
    tty = false;
  }
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const std::vector<JsonValue> pods,
                FindPods(*connection, set.args()[0], PodUse::kAttach));
  const JsonValue& pod = pods[0];
  const std::string phase = TextAt(pod, "status.phase");
  if (phase == "Succeeded" || phase == "Failed") {
    return LocalError("cannot exec into a container in a completed pod; current phase is " + phase);
  }
  if (container.empty()) container = DefaultContainer(pod);
  std::string target = StreamTarget(pod, "exec", container, with_stdin, tty);
  for (const std::string& word : set.rest())
    target += "&command=" + client::QueryEscape(word);
  return RunTerminalSession(*connection, target, with_stdin, tty);
}

Result<int> RunAttach(Invocation call) {
  std::string container;
  bool with_stdin = false, tty = false, quiet = false;
  FlagSet set(kAttachHelp, &call.globals);
  set.String("container", 'c', &container, "The container");
  set.Bool("quiet", 'q', &quiet, "Only what the program writes");
  set.Bool("stdin", 'i', &with_stdin, "Give it standard input");
  set.Bool("tty", 't', &tty, "Be its terminal");
  GANTRY_TRY(set.Parse(call.args));
  if (set.args().empty()) return LocalError("at least 1 argument is required for attach");
  if (set.args().size() > 1)
    return set.Misused("expected POD, TYPE/NAME, or TYPE NAME, saw " +
                       std::to_string(set.args().size()) + " arguments");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const std::vector<JsonValue> pods,
                FindPods(*connection, set.args()[0], PodUse::kAttach));
  const JsonValue& pod = pods[0];
  const std::string phase = TextAt(pod, "status.phase");
  if (phase == "Succeeded" || phase == "Failed")
    return LocalError("cannot attach a container in a completed pod; current phase is " + phase);
  if (container.empty()) container = DefaultContainer(pod);
  bool has_tty = false;
  for (const JsonValue& one : ItemsAt(pod, "spec.containers"))
    has_tty = has_tty || (TextAt(one, "name") == container && BoolAt(one, "tty"));
  if (tty && !has_tty) {
    std::fprintf(stderr, "error: Unable to use a TTY - container %s did not allocate one\n",
                 container.c_str());
    tty = false;
  }
  if (tty && (!with_stdin || !StdinIsTerminal())) tty = false;
  if (with_stdin && !quiet)
    std::fputs("If you don't see a command prompt, try pressing enter.\n", stderr);
  return RunTerminalSession(*connection, StreamTarget(pod, "attach", container, with_stdin, tty),
                            with_stdin, tty);
}

}  // namespace gantry::cli

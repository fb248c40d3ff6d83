#include <cstdio>

#include "cli/client/align_tabs.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/members_path.h"
#include "client/http/transport.h"

// The servers of a cluster that runs its own etcd (gantry server --ha and --join).
namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {
    "members list | remove NAME",
    "Show the servers of a cluster begun with --ha, and take one out for good.",
    "# Which servers there are, and whether their etcd answers\n"
    "gantry members list\n"
    "# Take one out whose machine is gone, or will be\n"
    "gantry members remove server-3"};

bool Is(const JsonValue& member, const char* field) {
  const JsonValue* value = member.Find(field);
  return value != nullptr && value->is_bool() && value->as_bool();
}

// A server with another store says that there is no such path.
Status Explained(const Status& status) {
  if (status.code() != Code::kNotFound) return status;
  return LocalError("the servers of this cluster do not run an etcd of their own");
}

Result<int> List(Connection& connection) {
  Result<JsonValue> answer = connection.GetJson(kEtcdMembersPath);
  if (!answer.ok()) return Explained(answer.status());
  std::string text = "NAME\tSTATUS\tADDRESS\n";
  for (const JsonValue& member : ItemsAt(*answer, "members")) {
    const std::string name = TextAt(member, "name");
    const char* status = !Is(member, "answers") ? "silent"
                         : Is(member, "votes")  ? "voting"
                                                : "joining";
    text +=
        (name.empty() ? "<none>" : name) + "\t" + status + "\t" + TextAt(member, "peerURL") + "\n";
  }
  std::fputs(AlignTabs(text).c_str(), stdout);
  return 0;
}

Result<int> Remove(Connection& connection, const std::string& name) {
  const Result<JsonValue> gone = connection.Send(
      "DELETE", std::string(kEtcdMembersPath) + "?name=" + client::QueryEscape(name),
      JsonValue::MakeObject());
  if (gone.status().code() == Code::kNotFound)
    return LocalError("there is no server \"" + name + "\"");
  GANTRY_TRY(gone);
  std::printf("member \"%s\" removed\n", name.c_str());
  return 0;
}

}  // namespace

Result<int> RunMembers(Invocation call) {
  std::string data_dir;
  FlagSet set(kHelp, &call.globals);
  set.String("data-dir", 0, &data_dir, "Data directory of a server on this machine");
  GANTRY_TRY(set.Parse(call.args));
  const std::vector<std::string>& args = set.args();
  if (args.empty()) return set.Misused("which: list or remove?");
  const bool lists = args.front() == "list", removes = args.front() == "remove";
  if (!lists && !removes) return set.Misused("unknown command \"members " + args.front() + "\"");
  if (lists && args.size() > 1) return set.Misused("list takes no arguments");
  if (removes && args.size() != 2) return set.Misused("which member is to be removed?");
  if (!data_dir.empty()) call.globals.kubeconfig = data_dir + "/kubeconfig";
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  return lists ? List(*connection) : Remove(*connection, args[1]);
}

}  // namespace gantry::cli

#include <cstdio>

#include "api/json_value.h"
#include "apiserver/pki/certificates.h"
#include "base/env/real/real_env.h"
#include "cli/client/bootstrap_token.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "client/http/transport.h"
#include "client/kubeconfig.h"

// Bootstrap tokens, with which machines join: Secrets of kube-system in the form that Kubernetes
// gives them.
namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {
    "token create [TOKEN] | list | delete TOKEN...",
    "Make, list and take back the tokens with which machines join.",
    "# A token for the next 24 hours, as the line with which a machine joins\n"
    "gantry token create --print-join-command\n"
    "# One that does not expire\n"
    "gantry token create --ttl 0 --description 'for the build machines'\n"
    "# Take it back; machines that have joined with it stay\n"
    "gantry token delete abcdef"};

constexpr char kSecrets[] = "/api/v1/namespaces/kube-system/secrets";

struct TokenFlags {
  std::optional<Duration> ttl;
  std::string description, data_dir;
  std::vector<std::string> groups, usages;
  bool print_join_command = false;
};

// How the cluster wants to be reached, and the pin of its authority.
struct JoinFacts {
  std::string server, pin;
};

Result<JoinFacts> FetchJoinFacts(Connection& connection) {
  GANTRY_ASSIGN(const JsonValue info,
                connection.GetJson("/api/v1/namespaces/kube-public/configmaps/cluster-info"));
  Result<client::Kubeconfig> config =
      client::ParseKubeconfig(TextAt(info, "data.kubeconfig"), std::string());
  if (!config.ok() || config->clusters.empty())
    return LocalError("the cluster's cluster-info names no server");
  const auto& cluster = config->clusters.front();
  Result<apiserver::pki::CertificateInfo> ca =
      apiserver::pki::ParseCertificate(cluster.certificate_authority);
  if (!ca.ok()) return LocalError("the cluster's cluster-info names no authority");
  return JoinFacts{cluster.server, ca->public_key_pin};
}

Result<int> Create(Connection& connection, const TokenFlags& flags, const std::string& wanted) {
  BootstrapToken token;
  if (wanted.empty()) {
    token.id = RandomNameSuffix(connection.env(), 6);
    token.secret = RandomNameSuffix(connection.env(), 16);
  } else {
    Result<BootstrapToken> parsed = BootstrapToken::Parse(wanted);
    if (!parsed.ok()) return LocalError(parsed.status().message());
    token = *parsed;
  }
  const Duration ttl = flags.ttl.value_or(std::chrono::hours(24));
  if (ttl > Duration::zero()) token.expires = connection.env().Now() + ttl;
  token.description = flags.description;
  token.usages = flags.usages;
  token.groups = flags.groups;
  if (token.usages.empty()) token.usages = {"signing", "authentication"};
  if (Status fit = token.Check(); !fit.ok()) return LocalError(fit.message());
  // First, so that nothing is made when the cluster cannot say how to reach it.
  GANTRY_ASSIGN(const JoinFacts facts, FetchJoinFacts(connection));
  const Result<JsonValue> made = connection.Send("POST", kSecrets, token.ToSecret());
  if (made.status().code() == Code::kAlreadyExists)
    return LocalError("a token with id \"" + token.id + "\" already exists");
  GANTRY_TRY(made);
  const std::string text = token.id + "." + token.secret + "@" + facts.pin;
  if (flags.print_join_command) {
    std::printf("gantry agent --server %s --token %s\n", facts.server.c_str(), text.c_str());
  } else {
    std::printf("%s\n", text.c_str());
  }
  return 0;
}

Result<int> List(Connection& connection) {
  GANTRY_ASSIGN(const JsonValue secrets,
                connection.GetJson(std::string(kSecrets) + "?fieldSelector=" +
                                   client::QueryEscape("type=bootstrap.kubernetes.io/token")));
  std::vector<BootstrapToken> tokens;
  for (const JsonValue& secret : ItemsAt(secrets, "items")) {
    Result<BootstrapToken> token = BootstrapToken::FromSecret(secret);
    // Other tools may have written Secrets that are no tokens.
    if (token.ok()) tokens.push_back(std::move(*token));
  }
  std::fputs(BootstrapTokenTable(tokens, connection.env().Now()).c_str(), stdout);
  return 0;
}

Result<int> Delete(Connection& connection, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::string id = name.substr(0, name.find('.'));
    if (!BootstrapToken::IsId(id)) {
      return LocalError("\"" + name +
                        "\" is neither a token nor the id of one (six letters and digits)");
    }
    const Result<JsonValue> gone = connection.Send(
        "DELETE", std::string(kSecrets) + "/bootstrap-token-" + id, JsonValue::MakeObject());
    if (gone.status().code() == Code::kNotFound)
      return LocalError("there is no token with id \"" + id + "\"");
    GANTRY_TRY(gone);
    std::printf("bootstrap token \"%s\" deleted\n", id.c_str());
  }
  return 0;
}

}  // namespace

Result<int> RunToken(Invocation call) {
  TokenFlags flags;
  FlagSet set(kHelp, &call.globals);
  set.Time("ttl", 0, &flags.ttl,
           "For how long it may be used, 24h by default; 0: for ever (create)");
  set.String("description", 0, &flags.description, "What it is for (create)");
  set.Strings("groups", 0, &flags.groups, "Extra groups of who uses it (create)");
  set.Strings("usages", 0, &flags.usages, "signing, authentication: both by default (create)");
  set.Bool("print-join-command", 0, &flags.print_join_command,
           "Print the line with which a machine joins (create)");
  set.String("data-dir", 0, &flags.data_dir, "Data directory of a server on this machine");
  GANTRY_TRY(set.Parse(call.args));
  std::vector<std::string> args = set.args();
  if (args.empty()) return set.Misused("which: create, list or delete?");
  const std::string verb = args.front();
  args.erase(args.begin());
  if (verb != "create" && verb != "list" && verb != "delete")
    return set.Misused("unknown command \"token " + verb + "\"");
  if (verb == "create" && args.size() > 1) return set.Misused("one token at most can be made");
  if (verb == "list" && !args.empty()) return set.Misused("list takes no arguments");
  if (verb == "delete" && args.empty()) return set.Misused("which token is to be deleted?");
  if (!flags.data_dir.empty()) call.globals.kubeconfig = flags.data_dir + "/kubeconfig";
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  if (verb == "create") return Create(*connection, flags, args.empty() ? "" : args.front());
  if (verb == "list") return List(*connection);
  return Delete(*connection, args);
}

}  // namespace gantry::cli

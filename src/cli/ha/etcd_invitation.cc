#include "cli/ha/etcd_invitation.h"

#include <optional>
#include <utility>

#include "base/env/notifier.h"
#include "base/log.h"
#include "cli/client/members_path.h"
#include "cli/join.h"
#include "cli/text_field.h"
#include "client/http/reply_status.h"
#include "client/http/transport.h"

namespace gantry::cli {
namespace {

using api::JsonValue;

constexpr Duration kRetry = std::chrono::milliseconds(500);
constexpr int kTriesPerLine = 10;  // of the log

Result<Invitation> Read(const client::HttpReply& reply) {
  if (reply.status == 200) return ReadInvitation(reply.body);
  if (reply.status == 401) {
    return Status(Code::kUnauthorized,
                  "the cluster does not know the token; servers join with the one that stands in "
                  "DIR/token of its servers");
  }
  if (reply.status == 404) {
    return Status(Code::kBadRequest,
                  "that server does not run an etcd of its own; --join wants one that was started "
                  "with --ha or --join");
  }
  return client::StatusOfReply(reply.status, reply.body);
}

}  // namespace

std::string WriteInvitationRequest(const InvitationRequest& request) {
  JsonValue json = JsonValue::MakeObject();
  json["name"] = request.name;
  json["peerURL"] = request.peer_url;
  json["clientURL"] = request.client_url;
  json["version"] = request.version;
  JsonValue settings = JsonValue::MakeObject();
  for (const auto& [name, value] : request.settings)
    settings[name] = value;
  json["settings"] = std::move(settings);
  return json.ToString();
}

Result<InvitationRequest> ReadInvitationRequest(std::string_view text) {
  GANTRY_ASSIGN(const JsonValue json, JsonValue::Parse(text));
  InvitationRequest request;
  request.name = TextField(json, "name");
  request.peer_url = TextField(json, "peerURL");
  request.client_url = TextField(json, "clientURL");
  request.version = TextField(json, "version");
  if (request.name.empty() || !request.peer_url.starts_with("https://") ||
      !request.client_url.starts_with("https://")) {
    return BadRequest(
        "name, peerURL and clientURL (https://HOST:PORT) of the new member are wanted");
  }
  if (const JsonValue* settings = json.Find("settings"); settings && settings->is_object()) {
    for (const auto& [name, value] : settings->as_object()) {
      if (value.is_string()) request.settings[name] = value.as_string();
    }
  }
  return request;
}

std::string WriteInvitation(const Invitation& invitation) {
  JsonValue json = JsonValue::MakeObject();
  json["id"] = std::to_string(invitation.id);
  json["certificate"] = invitation.authority.certificate_pem;
  json["key"] = invitation.authority.private_key_pem;
  json["members"] = PeersToJson(invitation.peers);
  return json.ToString();
}

Result<Invitation> ReadInvitation(std::string_view text) {
  GANTRY_ASSIGN(const JsonValue json, JsonValue::Parse(text));
  Invitation invitation;
  const std::optional<uint64_t> id = MemberId(json);
  invitation.id = id.value_or(0);
  invitation.authority.certificate_pem = TextField(json, "certificate");
  invitation.authority.private_key_pem = TextField(json, "key");
  const JsonValue* members = json.Find("members");
  if (!id || members == nullptr || invitation.authority.private_key_pem.empty())
    return DataLoss("the answer to this server's wish to join is not what it should be");
  GANTRY_ASSIGN(invitation.peers, PeersFromJson(*members));
  return invitation;
}

Task<Result<Invitation>> AskForInvitation(Env& env, std::vector<std::string> servers,
                                          JoinToken token, InvitationRequest request) {
  GANTRY_CO_ASSIGN(const std::string ca_pem, co_await FetchCa(env, servers, token.ca_pin));
  GANTRY_CO_ASSIGN(client::HttpTransportOptions options, TransportFor(servers, ca_pem, token));
  client::HttpTransport transport(env, options);
  const std::string body = WriteInvitationRequest(request);
  Result<Invitation> invitation = Unavailable("nobody was asked");
  for (int tries = 0;; ++tries) {
    client::HttpRequest http("POST", kEtcdMembersPath);
    http.headers.Set("accept", "application/json");
    http.headers.Set("content-type", "application/json");
    http.body = body;
    Result<client::HttpReply> reply = co_await transport.Fetch(std::move(http));
    if (reply.ok()) {
      invitation = Read(*reply);
    } else {
      invitation = reply.status();
    }
    const bool passes = invitation.code() == Code::kServiceUnavailable ||
                        invitation.code() == Code::kUnavailable ||
                        invitation.code() == Code::kTooManyRequests;
    if (!passes) break;
    if (tries % kTriesPerLine == 0) {
      log::Info("etcd", "waiting to be let in",
                {{"server", servers.front()}, {"reason", invitation.status().message()}});
    }
    co_await SleepFor(env, kRetry);
  }
  co_await transport.Stop();
  co_return invitation;
}

}  // namespace gantry::cli

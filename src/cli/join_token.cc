#include "cli/join_token.h"

#include <algorithm>
#include <cctype>

#include "api/core/v1/secret.pb.h"
#include "client/typed.h"

namespace gantry::cli {
namespace {

bool IsTokenText(std::string_view text, size_t length) {
  return text.size() == length && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::islower(c) || std::isdigit(c);
         });
}

}  // namespace

Result<JoinToken> JoinToken::Parse(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  JoinToken token;
  const size_t at = text.find('@');
  if (at != std::string_view::npos) {
    token.ca_pin = std::string(text.substr(at + 1));
    text = text.substr(0, at);
  }
  const size_t dot = text.find('.');
  const bool pin_ok =
      token.ca_pin.empty() ? at == std::string_view::npos : token.ca_pin.starts_with("sha256:");
  if (dot == std::string_view::npos || !IsTokenText(text.substr(0, dot), 6) ||
      !IsTokenText(text.substr(dot + 1), 16) || !pin_ok) {
    return BadRequest(
        "the token is not of the form abcdef.0123456789abcdef@sha256:HASH; copy it from the "
        "server's file DIR/token");
  }
  token.id = std::string(text.substr(0, dot));
  token.secret = std::string(text.substr(dot + 1));
  return token;
}

std::string JoinToken::ToString() const { return Bearer() + (ca_pin.empty() ? "" : "@" + ca_pin); }

Task<Status> PublishJoinToken(client::Client& client, JoinToken token) {
  api::core::v1::Secret secret;
  secret.mutable_metadata()->set_name("bootstrap-token-" + token.id);
  secret.mutable_metadata()->set_namespace_("kube-system");
  secret.set_type("bootstrap.kubernetes.io/token");
  auto& data = *secret.mutable_data();
  data["token-id"] = token.id;
  data["token-secret"] = token.secret;
  data["usage-bootstrap-authentication"] = "true";
  data["usage-bootstrap-signing"] = "true";
  Result<api::Ref<api::core::v1::Secret>> made = co_await client::Create(client, std::move(secret));
  if (made.ok() || made.code() == Code::kAlreadyExists) co_return Status::Ok();
  co_return made.status().WithContext("cannot publish the join token");
}

}  // namespace gantry::cli

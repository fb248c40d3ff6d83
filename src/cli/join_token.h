#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "client/client.h"

namespace gantry::cli {

// What an agent joins with: a bootstrap token, and the pin of the CA by which the agent knows that
// it talks to its own cluster. As text: "abcdef.0123456789abcdef@sha256:HEX"; without a pin the
// first server that answers is trusted.
struct JoinToken {
  std::string id, secret;
  std::string ca_pin;  // "sha256:..."; may be empty

  static Result<JoinToken> Parse(std::string_view text);
  std::string ToString() const;
  std::string Bearer() const { return id + "." + secret; }
};

// Makes the bootstrap token known to the API server (a Secret in kube-system), unless it is.
Task<Status> PublishJoinToken(client::Client& client, JoinToken token);

}  // namespace gantry::cli

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_value.h"
#include "base/env/time.h"
#include "base/status.h"

namespace gantry::cli {

// A bootstrap token, as a Secret holds it. A value.
struct BootstrapToken {
  std::string id, secret, description;
  std::optional<WallTime> expires;
  bool expiration_is_broken = false;
  std::vector<std::string> usages;  // "signing", "authentication"
  std::vector<std::string> groups;

  // "abcdef.0123456789abcdef"; a pin behind it ("@sha256:...") is left out.
  static Result<BootstrapToken> Parse(std::string_view text);
  static bool IsId(std::string_view text);
  // The Secret as JSON, and back. A failure when it is no bootstrap token.
  static Result<BootstrapToken> FromSecret(const api::JsonValue& secret);
  api::JsonValue ToSecret() const;
  // Whether usages and groups are such as the API server knows.
  Status Check() const;
};

// As `kubeadm token list` prints them.
std::string BootstrapTokenTable(const std::vector<BootstrapToken>& tokens, WallTime now);

}  // namespace gantry::cli

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/json_value.h"
#include "cli/client/jsonpath.h"
#include "cli/join_token.h"
#include "client/kubeconfig.h"

// What stands on the command line and in the files of users: tokens, templates, kubeconfigs.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry;  // NOLINT: one program for many parsers
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto token = cli::JoinToken::Parse(text); token.ok()) {
    auto again = cli::JoinToken::Parse(token->ToString());
    if (!again.ok() || again->Bearer() != token->Bearer() || again->ca_pin != token->ca_pin)
      abort();
  }
  static const api::JsonValue object = *api::JsonValue::Parse(
      R"({"items": [{"metadata": {"name": "a", "labels": {"b": "c"}}, "n": 1.5}, {"n": [1, 2, 3]}]})");
  if (auto path = cli::JsonPath::Parse(text); path.ok()) (void)path->Print(object).ok();
  // "/nowhere": files that the text names are not read from here.
  if (auto config = client::ParseKubeconfig(text, "/nowhere"); config.ok()) {
    auto again = client::ParseKubeconfig(client::WriteKubeconfig(*config), "/nowhere");
    if (!again.ok() || again->users.size() != config->users.size()) abort();
  }
  return 0;
}

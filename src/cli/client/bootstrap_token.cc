#include "cli/client/bootstrap_token.h"

#include <algorithm>
#include <chrono>

#include "api/base64.h"
#include "api/duration.h"
#include "cli/client/align_tabs.h"
#include "cli/client/fields.h"

namespace gantry::cli {
using api::JsonValue;

namespace {

constexpr char kType[] = "bootstrap.kubernetes.io/token";
constexpr char kUsagePrefix[] = "usage-bootstrap-";
constexpr const char* kUsages[] = {"authentication", "signing"};  // in the order of lists
constexpr std::string_view kGroupPrefix = "system:bootstrappers:";

bool IsTokenText(std::string_view text, size_t length) {
  return text.size() == length && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
         });
}

// "23h", "5m", "2d3h" would be too fine: the largest unit alone, as client-go's short form has it.
std::string ShortDuration(Duration duration) {
  using namespace std::chrono;
  const int64_t all = duration / seconds(1);
  if (all < -1) return "<invalid>";
  if (all < 0) return "0s";
  const struct {
    int64_t below, unit;
    const char* name;
  } rows[] = {{60, 1, "s"}, {3600, 60, "m"}, {86400, 3600, "h"}, {86400 * 365, 86400, "d"}};
  for (const auto& row : rows) {
    if (all < row.below) return std::to_string(all / row.unit) + row.name;
  }
  return std::to_string(all / (86400 * 365)) + "y";
}

std::string OrNone(std::string text) { return text.empty() ? "<none>" : text; }

}  // namespace

bool BootstrapToken::IsId(std::string_view text) { return IsTokenText(text, 6); }

Result<BootstrapToken> BootstrapToken::Parse(std::string_view text) {
  text = text.substr(0, text.find('@'));
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos || !IsId(text.substr(0, dot)) ||
      !IsTokenText(text.substr(dot + 1), 16)) {
    return BadRequest("the bootstrap token \"" + std::string(text) +
                      "\" was not of the form \"\\A([a-z0-9]{6})\\.([a-z0-9]{16})\\z\"");
  }
  BootstrapToken token;
  token.id = text.substr(0, dot);
  token.secret = text.substr(dot + 1);
  return token;
}

Status BootstrapToken::Check() const {
  for (const std::string& usage : usages) {
    if (std::find(std::begin(kUsages), std::end(kUsages), usage) == std::end(kUsages))
      return BadRequest("invalid bootstrap token usage \"" + usage +
                        "\", valid usages are: signing, authentication");
  }
  for (const std::string& group : groups) {
    if (!std::string_view(group).starts_with(kGroupPrefix) || group.size() == kGroupPrefix.size())
      return BadRequest("bootstrap group \"" + group + "\" is invalid: it must begin with " +
                        std::string(kGroupPrefix));
  }
  return Status::Ok();
}

Result<BootstrapToken> BootstrapToken::FromSecret(const JsonValue& secret) {
  auto field = [&](const std::string& key) {
    std::string text;
    const ptrdiff_t bad = api::DecodeBase64(MemberAt(secret, "data", key), &text);
    return bad < 0 ? text : std::string();
  };
  GANTRY_ASSIGN(BootstrapToken token, Parse(field("token-id") + "." + field("token-secret")));
  if (TextAt(secret, "type") != kType ||
      TextAt(secret, "metadata.name") != "bootstrap-token-" + token.id)
    return BadRequest("it is no bootstrap token");
  token.description = field("description");
  if (const std::string text = field("expiration"); !text.empty()) {
    Result<WallTime> until = api::ParseTime(text);
    token.expiration_is_broken = !until.ok();
    if (until.ok()) token.expires = *until;
  }
  for (const char* usage : kUsages) {
    if (field(std::string(kUsagePrefix) + usage) == "true") token.usages.emplace_back(usage);
  }
  if (const std::string groups = field("auth-extra-groups"); !groups.empty())
    token.groups = SplitText(groups, ',');
  return token;
}

JsonValue BootstrapToken::ToSecret() const {
  JsonValue json = JsonValue::MakeObject();
  json["apiVersion"] = "v1";
  json["kind"] = "Secret";
  json["type"] = kType;
  json["metadata"]["name"] = "bootstrap-token-" + id;
  json["metadata"]["namespace"] = "kube-system";
  auto set = [&](const std::string& key, const std::string& value) {
    if (value.empty()) return;
    std::string encoded;
    api::AppendBase64(value, &encoded);
    json["data"][key] = encoded;
  };
  set("token-id", id);
  set("token-secret", secret);
  set("description", description);
  if (expires) set("expiration", api::FormatTime(*expires));
  for (const std::string& usage : usages)
    set(kUsagePrefix + usage, "true");
  set("auth-extra-groups", JoinText(groups, ","));
  return json;
}

std::string BootstrapTokenTable(const std::vector<BootstrapToken>& tokens, WallTime now) {
  if (tokens.empty()) return {};
  std::string text = "TOKEN\tTTL\tEXPIRES\tUSAGES\tDESCRIPTION\tEXTRA GROUPS\n";
  for (const BootstrapToken& token : tokens) {
    std::string ttl = "<forever>", expires = "<never>";
    if (token.expiration_is_broken) ttl = "<invalid>", expires = "<invalid>";
    if (token.expires) {
      ttl = ShortDuration(*token.expires - now);
      expires = api::FormatTime(*token.expires);
    }
    std::string description = token.description;
    std::replace_if(
        description.begin(), description.end(),
        [](unsigned char c) { return c < ' ' || c == 0x7f; }, ' ');
    text += token.id + "." + token.secret + "\t" + ttl + "\t" + expires + "\t" +
            OrNone(JoinText(token.usages, ",")) + "\t" + OrNone(description) + "\t" +
            OrNone(JoinText(token.groups, ",")) + "\n";
  }
  return AlignTabs(text, 3);
}

}  // namespace gantry::cli

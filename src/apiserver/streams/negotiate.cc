#include "apiserver/streams/negotiate.h"

#include <algorithm>

#include "base/wire/websocket.h"

namespace gantry::apiserver::streams {
namespace {

constexpr std::string_view kStreamProtocolHeader = "X-Stream-Protocol-Version";

// All values of a header that is a list, in order, over all of its fields.
std::vector<std::string> ListOf(const Headers& headers, std::string_view name) {
  std::vector<std::string> out;
  for (const auto& [key, value] : headers.all()) {
    if (!wire::EqualFold(key, name)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t comma = rest.find(',');
      std::string_view item = rest.substr(0, comma);
      while (!item.empty() && item.front() == ' ')
        item.remove_prefix(1);
      while (!item.empty() && item.back() == ' ')
        item.remove_suffix(1);
      if (!item.empty()) out.emplace_back(item);
      rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    }
  }
  return out;
}

// As Go prints a slice of strings: [a b].
template <class List>
std::string GoList(const List& list) {
  std::string out = "[";
  for (const auto& item : list)
    out += (out.size() > 1 ? " " : "") + std::string(item);
  return out + "]";
}

// The first of `wanted` that is offered.
const std::string* FirstCommon(const std::vector<std::string>& wanted,
                               std::span<const std::string_view> offered) {
  for (const std::string& protocol : wanted) {
    if (std::find(offered.begin(), offered.end(), protocol) != offered.end()) return &protocol;
  }
  return nullptr;
}

}  // namespace

UpgradeKind UpgradeOf(const Request& request) {
  if (request.http2 || !request.headers.HasToken("connection", "upgrade"))
    return UpgradeKind::kNone;
  if (request.headers.HasToken("upgrade", "websocket")) return UpgradeKind::kWebSocket;
  if (request.headers.HasToken("upgrade", "SPDY/3.1")) return UpgradeKind::kSpdy;
  return UpgradeKind::kNone;
}

Result<Upgrade> UpgradeWebSocket(const Request& request,
                                 std::span<const std::string_view> offered) {
  const std::string_view key = request.headers.Get("sec-websocket-key");
  const std::optional<std::string> nonce = wire::FromBase64(key);
  if (request.method != "GET") return BadRequest("websocket: request method is not GET");
  if (request.headers.Get("sec-websocket-version") != "13")
    return BadRequest("websocket: unsupported version");
  if (!nonce || nonce->size() != 16)
    return BadRequest("websocket: 'Sec-WebSocket-Key' header is missing or malformed");
  Upgrade out;
  const std::vector<std::string> wanted = ListOf(request.headers, "sec-websocket-protocol");
  if (wanted.empty()) {
    if (std::find(offered.begin(), offered.end(), "") == offered.end()) {
      return BadRequest("websocket: a subprotocol is required: " + GoList(offered));
    }
  } else if (const std::string* common = FirstCommon(wanted, offered)) {
    out.protocol = *common;
    out.response.headers.Add("Sec-WebSocket-Protocol", *common);
  } else {
    return BadRequest("websocket: none of the subprotocols " + GoList(wanted) +
                      " is supported: " + GoList(offered));
  }
  out.response.status = 101;
  out.response.headers.Add("Upgrade", "websocket");
  out.response.headers.Add("Connection", "Upgrade");
  out.response.headers.Add("Sec-WebSocket-Accept", wire::WebSocketAccept(key));
  return out;
}

Result<Upgrade> UpgradeSpdy(const Request& request, std::span<const std::string_view> offered) {
  Upgrade out;
  const std::vector<std::string> wanted = ListOf(request.headers, kStreamProtocolHeader);
  if (wanted.empty()) {
    // Clients from before there were versions.
    if (std::find(offered.begin(), offered.end(), "") == offered.end()) {
      return Status(Code::kForbidden,
                    "unable to upgrade: " + std::string(kStreamProtocolHeader) + " is required");
    }
  } else if (const std::string* common = FirstCommon(wanted, offered)) {
    out.protocol = *common;
    out.response.headers.Add(std::string(kStreamProtocolHeader), *common);
  } else {
    return Status(Code::kForbidden,
                  "unable to upgrade: unable to negotiate protocol: client supports " +
                      GoList(wanted) + ", server accepts " + GoList(offered));
  }
  out.response.status = 101;
  out.response.headers.Add("Upgrade", "SPDY/3.1");
  out.response.headers.Add("Connection", "Upgrade");
  return out;
}

}  // namespace gantry::apiserver::streams

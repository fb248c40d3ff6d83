#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/http/handler.h"
#include "base/status.h"

namespace gantry::apiserver::streams {

enum class UpgradeKind : uint8_t { kNone, kWebSocket, kSpdy };
UpgradeKind UpgradeOf(const Request& request);

// An accepted upgrade: the 101 answer so far, and the protocol that was agreed on.
struct Upgrade {
  Response response;
  std::string protocol;
};
// `offered` is ours, best first; "" stands for clients that name no protocol.
Result<Upgrade> UpgradeWebSocket(const Request& request, std::span<const std::string_view> offered);
Result<Upgrade> UpgradeSpdy(const Request& request, std::span<const std::string_view> offered);

}  // namespace gantry::apiserver::streams

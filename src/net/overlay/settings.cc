#include "net/overlay/settings.h"

#include <string>

namespace gantry::net {
namespace {

constexpr std::string_view kNames[] = {"vxlan", "host-routes", "none"};

// The inner Ethernet header, VXLAN and UDP; the outer IP header comes on top.
constexpr uint32_t kVxlanHeaders = 14 + 8 + 8;

}  // namespace

Result<OverlayMode> OverlaySettings::ParseMode(std::string_view text) {
  for (OverlayMode mode : {OverlayMode::kVxlan, OverlayMode::kHostRoutes, OverlayMode::kNone}) {
    if (text == NameOf(mode)) return mode;
  }
  return Status(Code::kInvalid,
                "overlay \"" + std::string(text) + "\" is not one of vxlan, host-routes and none");
}

std::string_view OverlaySettings::NameOf(OverlayMode mode) {
  return kNames[static_cast<size_t>(mode)];
}

uint32_t OverlaySettings::Overhead(const IpAddress& underlay) const {
  if (mode != OverlayMode::kVxlan) return 0;
  return kVxlanHeaders + (underlay.is_v6() ? 40 : 20);
}

}  // namespace gantry::net

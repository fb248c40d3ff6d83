#include "cli/version.h"

#include <charconv>
#include <cstdlib>
#include <optional>

namespace gantry::cli {
namespace {

struct Release {
  int major = 0, minor = 0;
};

std::optional<Release> ParseRelease(std::string_view text) {
  Release release;
  const char* end = text.data() + text.size();
  auto [dot, bad_major] = std::from_chars(text.data(), end, release.major);
  if (bad_major != std::errc() || dot == end || *dot != '.') return std::nullopt;
  auto [rest, bad_minor] = std::from_chars(dot + 1, end, release.minor);
  if (bad_minor != std::errc() || (rest != end && *rest != '.')) return std::nullopt;
  return release;
}

}  // namespace

std::string_view ProgramVersion() { return GANTRY_VERSION; }

Status CheckVersions(std::string_view server, std::string_view agent) {
  constexpr std::string_view kUntold = "0.0";
  const std::optional<Release> ours = ParseRelease(server);
  const std::optional<Release> theirs = ParseRelease(agent.empty() ? kUntold : agent);
  const std::string both = "the agent is gantry " +
                           (agent.empty() ? "of an unknown version" : std::string(agent)) +
                           ", the server gantry " + std::string(server);
  if (!ours || !theirs) return BadRequest(both + ": one of these is no version");
  if (ours->major == theirs->major && std::abs(ours->minor - theirs->minor) <= 1)
    return Status::Ok();
  const bool agent_is_old =
      theirs->major < ours->major || (theirs->major == ours->major && theirs->minor < ours->minor);
  return BadRequest(both + ": they are more than one release apart; upgrade the " +
                    (agent_is_old ? "agent" : "servers"));
}

}  // namespace gantry::cli

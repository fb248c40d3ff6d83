#include <cstdio>

#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/resources.h"

namespace gantry::cli {
using api::JsonValue;

Result<int> RunScale(Invocation call) {
  int64_t replicas = -1, current = -1;
  FlagSet set("scale TYPE/NAME... | TYPE NAME... --replicas=N", &call.globals);
  set.Int("replicas", 0, &replicas, "The number wanted");
  set.Int("current-replicas", 0, &current, "Only when this is the number now");
  GANTRY_TRY(set.Parse(call.args));
  if (!set.Given("replicas")) return LocalError("required flag(s) \"replicas\" not set");
  if (replicas < 0)
    return LocalError(
        "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  GANTRY_ASSIGN(const std::vector<Target> targets, ParseTargets(map, set.args()));
  for (const Target& target : targets) {
    if (target.name.empty())
      return LocalError("resource(s) were provided, but no name was specified");
    const std::string path = target.resource.Path(connection->ns(), target.name, "scale");
    JsonValue patch;
    patch["spec"]["replicas"] = replicas;
    if (current >= 0) {
      GANTRY_ASSIGN(const JsonValue scale, connection->GetJson(path));
      const int64_t now = IntAt(scale, "spec.replicas");
      if (now != current) {
        return LocalError("Expected replicas to be " + std::to_string(current) + ", was " +
                          std::to_string(now));
      }
      patch["metadata"]["resourceVersion"] = TextAt(scale, "metadata.resourceVersion");
    }
    GANTRY_TRY(connection->Send("PATCH", path + "?fieldManager=gantry", patch,
                                "application/merge-patch+json"));
    std::printf("%s/%s scaled\n", target.resource.GroupSingular().c_str(), target.name.c_str());
  }
  return 0;
}

}  // namespace gantry::cli

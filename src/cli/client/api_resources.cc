#include <algorithm>
#include <cstdio>

#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/print_table.h"
#include "cli/client/resources.h"

namespace gantry::cli {
namespace {

constexpr CommandHelp kHelp = {"api-resources", "List the types of objects that the server has.",
                               "gantry api-resources\n"
                               "gantry api-resources --namespaced=false\n"
                               "gantry api-resources --api-group=apps -o name"};

}  // namespace

Result<int> RunApiResources(Invocation call) {
  bool namespaced = true, no_headers = false;
  std::string group, output;
  FlagSet set(kHelp, &call.globals);
  set.String("api-group", 0, &group, "Only those of this group");
  set.Bool("namespaced", 0, &namespaced, "Only those in namespaces, or (=false) those in none");
  set.Bool("no-headers", 0, &no_headers, "Without the line of names");
  set.String("output", 'o', &output, "name");
  GANTRY_TRY(set.Parse(call.args));
  if (!output.empty() && output != "name")
    return LocalError("--output " + output + " is not available");
  GANTRY_ASSIGN(const auto connection, Connection::Open(call.globals));
  GANTRY_ASSIGN(const ResourceMap map, ResourceMap::Load(*connection));
  // The preferred version of a group comes first.
  std::vector<Resource> shown;
  for (const Resource& resource : map.all()) {
    if (set.Given("namespaced") && resource.namespaced != namespaced) continue;
    if (set.Given("api-group") && resource.group != group) continue;
    const bool seen = std::any_of(shown.begin(), shown.end(), [&](const Resource& other) {
      return other.group == resource.group && other.plural == resource.plural;
    });
    if (!seen) shown.push_back(resource);
  }
  std::stable_sort(shown.begin(), shown.end(), [](const Resource& a, const Resource& b) {
    return a.group != b.group ? a.group < b.group : a.plural < b.plural;
  });
  TableText table;
  if (!no_headers && output.empty())
    table.Row({"NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"});
  for (const Resource& resource : shown) {
    if (!output.empty()) {
      std::printf("%s\n", resource.GroupPlural().c_str());
      continue;
    }
    table.Row({resource.plural, JoinText(resource.short_names, ","), resource.ApiVersion(),
               resource.namespaced ? "true" : "false", resource.kind});
  }
  std::fputs(table.Take().c_str(), stdout);
  return 0;
}

}  // namespace gantry::cli

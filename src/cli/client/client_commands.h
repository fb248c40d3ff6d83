#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/client/flag_set.h"

// The client's commands, one file each. A command answers with the program's exit code, or with a
// failure worded for its user (failure.h).
namespace gantry::cli {

struct Invocation {
  GlobalFlags globals;
  std::vector<std::string> args;  // behind the command's name
};

Result<int> RunApply(Invocation call);
Result<int> RunAnnotate(Invocation call);
Result<int> RunApiResources(Invocation call);
Result<int> RunAttach(Invocation call);
Result<int> RunCordon(Invocation call);
Result<int> RunCreate(Invocation call);
Result<int> RunDelete(Invocation call);
Result<int> RunDescribe(Invocation call);
Result<int> RunDiff(Invocation call);
Result<int> RunEvents(Invocation call);
Result<int> RunExec(Invocation call);
Result<int> RunGet(Invocation call);
Result<int> RunLabel(Invocation call);
Result<int> RunLogs(Invocation call);
Result<int> RunPatch(Invocation call);
Result<int> RunRollout(Invocation call);
Result<int> RunScale(Invocation call);
Result<int> RunTaint(Invocation call);
Result<int> RunToken(Invocation call);
Result<int> RunMembers(Invocation call);
Result<int> RunTop(Invocation call);
Result<int> RunUncordon(Invocation call);
Result<int> RunWait(Invocation call);
Result<int> RunWhy(Invocation call);

}  // namespace gantry::cli

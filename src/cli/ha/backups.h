#pragma once

#include <string>

#include "base/env/env.h"

// The snapshots that a server makes by itself, in a directory of their own, named by their time.
// All of it blocks, shortly.
namespace gantry::cli {

// Twelve hours after the latest.
bool BackupIsDue(Env& env, const std::string& directory);
// Where to put the next one; makes the directory.
std::string NextBackup(Env& env, const std::string& directory);
// All but the five latest.
void RemoveOldBackups(const std::string& directory);

}  // namespace gantry::cli

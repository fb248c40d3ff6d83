#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/env/real/real_env.h"
#include "cli/cluster_files.h"
#include "cli/cluster_keys.h"
#include "cli/commands.h"
#include "cli/data_dir.h"
#include "cli/etcd_flags.h"
#include "cli/exit.h"
#include "cli/ha/managed_etcd.h"
#include "cli/machine_options.h"
#include "store/snapshot.h"

namespace gantry::cli {
namespace {

constexpr char kDatabase[] = "/state.db";
struct SnapshotOptions : EtcdFlags {
  std::string data_dir = "/var/lib/gantry";
  std::string file;
};

Status Save(const SnapshotOptions& options) {
  GANTRY_ASSIGN(store::SnapshotFiles files, ReadClusterFiles(options.data_dir));
  const bool has_keys = files.contains("pki/ca.key");
  if (options.store == "sqlite" && ManagedEtcd::IsIn(options.data_dir)) {
    GANTRY_ASSIGN(store::EtcdOptions etcd, ManagedEtcd::AccessFrom(options.data_dir));
    RealEnv env;
    GANTRY_TRY(env.RunToEnd(
        store::SaveEtcdSnapshot(env, std::move(etcd), options.file, std::move(files))));
  } else if (options.store == "sqlite") {
    GANTRY_TRY(store::SaveSqliteSnapshot(options.data_dir + kDatabase, options.file, files));
  } else {
    GANTRY_ASSIGN(store::EtcdOptions etcd, EtcdOptionsOf(options));
    RealEnv env;
    GANTRY_TRY(env.RunToEnd(
        store::SaveEtcdSnapshot(env, std::move(etcd), options.file, std::move(files))));
  }
  std::printf("Saved %s%s\n", options.file.c_str(),
              has_keys ? "" : ", without the cluster's keys: there are none in --data-dir");
  return Status::Ok();
}

Status Restore(const SnapshotOptions& options) {
  GANTRY_ASSIGN(DataDir dir, DataDir::Open(options.data_dir));
  if (ManagedEtcd::IsIn(dir.path())) {
    return Status(Code::kConflict,
                  "this server has an etcd of its own; stop all servers and move " +
                      dir.File("etcd") + " away on each, restore here, and begin again with --ha");
  }
  if (options.store == "sqlite") {
    GANTRY_ASSIGN(const store::SnapshotFiles files,
                  store::RestoreSqliteSnapshot(options.file, dir.path() + kDatabase));
    GANTRY_TRY(PutClusterFiles(dir, files));
  } else {
    GANTRY_ASSIGN(const store::EtcdOptions etcd, EtcdOptionsOf(options));
    RealEnv env;
    GANTRY_ASSIGN(const store::SnapshotFiles files,
                  env.RunToEnd(store::RestoreEtcdSnapshot(env, etcd, options.file)));
    GANTRY_TRY(PutClusterFiles(dir, files));
    if (files.contains("pki/ca.crt")) GANTRY_TRY(env.RunToEnd(ReplaceClusterKeys(env, dir, etcd)));
  }
  std::printf("Restored %s\n", options.file.c_str());
  return Status::Ok();
}

}  // namespace

void AddSnapshotCommand(CLI::App& app, int* exit_code) {
  struct Row {
    const char* name;
    const char* help;
    Status (*run)(const SnapshotOptions& options);
  };
  static constexpr Row kRows[] = {
      {"save", "Write a consistent copy of the cluster's state; a server may be running", Save},
      {"restore", "Put a saved state in the place of the present one; no server may be running",
       Restore},
  };
  CLI::App* family = app.add_subcommand("snapshot", "Back up and restore the state of a cluster");
  family->require_subcommand(1);
  auto options = std::make_shared<SnapshotOptions>();
  for (const Row& row : kRows) {
    CLI::App* command = family->add_subcommand(row.name, row.help);
    AddTextFlag(*command, "--data-dir", "DIR", &options->data_dir, "Data directory of the server");
    AddTextFlag(*command, "--store", "STORE", &options->store,
                "What the servers are told: sqlite, or etcd://HOST:PORT,...");
    AddEtcdFlags(*command, options.get());
    command->add_option("file", options->file, "The snapshot")->required();
    command->callback([=, run = row.run] { *exit_code = ExitCodeOf(run(*options)); });
  }
}

}  // namespace gantry::cli

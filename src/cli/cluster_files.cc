#include "cli/cluster_files.h"

#include <filesystem>

namespace gantry::cli {
namespace {

constexpr const char* kClusterFiles[] = {"pki/ca.crt", "pki/ca.key", "pki/service-account.key",
                                         "token"};

}  // namespace

Result<store::SnapshotFiles> ReadClusterFiles(const std::string& data_dir) {
  store::SnapshotFiles files;
  for (const char* name : kClusterFiles) {
    Result<std::string> content = ReadWholeFile(data_dir + "/" + name);
    if (!content.ok() && content.code() != Code::kNotFound) return content.status();
    if (content.ok()) files[name] = std::move(content).value();
  }
  return files;
}

Status PutClusterFiles(const DataDir& dir, const store::SnapshotFiles& files) {
  if (!files.contains("pki/ca.crt")) return Status::Ok();
  Result<std::string> there = dir.Read("pki/ca.crt");
  if (there.ok() && *there != files.at("pki/ca.crt")) {
    const std::string pki = dir.File("pki"), aside = dir.File("pki.before-restore");
    std::error_code error;
    std::filesystem::remove_all(aside, error);
    std::filesystem::rename(pki, aside, error);
    if (error) return InternalError("keep the old keys as " + aside + ": " + error.message());
  }
  for (const char* name : kClusterFiles) {
    if (auto file = files.find(name); file != files.end())
      GANTRY_TRY(dir.Write(name, file->second));
  }
  return Status::Ok();
}

}  // namespace gantry::cli

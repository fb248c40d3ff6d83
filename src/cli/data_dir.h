#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace gantry::cli {

// kNotFound where there is none.
Result<std::string> ReadWholeFile(const std::string& file);

// The directory that holds all of one server's or agent's state, opened by one process at a time:
//   lock           held while the process runs
//   format         the version of what is here; a newer one is refused, an older one brought up to
//                  date
//   kubeconfig     the administrator's, readable by its owner only
//   token          what agents join with
//   servers        the cluster's servers, as an agent knew them last
//   network.pb     the cluster's network, likewise
//   pki/           the cluster's authority, keys and certificates
//   state.db       the embedded store
//   etcd/          the server's own etcd (src/cli/ha/managed_etcd.h)
//   node/          the node agent's (src/node/paths.h)
//   net/           addresses in use
// Life cycle: the lock ends with the object (or the process).
class DataDir {
 public:
  // Makes the directory (mode 0700) where it is missing. Errors say what to do.
  static Result<DataDir> Open(const std::string& path);
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&&) = delete;
  ~DataDir();

  const std::string& path() const { return path_; }
  std::string File(std::string_view name) const { return path_ + "/" + std::string(name); }

  // Whole small files. Writing is atomic and durable, mode 0600; directories on the way are made
  // (0700). A file that holds just that is left alone.
  Result<std::string> Read(std::string_view name) const;  // kNotFound
  Status Write(std::string_view name, std::string_view content) const;

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  Status BringUpToDate() const;

  std::string path_;
  int lock_;
};

}  // namespace gantry::cli

#include "node/runtime/program.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "api/json_value.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using api::JsonValue;

constexpr std::string_view kPath = "PATH=";
constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// 0, or why it cannot be executed.
int Look(int root, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT;
  UniqueFd file(static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
  if (!file) return errno;
  struct stat st{};
  if (fstat(file.get(), &st) != 0) return errno;
  if (S_ISDIR(st.st_mode)) return EISDIR;
  return (st.st_mode & 0111) != 0 ? 0 : EACCES;
}

std::string SearchPath(const JsonValue& process) {
  const JsonValue* env = process.Find("env");
  if (env == nullptr || !env->is_array()) return std::string(kDefaultPath);
  for (const JsonValue& variable : env->as_array()) {
    if (variable.is_string() && variable.as_string().starts_with(kPath))
      return variable.as_string().substr(kPath.size());
  }
  return std::string(kDefaultPath);
}

Status Failed(const std::string& program, std::string_view why) {
  return InternalError(
      "OCI runtime exec failed: exec failed: unable to start container process: exec: \"" +
      program + "\": " + std::string(why) + ": unknown");
}

}  // namespace

Status CheckProgram(const std::string& root, const std::string& config,
                    const std::string& program) {
  Result<JsonValue> parsed = JsonValue::Parse(config);
  UniqueFd directory(open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  // What cannot be looked at is the runtime's to judge.
  if (!parsed.ok() || parsed->Find("process") == nullptr || !directory) return Status::Ok();
  const JsonValue& process = *parsed->Find("process");
  const JsonValue* cwd = process.Find("cwd");
  std::string working_dir = cwd != nullptr && cwd->is_string() ? cwd->as_string() : "/";
  if (program.find('/') != std::string::npos) {
    int error =
        Look(directory.get(), program.starts_with("/") ? program : working_dir + "/" + program);
    if (error == ENOENT || error == ENOTDIR)
      return Failed(program, "stat " + program + ": no such file or directory");
    if (error == EISDIR) return Failed(program, "is a directory");
    if (error == EACCES) return Failed(program, "permission denied");
    return Status::Ok();
  }
  std::string search = SearchPath(process);
  bool forbidden = false;
  for (size_t at = 0; at <= search.size();) {
    size_t end = std::min(search.find(':', at), search.size());
    std::string part = search.substr(at, end - at);
    if (!part.starts_with("/")) part = working_dir + "/" + part;
    int error = Look(directory.get(), part + "/" + program);
    if (error == 0) return Status::Ok();
    forbidden |= error == EACCES;
    at = end + 1;
  }
  return Failed(program, forbidden ? "permission denied" : "executable file not found in $PATH");
}

}  // namespace gantry::node

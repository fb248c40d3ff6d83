#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "api/json_value.h"
#include "cli/client/client_commands.h"
#include "cli/client/connection.h"
#include "cli/client/failure.h"
#include "cli/client/fields.h"
#include "cli/client/manifests.h"
#include "cli/client/print_object.h"
#include "cli/client/resources.h"
#include "client/http/transport.h"

namespace gantry::cli {
namespace fs = std::filesystem;
using api::JsonValue;

namespace {

constexpr CommandHelp kHelp = {"diff -f (FILE | DIRECTORY | -)",
                               "Show what apply would change, as diff -u -N does. Exit code 0: "
                               "nothing, 1: something, above: it\n"
                               "failed.",
                               "gantry diff -f web.yaml"};
constexpr int kFailed = 2;

// Two folders for the objects as they are and as they would be; gone with it.
class Folders {
 public:
  Folders() {
    std::string name = (fs::temp_directory_path() / "gantry-diff-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) return;
    root_ = name;
    std::error_code error;
    fs::create_directory(live(), error);
    fs::create_directory(merged(), error);
  }
  ~Folders() {
    std::error_code error;
    if (!root_.empty()) fs::remove_all(root_, error);
  }
  Folders(const Folders&) = delete;
  Folders& operator=(const Folders&) = delete;

  bool made() const { return !root_.empty(); }
  fs::path live() const { return root_ / "LIVE"; }
  fs::path merged() const { return root_ / "MERGED"; }

 private:
  fs::path root_;
};

// What tells nothing about the file is left out; secrets are told apart, not shown.
Status Write(const fs::path& path, JsonValue object) {
  if (JsonValue* meta = object.Find("metadata")) meta->Erase("resourceVersion");
  GANTRY_ASSIGN(const std::string text, PrintObject("yaml", std::move(object)));
  std::ofstream file(path);
  file << text;
  return file ? Status::Ok() : LocalError("cannot write " + path.string());
}

// Values that are the same in both become the same.
void Mask(JsonValue* object, const JsonValue* other, const char* differs) {
  JsonValue* data = object->Find("data");
  const JsonValue* other_data = other == nullptr ? nullptr : other->Find("data");
  if (data == nullptr || !data->is_object()) return;
  for (auto& [name, value] : data->as_object()) {
    const JsonValue* same = other_data == nullptr ? nullptr : other_data->Find(name);
    value = same != nullptr && *same == value ? "***" : differs;
  }
}

Status Compare(Connection& connection, const Placed& placed, const JsonValue& wanted,
               const Folders& folders) {
  const std::string path = placed.resource.Path(placed.ns, placed.name);
  Result<JsonValue> live = connection.GetJson(path);
  if (!live.ok() && live.status().code() != Code::kNotFound) return live.status();
  GANTRY_ASSIGN(JsonValue merged,
                connection.Send("PATCH", path + "?fieldManager=gantry&force=true&dryRun=All",
                                wanted, "application/apply-patch+yaml"));
  if (placed.resource.kind == "Secret") {
    std::optional<JsonValue> before;
    if (live.ok()) {
      before = *live;
      Mask(&*live, &merged, "*** (before)");
    }
    Mask(&merged, before ? &*before : nullptr, "*** (after)");
  }
  const std::string name = placed.resource.GroupPlural() + "." + placed.ns + "." + placed.name;
  if (live.ok()) GANTRY_TRY(Write(folders.live() / name, std::move(*live)));
  return Write(folders.merged() / name, std::move(merged));
}

// The exit code of diff.
int RunProgram(const Folders& folders) {
  std::fflush(stdout);
  const char* const wanted = std::getenv("KUBECTL_EXTERNAL_DIFF");
  const std::string program = wanted == nullptr || *wanted == '\0' ? "diff" : wanted;
  const std::string live = folders.live().string(), merged = folders.merged().string();
  const pid_t child = ::fork();
  if (child == 0) {
    if (program == "diff")
      ::execlp("diff", "diff", "-u", "-N", live.c_str(), merged.c_str(), nullptr);
    else
      ::execlp(program.c_str(), program.c_str(), live.c_str(), merged.c_str(), nullptr);
    ::_exit(127);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return kFailed;
  return WEXITSTATUS(status);
}

}  // namespace

Result<int> RunDiff(Invocation call) {
  std::vector<std::string> files;
  bool recursive = false;
  FlagSet set(kHelp, &call.globals);
  set.Strings("filename", 'f', &files, "File, directory or - with the objects");
  set.Bool("recursive", 'R', &recursive, "Directories with all that is below them");
  GANTRY_TRY(set.Parse(call.args));
  if (files.empty()) return LocalError("must specify one of -f and -k");
  auto failed = [](const Status& status) {
    std::fprintf(stderr, "%s\n", status.message().c_str());
    return kFailed;
  };
  const Result<std::vector<Manifest>> manifests = ReadManifests(files, recursive);
  if (!manifests.ok()) return failed(manifests.status());
  const auto connection = Connection::Open(call.globals);
  if (!connection.ok()) return failed(connection.status());
  const Result<ResourceMap> map = ResourceMap::Load(**connection);
  if (!map.ok()) return failed(map.status());
  const Folders folders;
  if (!folders.made()) return failed(LocalError("cannot make a temporary directory"));
  for (const Manifest& manifest : *manifests) {
    Result<Placed> placed = PlaceManifest(*map, manifest, (*connection)->ns());
    if (!placed.ok()) return failed(placed.status());
    const Status compared = Compare(**connection, *placed, manifest.object, folders);
    if (!compared.ok()) return failed(compared);
  }
  const int code = RunProgram(folders);
  if (code == 127) return failed(LocalError("the program diff is not there: install diffutils"));
  return code;
}

}  // namespace gantry::cli

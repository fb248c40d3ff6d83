#include "node/images/images.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>

#include "api/json_value.h"
#include "base/env/blocking.h"
#include "node/images/reference.h"
#include "node/os/fs.h"
#include "node/os/process.h"

namespace gantry::node {
namespace {

using api::JsonValue;

// What mount(2) takes as options at most.
constexpr size_t kMaxMountData = 4000;
constexpr std::chrono::minutes kPullTimeout{30};

// A directory that goes away with its owner.
struct Scratch {
  std::string path;
  ~Scratch() {
    if (!path.empty()) (void)RemoveTree(path);
  }
};

std::string MergeAuths(const PullSecrets& secrets) {
  JsonValue merged = JsonValue::MakeObject();
  merged["auths"] = JsonValue::MakeObject();
  for (const std::string& secret : secrets) {
    Result<JsonValue> config = JsonValue::Parse(secret);
    if (!config.ok()) continue;
    const JsonValue* auths = config->Find("auths");
    if (auths == nullptr) auths = &*config;  // the older .dockercfg has no envelope
    if (!auths->is_object()) continue;
    for (const auto& [registry, entry] : auths->as_object()) {
      std::string host = registry;
      for (std::string_view scheme : {"https://", "http://"}) {
        if (host.starts_with(scheme)) host = host.substr(scheme.size());
      }
      if (host.ends_with("/v1/") || host.ends_with("/v2/")) host.resize(host.size() - 4);
      while (host.ends_with("/"))
        host.pop_back();
      if (host == "index.docker.io") host = "docker.io";
      merged["auths"][host] = entry;
    }
  }
  return merged.ToString();
}

bool IsLoopback(const std::string& domain) {
  std::string host = domain.substr(0, domain.rfind(':'));
  return domain.starts_with("localhost") || host.starts_with("127.") || domain.starts_with("[::1]");
}

// The last message of skopeo, without its log decoration.
std::string LastMessage(const std::string& err) {
  std::string text = err;
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  size_t line = text.rfind('\n');
  if (line != std::string::npos) text = text.substr(line + 1);
  size_t begin = text.find("msg=\"");
  if (begin == std::string::npos) return text;
  std::string out;
  for (size_t i = begin + 5; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out.push_back(text[i]);
  }
  return out;
}

}  // namespace

LocalImages::LocalImages(Env& env, const Paths& paths) : env_(env), paths_(paths), store_(paths_) {}
LocalImages::~LocalImages() = default;

ImagePtr LocalImages::Find(const std::string& name) { return store_.Find(name); }
std::vector<ImagePtr> LocalImages::List() { return store_.List(); }
Result<ImageConfig> LocalImages::Config(const Image& image) { return store_.Config(image); }

Task<Result<PulledImage>> LocalImages::Pull(std::string name, PullSecrets secrets) {
  SteadyTime begin = env_.Steady();
  Result<ImportedImage> imported =
      co_await PullImage(env_, paths_, store_, name, std::move(secrets));
  if (!imported.ok()) co_return imported.status();
  PulledImage pulled;
  pulled.image = store_.Find(imported->id);
  pulled.took = env_.Steady() - begin;
  if (!pulled.image) co_return InternalError("image " + name + " is gone");
  co_return pulled;
}

Status LocalImages::MountRoot(const Image& image, const std::string& bundle) {
  std::string root = bundle + "/rootfs";
  if (IsMountPoint(root)) return Status::Ok();
  for (const char* part : {"/rootfs", "/upper", "/work"})
    GANTRY_TRY(MakeDirs(bundle + part, 0755));
  if (image.layers.empty()) return Mount(bundle + "/upper", root, "", MS_BIND, "");
  // overlayfs takes the highest layer first. Where the names do not fit into one page, descriptors
  // stand for them.
  std::vector<UniqueFd> kept;
  auto options = [&](bool by_descriptor) {
    std::string data = "lowerdir=";
    for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
      if (it != image.layers.rbegin()) data += ":";
      std::string path = store_.LayerPath(*it);
      if (by_descriptor) {
        kept.emplace_back(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
        path = "/proc/self/fd/" + std::to_string(kept.back().get());
      }
      data += path;
    }
    return data + ",upperdir=" + bundle + "/upper,workdir=" + bundle + "/work";
  };
  std::string data = options(false);
  if (data.size() > kMaxMountData) data = options(true);
  return Mount("overlay", root, "overlay", 0, data);
}

Status LocalImages::UnmountRoot(const std::string& bundle) { return Unmount(bundle + "/rootfs"); }

Task<Result<ImportedImage>> PullImage(Env& env, const Paths& paths, ImageStore& store,
                                      std::string name, PullSecrets secrets) {
  GANTRY_CO_ASSIGN(ImageReference ref, ParseImageReference(name));
  GANTRY_CO_TRY(MakeDirs(paths.Images(), 0700));
  Scratch scratch;
  scratch.path = paths.Images() + "/.tmp-XXXXXX";
  if (mkdtemp(scratch.path.data()) == nullptr) {
    Status failed = FromErrno(errno, "mkdtemp in " + paths.Images());
    scratch.path.clear();
    co_return failed;
  }
  ProcessOptions options;
  options.argv = {"skopeo", "copy", "--quiet"};
  if (!Exists("/etc/containers/policy.json"))
    options.argv.insert(options.argv.begin() + 1, "--insecure-policy");
  if (!secrets.empty()) {
    GANTRY_CO_TRY(WriteFile(scratch.path + "/auth.json", MergeAuths(secrets), 0600));
    options.argv.insert(options.argv.end(), {"--src-authfile", scratch.path + "/auth.json"});
  }
  // A registry on this machine may speak plain HTTP, as with other runtimes.
  if (IsLoopback(ref.domain)) options.argv.emplace_back("--src-tls-verify=false");
  options.argv.emplace_back("docker://" + ref.ToString());
  options.argv.emplace_back("dir:" + scratch.path + "/image");
  Result<CommandResult> done =
      co_await RunCommand(env, std::move(options), std::string(), kPullTimeout);
  if (!done.ok()) {
    if (done.code() == Code::kNotFound) {
      co_return Status(Code::kNotFound,
                       "cannot pull images: skopeo is not installed: apt-get install skopeo");
    }
    co_return done.status();
  }
  if (done->timed_out) co_return Unavailable("pulling image " + name + " timed out");
  if (done->exit_code != 0)
    co_return Unavailable("failed to pull and unpack image \"" + ref.ToString() +
                          "\": " + LastMessage(done->err));
  std::string full_name = ref.ToString();
  auto import = [&store, directory = scratch.path + "/image", full_name] {
    return store.ImportDirectory(directory, full_name);
  };
  co_return co_await RunBlocking(env, std::move(import));
}

}  // namespace gantry::node

#include "node/images/images.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <cerrno>

#include "api/duration.h"
#include "base/env/blocking.h"
#include "base/env/spawn.h"
#include "node/images/pull_error.h"
#include "node/images/reference.h"
#include "node/images/scratch.h"
#include "node/os/fs.h"
#include "node/os/process.h"

namespace gantry::node {
namespace {

// What mount(2) takes as options at most.
constexpr size_t kMaxMountData = 4000;

bool IsLoopback(const std::string& domain) {
  std::string host = domain.substr(0, domain.rfind(':'));
  return domain.starts_with("localhost") || host.starts_with("127.") || domain.starts_with("[::1]");
}

// Registries on this machine may speak plain HTTP or have any certificate, as with other runtimes,
// unless somebody has said which certificate they have.
bool SkipsVerification(const ImageReference& image) {
  if (!IsLoopback(image.domain)) return false;
  for (const char* directory : {"/etc/containers/certs.d/", "/etc/docker/certs.d/"}) {
    if (Exists(directory + image.domain)) return false;
  }
  return true;
}

// One attempt to fetch an image.
struct Source {
  ImageReference image;
  std::string auth_file;  // empty: no credentials
  CancelToken cancel;
  PullLimits limits;
};

int64_t BytesIn(const std::string& directory) {
  int64_t bytes = 0;
  for (const std::string& name : ListDir(directory)) {
    struct stat st{};
    if (stat((directory + "/" + name).c_str(), &st) == 0) bytes += st.st_size;
  }
  return bytes;
}

// Ends a process whose directory does not grow any more.
struct StallWatch {
  CancelSource done, end;
  std::atomic<bool> stalled{false};
  Gate gate;
};

Task<> WatchProgress(Env& env, std::string directory, Duration limit, StallWatch& watch) {
  int64_t before = -1;
  while (co_await SleepFor(env, limit, watch.done.token()) == Wake::kTimeout) {
    int64_t now = BytesIn(directory);
    if (now == before) {
      watch.stalled = true;
      watch.end.Cancel();
      co_return;
    }
    before = now;
  }
}

// `output` is what skopeo wrote. Errors in the words of DescribePullError().
Task<Status> RunSkopeo(Env& env, const Source& source, std::vector<std::string> command,
                       std::vector<std::string> targets, std::string* output, bool* denied) {
  const bool copies = command.front() == "copy";
  ProcessOptions options;
  options.argv = {"skopeo"};
  if (!Exists("/etc/containers/policy.json")) options.argv.emplace_back("--insecure-policy");
  options.argv.insert(options.argv.end(), command.begin(), command.end());
  if (!source.auth_file.empty()) {
    options.argv.emplace_back(copies ? "--src-authfile" : "--authfile");
    options.argv.push_back(source.auth_file);
  }
  if (SkipsVerification(source.image))
    options.argv.emplace_back(copies ? "--src-tls-verify=false" : "--tls-verify=false");
  options.argv.push_back("docker://" + source.image.ToString());
  options.argv.insert(options.argv.end(), targets.begin(), targets.end());
  StallWatch watch;
  CancelToken::Registration given_up =
      source.cancel.OnCancel([end = watch.end]() mutable { end.Cancel(); });
  if (copies) {
    Executor executor = co_await boost::asio::this_coro::executor;
    std::string directory = targets.front().substr(targets.front().find(':') + 1);
    Spawn(executor, watch.gate, "pull progress",
          WatchProgress(env, std::move(directory), source.limits.stall, watch));
  }
  Result<CommandResult> done =
      co_await RunCommand(env, std::move(options), std::string(),
                          copies ? source.limits.whole : source.limits.ask, watch.end.token());
  watch.done.Cancel();
  co_await watch.gate.Close(env);
  *denied = false;
  if (!done.ok()) {
    if (done.code() == Code::kNotFound) {
      co_return Status(Code::kNotFound,
                       "cannot pull images: skopeo is not installed: apt-get install skopeo");
    }
    co_return done.status();
  }
  if (source.cancel.cancelled()) co_return Canceled("the pull was given up");
  if (watch.stalled) {
    co_return Unavailable("failed to pull and unpack image \"" + source.image.ToString() +
                          "\": no progress for " + api::FormatGoDuration(source.limits.stall));
  }
  if (done->timed_out) {
    co_return Unavailable("failed to pull and unpack image \"" + source.image.ToString() +
                          "\": the registry does not answer");
  }
  *output = std::move(done->out);
  if (done->exit_code == 0) co_return Status::Ok();
  *denied = IsDenied(done->err);
  co_return Unavailable(DescribePullError(source.image, done->err, !source.auth_file.empty()));
}

// The image that the store has under this name, when the registry has no other one. Null: fetch it.
Task<Result<ImagePtr>> FindUnchanged(Env& env, const Source& source, ImageStore& store,
                                     bool* denied) {
  ImagePtr present = store.Find(source.image.ToString());
  if (!present || present->repo_digests.empty()) co_return ImagePtr();
  std::string manifest;
  std::vector<std::string> command = {"inspect", "--raw"}, none;
  GANTRY_CO_TRY(
      co_await RunSkopeo(env, source, std::move(command), std::move(none), &manifest, denied));
  std::string digest = InstanceDigest(manifest).value_or(std::string());
  for (const std::string& known : present->repo_digests) {
    if (known == source.image.Name() + "@" + digest) co_return present;
  }
  co_return ImagePtr();
}

Task<Result<ImportedImage>> Fetch(Env& env, const Source& source, ImageStore& store,
                                  std::string directory, bool* denied) {
  GANTRY_CO_ASSIGN(ImagePtr present, co_await FindUnchanged(env, source, store, denied));
  std::string name = source.image.ToString();
  if (present) {
    ImportedImage image;
    image.id = present->id;
    image.names = {name};
    co_return image;
  }
  std::string ignored;
  std::vector<std::string> command = {"copy", "--quiet"}, target = {"dir:" + directory};
  GANTRY_CO_TRY(
      co_await RunSkopeo(env, source, std::move(command), std::move(target), &ignored, denied));
  auto import = [&store, directory, name] { return store.ImportDirectory(directory, name); };
  co_return co_await RunBlocking(env, std::move(import));
}

}  // namespace

LocalImages::LocalImages(Env& env, const Paths& paths, PullLimits limits)
    : env_(env), paths_(paths), limits_(limits), store_(paths_) {}
LocalImages::~LocalImages() = default;

ImagePtr LocalImages::Find(const std::string& name) { return store_.Find(name); }
std::vector<ImagePtr> LocalImages::List() { return store_.List(); }
Result<ImageConfig> LocalImages::Config(const Image& image) { return store_.Config(image); }

Task<Result<PulledImage>> LocalImages::Pull(std::string name, PullSecrets secrets,
                                            CancelToken cancel) {
  SteadyTime begin = env_.Steady();
  std::string key = name;
  for (const std::string& secret : secrets)
    key += '\0' + secret;
  std::shared_ptr<Flight> flight;
  bool lead = false;
  {
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Flight>& entry = flights_[key];
    // One that everybody has given up is about to end.
    lead = !entry || entry->wanted == 0;
    if (lead) entry = std::make_shared<Flight>();
    flight = entry;
    ++flight->wanted;
  }
  CancelToken::Registration given_up = cancel.OnCancel([this, flight] {
    bool last = false;
    {
      absl::MutexLock lock(&mutex_);
      last = --flight->wanted == 0;
    }
    if (last) flight->cancel.Cancel();
  });
  if (lead) {
    Result<PulledImage> outcome =
        co_await Fly(std::move(name), std::move(secrets), flight->cancel.token());
    absl::MutexLock lock(&mutex_);
    if (auto entry = flights_.find(key); entry != flights_.end() && entry->second == flight)
      flights_.erase(entry);
    flight->outcome = outcome;
    flight->ended.Notify();
    co_return outcome;
  }
  while (true) {
    std::optional<Result<PulledImage>> outcome;
    {
      absl::MutexLock lock(&mutex_);
      outcome = flight->outcome;
    }
    if (outcome) {
      if (outcome->ok()) (*outcome)->waited = env_.Steady() - begin;
      flight->ended.Notify();  // one that came to wait just now
      co_return *outcome;
    }
    if (co_await flight->ended.Wait(env_, cancel) == Wake::kCanceled)
      co_return Canceled("the pull was given up");
  }
}

Task<Result<PulledImage>> LocalImages::Fly(std::string name, PullSecrets secrets,
                                           CancelToken cancel) {
  SteadyTime asked = env_.Steady();
  if (!co_await TakeTurn(cancel)) co_return Canceled("the pull was given up");
  SteadyTime begin = env_.Steady();
  Result<ImportedImage> imported =
      co_await PullImage(env_, paths_, store_, name, std::move(secrets), cancel, limits_);
  EndTurn();
  if (!imported.ok()) co_return imported.status();
  PulledImage pulled;
  pulled.image = store_.Find(imported->id);
  pulled.took = env_.Steady() - begin;
  pulled.waited = env_.Steady() - asked;
  if (!pulled.image) co_return InternalError("image " + name + " is gone");
  co_return pulled;
}

Task<bool> LocalImages::TakeTurn(CancelToken cancel) {
  std::shared_ptr<Turn> turn = std::make_shared<Turn>();
  {
    absl::MutexLock lock(&mutex_);
    if (free_turns_ > 0) {
      --free_turns_;
      co_return true;
    }
    queue_.push_back(turn);
  }
  while (true) {
    Wake woken = co_await turn->come.Wait(env_, cancel);
    absl::MutexLock lock(&mutex_);
    if (turn->mine) co_return true;
    if (woken == Wake::kCanceled) {
      std::erase(queue_, turn);
      co_return false;
    }
  }
}

void LocalImages::EndTurn() {
  absl::MutexLock lock(&mutex_);
  if (queue_.empty()) {
    ++free_turns_;
    return;
  }
  queue_.front()->mine = true;
  queue_.front()->come.Notify();
  queue_.pop_front();
}

// The lowest layer of all containers. The runtime would make all this anew in the writable layer of
// each, and the removal of files is dear. What the image has in these places hides it.
Result<std::string> LocalImages::MountPoints(bool service_account) {
  std::string layer = paths_.Images() + (service_account ? "/mount-points-token" : "/mount-points");
  std::atomic<bool>& made = mount_points_made_[service_account ? 1 : 0];
  if (made) return layer;
  for (const char* path : {"/dev", "/etc", "/proc", "/sys"})
    GANTRY_TRY(MakeDirs(layer + path, 0755));
  for (const char* path : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})
    GANTRY_TRY(WriteFile(layer + path, "", 0644));
  if (service_account) GANTRY_TRY(MakeDirs(layer + std::string(kServiceAccountDirectory), 0755));
  made = true;
  return layer;
}

Status LocalImages::MountRoot(const Image& image, const std::string& home, bool service_account) {
  std::string root = home + "/rootfs";
  if (IsMountPoint(root)) return Status::Ok();
  for (const char* part : {"/rootfs", "/upper", "/work"})
    GANTRY_TRY(MakeDirs(home + part, 0755));
  GANTRY_TRY(store_.NoteUse(image, home));
  if (image.layers.empty()) return Mount(home + "/upper", root, "", MS_BIND, "");
  GANTRY_ASSIGN(const std::string mount_points, MountPoints(service_account));
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
    data += ":" + mount_points;
    return data + ",upperdir=" + home + "/upper,workdir=" + home + "/work";
  };
  std::string data = options(false);
  if (data.size() > kMaxMountData) data = options(true);
  return Mount("overlay", root, "overlay", 0, data);
}

Status LocalImages::UnmountRoot(const std::string& home) { return Unmount(home + "/rootfs"); }

Task<Result<ImportedImage>> PullImage(Env& env, const Paths& paths, ImageStore& store,
                                      std::string name, PullSecrets secrets, CancelToken cancel,
                                      PullLimits limits) {
  Source source;
  source.limits = limits;
  GANTRY_CO_ASSIGN(source.image, ParseImageReference(name));
  source.cancel = cancel;
  GANTRY_CO_ASSIGN(ScratchDir scratch, ScratchDir::Make(paths.Images()));
  std::vector<std::string> auths = AuthFilesFor(secrets, source.image);
  const std::string auth_path = scratch.path() + "/auth.json";
  size_t attempt = 0;
  while (true) {
    if (attempt < auths.size()) {
      GANTRY_CO_TRY(WriteFile(auth_path, auths[attempt], 0600));
      source.auth_file = auth_path;
    }
    bool denied = false;
    std::string directory = scratch.path() + "/image";
    Result<ImportedImage> fetched =
        co_await Fetch(env, source, store, std::move(directory), &denied);
    if (!denied || ++attempt >= auths.size()) co_return fetched;
  }
}

}  // namespace gantry::node

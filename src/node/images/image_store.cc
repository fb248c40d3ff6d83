#include "node/images/image_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "api/json_value.h"
#include "base/log.h"
#include "node/images/digest.h"
#include "node/images/layer.h"
#include "node/images/reference.h"
#include "node/images/scratch.h"
#include "node/os/fs.h"

namespace gantry::node {
namespace {

using api::JsonValue;

// Layer directories are named by half of their chain id: overlayfs takes all names of an image in
// one page.
constexpr size_t kLayerName = 32;

class FileLock {
 public:
  static Result<FileLock> Take(const std::string& path) {
    FileLock lock;
    lock.fd_.reset(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock.fd_) return FromErrno(errno, "open " + path);
    while (flock(lock.fd_.get(), LOCK_EX) != 0) {
      if (errno != EINTR) return FromErrno(errno, "lock " + path);
    }
    return lock;
  }

 private:
  UniqueFd fd_;
};

std::vector<std::string> Strings(const JsonValue* value) {
  std::vector<std::string> out;
  if (value == nullptr || !value->is_array()) return out;
  for (const JsonValue& item : value->as_array()) {
    if (item.is_string()) out.push_back(item.as_string());
  }
  return out;
}

std::string String(const JsonValue* value) {
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

JsonValue ToJson(const std::vector<std::string>& strings) {
  JsonValue::Array array;
  for (const std::string& s : strings)
    array.emplace_back(s);
  return JsonValue(std::move(array));
}

Result<JsonValue> ReadJsonFile(const std::string& path) {
  GANTRY_ASSIGN(std::string text, ReadFile(path));
  Result<JsonValue> value = JsonValue::Parse(text);
  if (!value.ok()) return value.status().WithContext(path);
  return value;
}

// A file that an archive's own metadata names: links inside the archive are allowed, leaving it is
// not.
Result<std::string> InnerFile(const std::string& directory, const std::string& name) {
  std::string path = directory + "/" + name;
  std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), free);
  std::unique_ptr<char, decltype(&free)> root(realpath(directory.c_str(), nullptr), free);
  if (!real || !root) return Status(Code::kInvalid, "the archive lacks " + name);
  if (!std::string_view(real.get()).starts_with(std::string(root.get()) + "/")) {
    return Status(Code::kInvalid, "the archive names a file outside of it: " + name);
  }
  return std::string(real.get());
}

Result<std::string> BlobPath(const std::string& directory, const std::string& digest) {
  if (!digest.starts_with("sha256:") || digest.size() != 71 ||
      digest.find_first_not_of("0123456789abcdef", 7) != std::string::npos) {
    return Status(Code::kInvalid, "unsupported digest \"" + digest + "\"");
  }
  return InnerFile(directory, "blobs/sha256/" + digest.substr(7));
}

Result<std::string> ReadBlob(const std::string& directory, const std::string& digest) {
  GANTRY_ASSIGN(std::string path, BlobPath(directory, digest));
  GANTRY_ASSIGN(std::string bytes, ReadFile(path));
  if ("sha256:" + Sha256Hex(bytes) != digest) {
    return DataLoss("blob " + digest + " does not match its digest");
  }
  return bytes;
}

std::string_view MachineArchitecture() {
#if defined(__aarch64__)
  return "arm64";
#else
  return "amd64";
#endif
}

bool IsIndex(std::string_view media_type) {
  return media_type == "application/vnd.oci.image.index.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

// The descriptor for this machine among those of an index.
const JsonValue* ForThisMachine(const JsonValue& index) {
  const JsonValue* manifests = index.Find("manifests");
  if (manifests == nullptr || !manifests->is_array() || manifests->as_array().empty())
    return nullptr;
  for (const JsonValue& entry : manifests->as_array()) {
    const JsonValue* platform = entry.Find("platform");
    if (platform == nullptr) continue;
    if (String(platform->Find("os")) == "linux" &&
        String(platform->Find("architecture")) == MachineArchitecture()) {
      return &entry;
    }
  }
  return manifests->as_array().size() == 1 ? &manifests->as_array()[0] : nullptr;
}

void AddUnique(std::vector<std::string>* list, const std::vector<std::string>& more) {
  for (const std::string& item : more) {
    if (std::find(list->begin(), list->end(), item) == list->end()) list->push_back(item);
  }
}

}  // namespace

Result<std::string> InstanceDigest(std::string_view text) {
  GANTRY_ASSIGN(JsonValue manifest, JsonValue::Parse(text));
  if (manifest.Find("manifests") == nullptr) return "sha256:" + Sha256Hex(text);
  const JsonValue* mine = ForThisMachine(manifest);
  if (mine == nullptr) return Status(Code::kInvalid, "no image for this machine's architecture");
  return String(mine->Find("digest"));
}

Result<ImageConfig> ParseImageConfig(std::string_view json) {
  GANTRY_ASSIGN(JsonValue root, JsonValue::Parse(json));
  ImageConfig config;
  const JsonValue* c = root.Find("config");
  if (c == nullptr) return config;
  config.entrypoint = Strings(c->Find("Entrypoint"));
  config.cmd = Strings(c->Find("Cmd"));
  config.env = Strings(c->Find("Env"));
  config.working_dir = String(c->Find("WorkingDir"));
  config.user = String(c->Find("User"));
  config.stop_signal = String(c->Find("StopSignal"));
  if (const JsonValue* volumes = c->Find("Volumes"); volumes != nullptr && volumes->is_object()) {
    for (const JsonValue::Member& volume : volumes->as_object())
      config.volumes.push_back(volume.first);
  }
  return config;
}

ImageStore::ImageStore(const Paths& paths)
    : images_(paths.Images()), layers_(paths.Layers()), pods_(paths.Pods()) {}

std::shared_ptr<const ImageStore::Index> ImageStore::Load() const {
  Result<std::shared_ptr<const Index>> index = Read();
  if (index.ok()) return *index;
  log::Error("node", "image index is not readable", {{"error", index.status().ToString()}});
  return std::make_shared<Index>();
}

Result<std::shared_ptr<const ImageStore::Index>> ImageStore::Read() const {
  absl::MutexLock lock(&mutex_);
  std::string path = images_ + "/index.json";
  struct stat st{};
  if (stat(path.c_str(), &st) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::make_shared<const Index>();
    return FromErrno(errno, "open " + path);
  }
  int64_t mtime = int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec;
  if (cached_ && cached_inode_ == st.st_ino && cached_mtime_ == mtime) return cached_;
  auto index = std::make_shared<Index>();
  GANTRY_ASSIGN(JsonValue root, ReadJsonFile(path));
  if (const JsonValue* images = root.Find("images"); images != nullptr && images->is_array()) {
    for (const JsonValue& entry : images->as_array()) {
      auto image = std::make_shared<Image>();
      image->id = String(entry.Find("id"));
      image->repo_tags = Strings(entry.Find("repoTags"));
      image->repo_digests = Strings(entry.Find("repoDigests"));
      image->layers = Strings(entry.Find("layers"));
      if (const JsonValue* size = entry.Find("size"); size != nullptr && size->is_int())
        image->size = size->as_int();
      (*index)[image->id] = image;
    }
  }
  cached_ = index;
  cached_inode_ = st.st_ino;
  cached_mtime_ = mtime;
  return std::shared_ptr<const Index>(std::move(index));
}

Status ImageStore::Save(const Index& index) {
  JsonValue::Array images;
  for (const auto& [id, image] : index) {
    JsonValue entry = JsonValue::MakeObject();
    entry["id"] = id;
    entry["repoTags"] = ToJson(image->repo_tags);
    entry["repoDigests"] = ToJson(image->repo_digests);
    entry["layers"] = ToJson(image->layers);
    entry["size"] = image->size;
    images.push_back(std::move(entry));
  }
  JsonValue root = JsonValue::MakeObject();
  root["version"] = 1;
  root["images"] = JsonValue(std::move(images));
  return WriteFileAtomic(images_ + "/index.json", root.ToString(), 0600, true);
}

Result<std::vector<ImportedImage>> ImageStore::Import(const std::string& archive) {
  GANTRY_TRY(MakeDirs(images_, 0700));
  struct stat st{};
  if (stat(archive.c_str(), &st) != 0 || access(archive.c_str(), R_OK) != 0)
    return FromErrno(errno, "open " + archive);
  GANTRY_ASSIGN(ScratchDir unpacked, ScratchDir::Make(images_));
  std::string directory = archive;
  if (!S_ISDIR(st.st_mode)) {
    GANTRY_TRY(UnpackArchive(archive, unpacked.path()));
    directory = unpacked.path();
  }
  GANTRY_ASSIGN(FileLock lock, FileLock::Take(images_ + "/.lock"));
  Result<std::vector<NewImage>> images =
      Status(Code::kInvalid, archive + " is neither a docker-archive nor an OCI image layout");
  if (Exists(directory + "/manifest.json")) {
    images = TakeDockerArchive(directory);
  } else if (Exists(directory + "/index.json")) {
    images = TakeOciLayout(directory);
  }
  return Commit(std::move(images));
}

Result<std::vector<ImageStore::NewImage>> ImageStore::TakeDockerArchive(
    const std::string& directory) {
  GANTRY_ASSIGN(JsonValue manifest, ReadJsonFile(directory + "/manifest.json"));
  if (!manifest.is_array()) return Status(Code::kInvalid, "manifest.json is not a list");
  std::vector<NewImage> images;
  for (const JsonValue& entry : manifest.as_array()) {
    GANTRY_ASSIGN(std::string config_path, InnerFile(directory, String(entry.Find("Config"))));
    GANTRY_ASSIGN(std::string config, ReadFile(config_path));
    std::vector<std::string> files, names;
    for (const std::string& layer : Strings(entry.Find("Layers"))) {
      GANTRY_ASSIGN(std::string file, InnerFile(directory, layer));
      files.push_back(std::move(file));
    }
    for (const std::string& tag : Strings(entry.Find("RepoTags"))) {
      GANTRY_ASSIGN(ImageReference ref, ParseImageReference(tag));
      names.push_back(ref.ToString());
    }
    GANTRY_ASSIGN(NewImage image, Take(config, files, std::move(names), {}));
    images.push_back(std::move(image));
  }
  return images;
}

Result<std::vector<ImageStore::NewImage>> ImageStore::TakeOciLayout(const std::string& directory) {
  GANTRY_ASSIGN(JsonValue index, ReadJsonFile(directory + "/index.json"));
  const JsonValue* manifests = index.Find("manifests");
  if (manifests == nullptr || !manifests->is_array()) {
    return Status(Code::kInvalid, "index.json lists no manifests");
  }
  std::vector<NewImage> images;
  for (const JsonValue& descriptor : manifests->as_array()) {
    std::string digest = String(descriptor.Find("digest"));
    std::string media_type = String(descriptor.Find("mediaType"));
    GANTRY_ASSIGN(std::string text, ReadBlob(directory, digest));
    GANTRY_ASSIGN(JsonValue manifest, JsonValue::Parse(text));
    std::string name;
    if (const JsonValue* annotations = descriptor.Find("annotations")) {
      name = String(annotations->Find("io.containerd.image.name"));
      if (name.empty()) name = String(annotations->Find("org.opencontainers.image.ref.name"));
    }
    if (IsIndex(media_type) || manifest.Find("manifests") != nullptr) {
      const JsonValue* mine = ForThisMachine(manifest);
      if (mine == nullptr)
        return Status(Code::kInvalid, "no image for this machine's architecture");
      GANTRY_ASSIGN(text, ReadBlob(directory, String(mine->Find("digest"))));
      GANTRY_ASSIGN(manifest, JsonValue::Parse(text));
    }
    const JsonValue* config_descriptor = manifest.Find("config");
    const JsonValue* layers = manifest.Find("layers");
    if (config_descriptor == nullptr || layers == nullptr || !layers->is_array()) {
      return Status(Code::kInvalid, "manifest " + digest + " has no config or layers");
    }
    GANTRY_ASSIGN(std::string config,
                  ReadBlob(directory, String(config_descriptor->Find("digest"))));
    std::vector<std::string> files, names, digests;
    for (const JsonValue& layer : layers->as_array()) {
      GANTRY_ASSIGN(std::string file, BlobPath(directory, String(layer.Find("digest"))));
      files.push_back(std::move(file));
    }
    if (!name.empty()) {
      GANTRY_ASSIGN(ImageReference ref, ParseImageReference(name));
      if (ref.digest.empty()) names.push_back(ref.ToString());
      digests.push_back(ref.Name() + "@" + digest);
    }
    GANTRY_ASSIGN(NewImage image, Take(config, files, std::move(names), std::move(digests)));
    images.push_back(std::move(image));
  }
  return images;
}

Result<ImportedImage> ImageStore::ImportDirectory(const std::string& directory,
                                                  const std::string& name) {
  GANTRY_TRY(MakeDirs(images_, 0700));
  GANTRY_ASSIGN(FileLock lock, FileLock::Take(images_ + "/.lock"));
  GANTRY_ASSIGN(ImageReference ref, ParseImageReference(name));
  GANTRY_ASSIGN(std::string text, ReadFile(directory + "/manifest.json"));
  GANTRY_ASSIGN(JsonValue manifest, JsonValue::Parse(text));
  const JsonValue* config_descriptor = manifest.Find("config");
  const JsonValue* layers = manifest.Find("layers");
  if (config_descriptor == nullptr || layers == nullptr || !layers->is_array()) {
    return Status(Code::kInvalid, "unsupported image manifest of " + name);
  }
  auto blob = [&](const JsonValue& descriptor) {
    std::string digest = String(descriptor.Find("digest"));
    return InnerFile(directory, digest.substr(digest.find(':') + 1));
  };
  GANTRY_ASSIGN(std::string config_path, blob(*config_descriptor));
  GANTRY_ASSIGN(std::string config, ReadFile(config_path));
  std::vector<std::string> files, names, digests;
  for (const JsonValue& layer : layers->as_array()) {
    GANTRY_ASSIGN(std::string file, blob(layer));
    files.push_back(std::move(file));
  }
  digests.push_back(ref.Name() + "@sha256:" + Sha256Hex(text));
  if (ref.digest.empty()) {
    names.push_back(ref.ToString());
  } else {
    AddUnique(&digests, {ref.ToString()});
  }
  Result<std::vector<NewImage>> images = std::vector<NewImage>();
  Result<NewImage> image = Take(config, files, std::move(names), std::move(digests));
  if (image.ok()) {
    images->push_back(std::move(*image));
  } else {
    images = image.status();
  }
  GANTRY_ASSIGN(std::vector<ImportedImage> imported, Commit(std::move(images)));
  return imported.front();
}

Result<ImageStore::NewImage> ImageStore::Take(const std::string& config,
                                              const std::vector<std::string>& layer_files,
                                              std::vector<std::string> names,
                                              std::vector<std::string> digests) {
  GANTRY_ASSIGN(JsonValue parsed, JsonValue::Parse(config));
  const JsonValue* rootfs = parsed.Find("rootfs");
  std::vector<std::string> diff_ids =
      Strings(rootfs != nullptr ? rootfs->Find("diff_ids") : nullptr);
  if (diff_ids.size() != layer_files.size()) {
    return Status(Code::kInvalid, "the image configuration names " +
                                      std::to_string(diff_ids.size()) + " layers, the manifest " +
                                      std::to_string(layer_files.size()));
  }
  if (std::string os = String(parsed.Find("os")); !os.empty() && os != "linux") {
    return Status(Code::kInvalid, "the image is for " + os + ", not for linux");
  }
  std::string hex = Sha256Hex(config);
  auto image = std::make_shared<Image>();
  image->id = "sha256:" + hex;
  image->size = static_cast<int64_t>(config.size());
  GANTRY_TRY(MakeDirs(layers_, 0711));
  GANTRY_TRY(MakeDirs(images_ + "/configs", 0700));
  std::string chain;
  for (size_t i = 0; i < layer_files.size(); ++i) {
    chain = i == 0 ? diff_ids[0] : "sha256:" + Sha256Hex(chain + " " + diff_ids[i]);
    std::string layer = chain.substr(chain.find(':') + 1).substr(0, kLayerName);
    struct stat st{};
    if (stat(layer_files[i].c_str(), &st) == 0) image->size += st.st_size;
    if (!Exists(LayerPath(layer))) {
      GANTRY_ASSIGN(ScratchDir unpacked, ScratchDir::Make(layers_));
      if (chmod(unpacked.path().c_str(), 0755) != 0)
        return FromErrno(errno, "chmod " + unpacked.path());
      GANTRY_ASSIGN(UnpackedLayer done, UnpackLayer(layer_files[i], unpacked.path()));
      if ("sha256:" + done.diff_id != diff_ids[i]) {
        return DataLoss("layer " + diff_ids[i] +
                        " does not match its digest (it is sha256:" + done.diff_id + ")");
      }
      if (UniqueFd fd(open(unpacked.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); fd)
        syncfs(fd.get());
      if (rename(unpacked.path().c_str(), LayerPath(layer).c_str()) != 0) {
        return FromErrno(errno, "rename " + unpacked.path());
      }
      unpacked.Keep();
    }
    image->layers.push_back(std::move(layer));
  }
  GANTRY_TRY(WriteFileAtomic(images_ + "/configs/" + hex, config, 0600, true));

  NewImage taken;
  taken.image = std::move(image);
  taken.names = std::move(names);
  taken.digests = std::move(digests);
  return taken;
}

Result<std::vector<ImportedImage>> ImageStore::Commit(Result<std::vector<NewImage>> images) {
  GANTRY_ASSIGN(std::shared_ptr<const Index> before, Read());
  if (!images.ok()) {
    (void)DropUnusedLayers(*before);
    return images.status();
  }
  Index index = *before;
  std::vector<ImportedImage> imported;
  for (const NewImage& added : *images) {
    const std::vector<std::string>& names = added.names;
    // A name belongs to one image: it leaves the one that had it.
    for (auto& [id, other] : index) {
      auto changed = std::make_shared<Image>(*other);
      std::erase_if(changed->repo_tags, [&](const std::string& tag) {
        return std::find(names.begin(), names.end(), tag) != names.end();
      });
      other = changed;
    }
    auto image = std::make_shared<Image>(*added.image);
    if (auto had = index.find(image->id); had != index.end()) {
      image->repo_tags = had->second->repo_tags;
      image->repo_digests = had->second->repo_digests;
      image->size = had->second->size;
    }
    AddUnique(&image->repo_tags, names);
    AddUnique(&image->repo_digests, added.digests);
    index[image->id] = image;
    imported.push_back({image->id, names.empty() ? added.digests : names});
  }
  GANTRY_TRY(Save(index));
  return imported;
}

ImagePtr ImageStore::Find(const std::string& name) const {
  std::shared_ptr<const Index> index = Load();
  if (auto it = index->find(name); it != index->end()) return it->second;
  std::string by_tag = name;
  // "name:tag@digest" and "name@digest" are both known by their digest.
  if (size_t at = name.find('@'); at != std::string::npos) {
    std::string base = name.substr(0, at);
    if (size_t colon = base.rfind(':');
        colon != std::string::npos && base.find('/', colon) == std::string::npos) {
      base = base.substr(0, colon);
    }
    by_tag = base + name.substr(at);
  }
  for (const auto& [id, image] : *index) {
    for (const std::string& tag : image->repo_tags) {
      if (tag == by_tag) return image;
    }
    for (const std::string& digest : image->repo_digests) {
      if (digest == by_tag) return image;
    }
  }
  return nullptr;
}

ImagePtr ImageStore::FindAny(const std::string& name) const {
  if (ImagePtr exact = Find(name)) return exact;
  Result<ImageReference> ref = ParseImageReference(name);
  return ref.ok() ? Find(ref->ToString()) : nullptr;
}

std::vector<ImagePtr> ImageStore::List() const {
  std::vector<ImagePtr> images;
  const std::shared_ptr<const Index> index = Load();
  for (const auto& [id, image] : *index)
    images.push_back(image);
  return images;
}

Result<ImageConfig> ImageStore::Config(const Image& image) const {
  GANTRY_ASSIGN(std::string text,
                ReadFile(images_ + "/configs/" + image.id.substr(image.id.find(':') + 1)));
  return ParseImageConfig(text);
}

Status ImageStore::Remove(const std::string& given) {
  GANTRY_TRY(MakeDirs(images_, 0700));
  GANTRY_ASSIGN(FileLock lock, FileLock::Take(images_ + "/.lock"));
  GANTRY_ASSIGN(std::shared_ptr<const Index> before, Read());
  ImagePtr image = FindAny(given);
  std::string name = given;
  if (!image) {
    image = FindByShortId(given);
    if (image) name = image->id;
  } else if (Result<ImageReference> ref = ParseImageReference(given);
             given != image->id && ref.ok()) {
    name = ref->ToString();
  }
  if (!image) return Status(Code::kNotFound, "image \"" + given + "\" not found");
  Index index = *before;
  auto changed = std::make_shared<Image>(*image);
  std::erase(changed->repo_tags, name);
  std::erase(changed->repo_digests, name);
  bool named = !changed->repo_tags.empty() ||
               (name.find('@') != std::string::npos && !changed->repo_digests.empty());
  if (name == image->id || !named) {
    index.erase(image->id);
    GANTRY_TRY(Save(index));
    (void)RemoveTree(images_ + "/configs/" + image->id.substr(7));
    return DropUnusedLayers(index);
  }
  index[image->id] = changed;
  return Save(index);
}

ImagePtr ImageStore::FindByShortId(const std::string& text) const {
  constexpr size_t kShortest = 6;
  std::string prefix = text.starts_with("sha256:") ? text.substr(7) : text;
  if (prefix.size() < kShortest) return nullptr;
  ImagePtr found;
  for (ImagePtr& image : List()) {
    if (!image->id.starts_with("sha256:" + prefix)) continue;
    if (found) return nullptr;  // it could be either
    found = std::move(image);
  }
  return found;
}

Status ImageStore::RemoveImage(const std::string& id) { return Remove(id); }

Status ImageStore::RemoveUnused(const std::set<std::string>& used, WallTime youngest,
                                const std::function<bool()>& enough) {
  std::set<std::string> kept;
  for (const std::string& name : used) {
    if (ImagePtr image = FindAny(name)) kept.insert(image->id);
  }
  std::multimap<WallTime, std::string> by_age;
  for (const ImagePtr& image : List()) {
    struct stat st{};
    // Written anew by each import.
    std::string config = images_ + "/configs/" + image->id.substr(image->id.find(':') + 1);
    if (kept.contains(image->id) || stat(config.c_str(), &st) != 0) continue;
    WallTime came(std::chrono::seconds(st.st_mtim.tv_sec) +
                  std::chrono::nanoseconds(st.st_mtim.tv_nsec));
    if (came < youngest) by_age.emplace(came, image->id);
  }
  for (const auto& [came, id] : by_age) {
    if (enough()) break;
    GANTRY_TRY(RemoveImage(id));
  }
  return Status::Ok();
}

Status ImageStore::DropUnusedLayers(const Index& index) {
  std::set<std::string> used = LayersOfContainers();
  for (const auto& [id, image] : index)
    used.insert(image->layers.begin(), image->layers.end());
  Status status;
  for (const std::string& layer : ListDir(layers_)) {
    if (used.contains(layer)) continue;
    if (Status s = RemoveTree(LayerPath(layer)); !s.ok()) status = s;
  }
  return status;
}

Status ImageStore::Sweep() {
  ScratchDir::Sweep(images_);
  if (!Exists(layers_)) return Status::Ok();
  GANTRY_ASSIGN(FileLock lock, FileLock::Take(images_ + "/.lock"));
  GANTRY_ASSIGN(std::shared_ptr<const Index> index, Read());
  return DropUnusedLayers(*index);
}

Status ImageStore::NoteUse(const Image& image, const std::string& home) {
  std::string list;
  for (const std::string& layer : image.layers)
    list += layer + "\n";
  return WriteFile(home + "/layers", list, 0600);
}

std::set<std::string> ImageStore::LayersOfContainers() const {
  std::set<std::string> used;
  for (const std::string& pod : ListDir(pods_)) {
    std::string containers = pods_ + "/" + pod + "/containers";
    for (const std::string& container : ListDir(containers)) {
      for (const std::string& run : ListDir(containers + "/" + container)) {
        std::string path = containers;
        path.append("/").append(container).append("/").append(run).append("/layers");
        std::string list = ReadFile(path).value_or("");
        for (size_t at = 0, end; (end = list.find('\n', at)) != std::string::npos; at = end + 1)
          used.insert(list.substr(at, end - at));
      }
    }
  }
  return used;
}

}  // namespace gantry::node

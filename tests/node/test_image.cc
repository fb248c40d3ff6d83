#include "test_image.h"

#include <archive.h>
#include <archive_entry.h>

#include <cstdlib>

#include "api/json_value.h"
#include "node/images/digest.h"
#include "node/os/fs.h"

namespace gantry::node::testing {
namespace {

la_ssize_t Append(struct archive*, void* to, const void* bytes, size_t size) {
  static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

std::string Tar(const std::vector<LayerEntry>& entries, bool compressed) {
  std::string out;
  struct archive* tar = archive_write_new();
  archive_write_set_format_pax_restricted(tar);
  if (compressed) archive_write_add_filter_gzip(tar);
  archive_write_set_bytes_per_block(tar, 0);
  archive_write_open(tar, &out, nullptr, Append, nullptr);
  for (const LayerEntry& e : entries) {
    struct archive_entry* entry = archive_entry_new();
    archive_entry_set_pathname(entry, e.path.c_str());
    archive_entry_set_uid(entry, e.uid);
    archive_entry_set_gid(entry, e.gid);
    archive_entry_set_perm(entry, static_cast<__LA_MODE_T>(e.mode));
    archive_entry_set_mtime(entry, 1700000000, 0);
    archive_entry_set_size(entry, 0);
    if (e.kind == 'f') {
      archive_entry_set_filetype(entry, AE_IFREG);
      archive_entry_set_size(entry, static_cast<la_int64_t>(e.text.size()));
    }
    if (e.kind == 'd') archive_entry_set_filetype(entry, AE_IFDIR);
    if (e.kind == 'c') archive_entry_set_filetype(entry, AE_IFCHR);
    if (e.kind == 'l') {
      archive_entry_set_filetype(entry, AE_IFLNK);
      archive_entry_set_symlink(entry, e.text.c_str());
    }
    if (e.kind == 'h') archive_entry_set_hardlink(entry, e.text.c_str());
    archive_write_header(tar, entry);
    if (e.kind == 'f') archive_write_data(tar, e.text.data(), e.text.size());
    archive_entry_free(entry);
  }
  archive_write_close(tar);
  archive_write_free(tar);
  return out;
}

std::string Config(const TestImage& image) {
  std::string diff_ids;
  for (const auto& layer : image.layers)
    diff_ids +=
        (diff_ids.empty() ? "\"sha256:" : ",\"sha256:") + Sha256Hex(Tar(layer, false)) + "\"";
  return R"({"architecture":"amd64","os":"linux","config":)" + image.config +
         R"(,"rootfs":{"type":"layers","diff_ids":[)" + diff_ids + "]}}";
}

LayerEntry File(std::string path, std::string text) {
  LayerEntry entry;
  entry.path = std::move(path);
  entry.text = std::move(text);
  return entry;
}

}  // namespace

std::string LayerTar(const std::vector<LayerEntry>& entries) { return Tar(entries, false); }

TestImage Busybox() {
  TestImage image;
  std::vector<LayerEntry> layer;
  for (const char* path : {"bin", "etc", "root", "proc", "dev", "sys", "www"})
    layer.push_back({'d', path, "", 0755});
  layer.push_back({'d', "tmp", "", 01777});
  layer.push_back({'f', "bin/busybox", ReadFile("/bin/busybox").value_or(""), 0755});
  for (const char* name : {"sh",    "cat",  "echo",     "sleep", "id",   "env",   "ls",    "stat",
                           "httpd", "wget", "hostname", "grep",  "true", "false", "mkdir", "touch",
                           "chmod", "test", "kill",     "ps",    "dd",   "mount", "tty",   "stty",
                           "date",  "nc",   "trap",     "head",  "tail", "wc",    "pwd",   "cut"}) {
    layer.push_back({'l', std::string("bin/") + name, "busybox", 0777});
  }
  layer.push_back(
      File("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1001:1002::/home/web:/bin/sh\n"));
  layer.push_back(File("etc/group", "root:x:0:\nweb:x:1002:\nextra:x:1003:web\n"));
  image.layers.push_back(std::move(layer));
  image.config = R"({"Env":["PATH=/bin","FROM_IMAGE=yes"],"Cmd":["sh"]})";
  return image;
}

std::string WriteDockerArchive(const std::string& directory, const TestImage& image) {
  std::vector<LayerEntry> files;
  files.push_back(File("config.json", Config(image)));
  std::string layers;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    std::string name = "layer" + std::to_string(i) + "/layer.tar";
    files.push_back(File(name, Tar(image.layers[i], false)));
    layers += (layers.empty() ? "\"" : ",\"") + name + "\"";
  }
  files.push_back(File("manifest.json", R"([{"Config":"config.json","RepoTags":[")" + image.name +
                                            R"("],"Layers":[)" + layers + "]}]"));
  std::string path = directory + "/docker.tar";
  (void)WriteFile(path, Tar(files, false));
  return path;
}

std::string WriteOciArchive(const std::string& directory, const TestImage& image) {
  std::vector<LayerEntry> files;
  auto blob = [&files](const std::string& bytes) {
    std::string digest = Sha256Hex(bytes);
    files.push_back(File("blobs/sha256/" + digest, bytes));
    return R"("digest":"sha256:)" + digest + R"(","size":)" + std::to_string(bytes.size());
  };
  files.push_back(File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  std::string layers;
  for (const auto& layer : image.layers) {
    layers += (layers.empty() ? "" : ",") +
              std::string(R"({"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip",)") +
              blob(Tar(layer, true)) + "}";
  }
  std::string config = blob(Config(image));
  std::string manifest =
      R"({"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",)" +
      config + R"(},"layers":[)" + layers + "]}";
  std::string index =
      R"({"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json",)" +
      blob(manifest) + R"(,"annotations":{"org.opencontainers.image.ref.name":")" + image.name +
      R"("}}]})";
  files.push_back(File("index.json", index));
  std::string path = directory + "/oci.tar";
  (void)WriteFile(path, Tar(files, false));
  return path;
}

}  // namespace gantry::node::testing

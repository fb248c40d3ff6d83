#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <thread>

#include "base/check.h"
#include "base/env/real/real_env.h"
#include "node/images/image_store.h"
#include "node/images/images.h"
#include "node/os/fs.h"
#include "test_image.h"

namespace gantry::node::testing {
namespace {

class ImageStoreTest : public ::testing::Test {
 protected:
  ImageStoreTest() {
    GANTRY_CHECK(mkdtemp(dir_.data()) != nullptr, "mkdtemp");
    paths_ = std::make_unique<Paths>(dir_ + "/data");
    store_ = std::make_unique<ImageStore>(*paths_);
  }
  ~ImageStoreTest() override { (void)RemoveTree(dir_); }

  Status ImportLayer(std::vector<LayerEntry> entries) {
    TestImage image;
    image.layers.push_back(std::move(entries));
    return store_->Import(WriteDockerArchive(dir_, image)).status();
  }

  std::string dir_ = "/tmp/gantry-images-XXXXXX";
  std::unique_ptr<Paths> paths_;
  std::unique_ptr<ImageStore> store_;
};

TEST_F(ImageStoreTest, BothKindsOfArchiveGiveTheSameImage) {
  auto docker = store_->Import(WriteDockerArchive(dir_, Busybox()));
  ASSERT_TRUE(docker.ok()) << docker.status().ToString();
  EXPECT_EQ((*docker)[0].names[0], "docker.io/library/busybox:1");
  size_t layers = ListDir(paths_->Layers()).size();
  auto oci = store_->Import(WriteOciArchive(dir_, Busybox()));
  ASSERT_TRUE(oci.ok()) << oci.status().ToString();
  EXPECT_EQ((*oci)[0].id, (*docker)[0].id);
  EXPECT_EQ(ListDir(paths_->Layers()).size(), layers);
  ASSERT_TRUE(store_->Find("docker.io/library/busybox:1"));
  auto config = store_->Config(*store_->Find("docker.io/library/busybox:1"));
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->cmd, std::vector<std::string>{"sh"});
}

TEST_F(ImageStoreTest, KeepsOwnersModesLinksAndWhiteouts) {
  TestImage image;
  image.layers.push_back({{'d', "a", "", 0750, 5, 6},
                          {'f', "a/suid", "x", 04755, 7, 8},
                          {'h', "a/same", "a/suid"},
                          {'l', "link", "/etc/x", 0777}});
  image.layers.push_back({{'f', "a/.wh.suid", ""}, {'d', "b"}, {'f', "b/.wh..wh..opq", ""}});
  ASSERT_TRUE(store_->Import(WriteDockerArchive(dir_, image)).ok());
  ImagePtr found = store_->Find("docker.io/library/busybox:1");
  ASSERT_TRUE(found);
  std::string low = store_->LayerPath(found->layers[0]), high = store_->LayerPath(found->layers[1]);
  struct stat st{}, other{};
  ASSERT_EQ(lstat((low + "/a").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0750u);
  EXPECT_EQ(st.st_uid, 5u);
  ASSERT_EQ(lstat((low + "/a/suid").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 04755u);
  ASSERT_EQ(lstat((low + "/a/same").c_str(), &other), 0);
  EXPECT_EQ(st.st_ino, other.st_ino);
  ASSERT_EQ(lstat((high + "/a/suid").c_str(), &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
  char value[4] = {};
  EXPECT_EQ(lgetxattr((high + "/b").c_str(), "trusted.overlay.opaque", value, sizeof value), 1);
}

TEST_F(ImageStoreTest, NothingIsWrittenOutside) {
  std::string victim = dir_ + "/victim";
  EXPECT_FALSE(ImportLayer({{'f', "../../victim", "x"}}).ok());
  // A link out of the layer leads back into it.
  EXPECT_TRUE(ImportLayer({{'l', "out", dir_, 0777}, {'d', "keep"}}).ok());
  Status through = ImportLayer({{'l', "out", dir_, 0777}, {'f', "out/victim", "x"}});
  EXPECT_FALSE(Exists(victim)) << through.ToString();
  EXPECT_FALSE(ImportLayer({{'h', "stolen", "../../../../etc/passwd"}}).ok());
  EXPECT_FALSE(Exists(victim));
}

TEST_F(ImageStoreTest, DamageIsRefusedAndChangesNothing) {
  std::string path = WriteDockerArchive(dir_, Busybox());
  std::string bytes = *ReadFile(path);
  size_t at = bytes.find("root:x:0:0");
  bytes[at] = 'X';
  ASSERT_TRUE(WriteFile(path, bytes).ok());
  EXPECT_EQ(store_->Import(path).status().code(), Code::kDataLoss);
  ASSERT_TRUE(WriteFile(path, "no archive at all").ok());
  EXPECT_FALSE(store_->Import(path).ok());
  EXPECT_TRUE(store_->List().empty());
  EXPECT_TRUE(ListDir(paths_->Layers()).empty());
}

TEST_F(ImageStoreTest, OneOfSeveralThatIsDamagedLeavesNothing) {
  TestImage image = Busybox();
  image.layers.push_back({{'f', "second", "marker-of-the-second-layer"}});
  std::string path = WriteDockerArchive(dir_, image);
  std::string bytes = *ReadFile(path);
  bytes[bytes.find("marker-of-the-second-layer")] = 'X';
  ASSERT_TRUE(WriteFile(path, bytes).ok());
  EXPECT_EQ(store_->Import(path).status().code(), Code::kDataLoss);
  EXPECT_TRUE(store_->List().empty());
  EXPECT_TRUE(ListDir(paths_->Layers()).empty());
}

TEST_F(ImageStoreTest, WhiteoutsAndTheirOwnLayer) {
  TestImage image;
  image.layers.push_back({{'d', "replaced"},
                          {'f', "replaced/old", "x"},
                          {'d', "late"},
                          {'f', "late/old", "x"},
                          {'f', "gone", "x"}});
  image.layers.push_back({{'f', ".wh.replaced", ""},
                          {'d', "replaced"},
                          {'f', "replaced/new", "y"},
                          {'d', "late"},
                          {'f', "late/new", "y"},
                          {'f', ".wh.late", ""},
                          {'f', "kept", "y"},
                          {'f', ".wh.kept", ""},
                          {'f', ".wh.gone", ""},
                          {'f', ".wh..wh.plnk", ""}});
  ASSERT_TRUE(store_->Import(WriteDockerArchive(dir_, image)).ok());
  ImagePtr found = store_->Find("docker.io/library/busybox:1");
  ASSERT_TRUE(found);
  std::string high = store_->LayerPath(found->layers[1]);
  char value[4] = {};
  for (const char* directory : {"/replaced", "/late"}) {
    EXPECT_EQ(lgetxattr((high + directory).c_str(), "trusted.overlay.opaque", value, sizeof value),
              1)
        << directory;
    EXPECT_TRUE(Exists(high + directory + "/new"));
  }
  EXPECT_EQ(ReadFile(high + "/kept").value_or(""), "y");
  struct stat st{};
  ASSERT_EQ(lstat((high + "/gone").c_str(), &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
  EXPECT_EQ(ListDir(high), (std::vector<std::string>{"gone", "kept", "late", "replaced"}));
}

TEST_F(ImageStoreTest, LayersOfContainersStay) {
  ASSERT_TRUE(store_->Import(WriteDockerArchive(dir_, Busybox())).ok());
  ImagePtr image = store_->FindAny("busybox:1");
  ASSERT_TRUE(image);
  std::string home = paths_->Home("uid", "main", 0);
  ASSERT_TRUE(MakeDirs(home).ok());
  ASSERT_TRUE(store_->NoteUse(*image, home).ok());
  ASSERT_TRUE(store_->Remove("busybox:1").ok());
  EXPECT_TRUE(store_->List().empty());
  EXPECT_EQ(ListDir(paths_->Layers()), image->layers);
  ASSERT_TRUE(RemoveTree(home).ok());
  ASSERT_TRUE(MakeDirs(paths_->Images() + "/.tmp-killed").ok());
  ASSERT_TRUE(store_->Sweep().ok());
  EXPECT_TRUE(ListDir(paths_->Layers()).empty());
  EXPECT_FALSE(Exists(paths_->Images() + "/.tmp-killed"));
}

TEST_F(ImageStoreTest, UnusedImagesGoTheOldestFirst) {
  const WallTime now = WallTime(std::chrono::hours(1000000));
  int layer = 0;
  for (const char* name : {"used:1", "digest:1", "old:1", "older:1", "young:1"}) {
    TestImage image;
    image.name = name;
    image.layers.push_back({{'f', "file", std::to_string(layer++)}});
    ASSERT_TRUE(store_->Import(WriteDockerArchive(dir_, image)).ok());
    std::string path = paths_->Images() + "/configs/" + store_->FindAny(name)->id.substr(7);
    timespec at{std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count(),
                0};
    at.tv_sec -= name == std::string("older:1") ? 200 : name == std::string("young:1") ? 10 : 100;
    timespec times[2] = {at, at};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  std::set<std::string> used = {"docker.io/library/used:1", store_->FindAny("digest:1")->id,
                                "absent:1"};
  int left = 1;
  auto enough = [&left] { return left-- == 0; };
  ASSERT_TRUE(store_->RemoveUnused(used, now - std::chrono::seconds(60), enough).ok());
  EXPECT_FALSE(store_->FindAny("older:1"));
  EXPECT_TRUE(store_->FindAny("old:1"));
  ASSERT_TRUE(
      store_->RemoveUnused(used, now - std::chrono::seconds(60), [] { return false; }).ok());
  EXPECT_EQ(store_->List().size(), 3u);
  EXPECT_FALSE(store_->FindAny("old:1"));
  EXPECT_TRUE(store_->FindAny("used:1") && store_->FindAny("digest:1") &&
              store_->FindAny("young:1"));
}

TEST_F(ImageStoreTest, ADamagedIndexIsNotWrittenOver) {
  ASSERT_TRUE(store_->Import(WriteDockerArchive(dir_, Busybox())).ok());
  size_t layers = ListDir(paths_->Layers()).size();
  ASSERT_TRUE(WriteFile(paths_->Images() + "/index.json", "{").ok());
  EXPECT_FALSE(store_->Import(WriteDockerArchive(dir_, Busybox())).ok());
  EXPECT_FALSE(store_->Remove("busybox:1").ok());
  EXPECT_FALSE(store_->Sweep().ok());
  EXPECT_EQ(ReadFile(paths_->Images() + "/index.json").value_or(""), "{");
  EXPECT_EQ(ListDir(paths_->Layers()).size(), layers);
}

TEST_F(ImageStoreTest, RemovesByShortNameAndId) {
  ASSERT_TRUE(store_->Import(WriteDockerArchive(dir_, Busybox())).ok());
  std::string id = store_->List().front()->id;
  EXPECT_EQ(store_->Remove("sha256:0123456789ab").code(), Code::kNotFound);
  EXPECT_TRUE(store_->Remove(id.substr(7, 12)).ok());
  EXPECT_TRUE(store_->List().empty());
}

TEST_F(ImageStoreTest, RemovingTheLastNameRemovesTheLayers) {
  ASSERT_TRUE(store_->Import(WriteDockerArchive(dir_, Busybox())).ok());
  TestImage second = Busybox();
  second.name = "busybox:2";
  ASSERT_TRUE(store_->Import(WriteDockerArchive(dir_, second)).ok());
  EXPECT_EQ(store_->List().size(), 1u);
  ASSERT_TRUE(store_->Remove("docker.io/library/busybox:1").ok());
  EXPECT_FALSE(ListDir(paths_->Layers()).empty());
  ASSERT_TRUE(store_->Remove("docker.io/library/busybox:2").ok());
  EXPECT_TRUE(ListDir(paths_->Layers()).empty());
  EXPECT_EQ(store_->Remove("docker.io/library/busybox:2").code(), Code::kNotFound);
}

// A registry that gives a manifest and the beginning of everything else, and then says no more.
class StallingRegistry {
 public:
  StallingRegistry() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    GANTRY_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     listen(listener_, 8) == 0 &&
                     getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
                 "listen");
    name_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { Serve(); });
  }
  ~StallingRegistry() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
    for (int connection : connections_)
      close(connection);
  }
  const std::string& name() const { return name_; }

 private:
  void Serve() {
    for (int fd; (fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      connections_.push_back(fd);
      std::string request;
      char buffer[4096];
      while (request.find("\r\n\r\n") == std::string::npos) {
        const ssize_t count = read(fd, buffer, sizeof buffer);
        if (count <= 0) break;
        request.append(buffer, static_cast<size_t>(count));
      }
      const std::string answer = Answer(request);
      if (write(fd, answer.data(), answer.size()) < 0) continue;
    }
  }

  static std::string Answer(const std::string& request) {
    const std::string kind = "application/vnd.docker.distribution.manifest.v2+json";
    const std::string digest = "sha256:" + std::string(64, 'a');
    const std::string manifest =
        R"({"schemaVersion":2,"mediaType":")" + kind +
        R"(","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":1000,"digest":")" +
        digest + R"("},"layers":[]})";
    const std::string head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    if (request.find("/manifests/") != std::string::npos) {
      return head + "Content-Type: " + kind +
             "\r\nContent-Length: " + std::to_string(manifest.size()) + "\r\n\r\n" + manifest;
    }
    if (request.find("/blobs/") != std::string::npos)
      return head + "Content-Length: 1000\r\n\r\nbegun";
    return head + "Content-Length: 0\r\n\r\n";
  }

  int listener_ = -1;
  std::string name_;
  std::vector<int> connections_;  // the thread's, until it has ended
  std::thread thread_;
};

TEST_F(ImageStoreTest, APullOfWhichNothingComesIsGivenUp) {
  StallingRegistry registry;
  RealEnv env;
  PullLimits limits;
  limits.stall = std::chrono::seconds(1);
  LocalImages images(env, *paths_, limits);
  const std::string name = registry.name() + "/slow:1";
  Status status;
  auto pull = [](LocalImages& images, std::string name, Status* status) -> Task<> {
    PullSecrets none;
    Result<PulledImage> pulled =
        co_await images.Pull(std::move(name), std::move(none), CancelToken());
    *status = pulled.status();
  };
  env.RunToEnd(pull(images, name, &status));
  EXPECT_EQ(status.message(),
            "failed to pull and unpack image \"" + name + "\": no progress for 1s");
  // Nothing of it is left.
  EXPECT_EQ(ListDir(paths_->Images()).size(), 0u) << ListDir(paths_->Images()).front();
}

}  // namespace
}  // namespace gantry::node::testing

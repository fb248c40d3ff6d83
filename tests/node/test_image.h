#pragma once

#include <string>
#include <vector>

namespace gantry::node::testing {

// One entry of a layer. `kind`: 'f' file, 'd' directory, 'l' symbolic link, 'h' hard link, 'c'
// character device 0/0.
struct LayerEntry {
  char kind = 'f';
  std::string path;
  std::string text;  // contents, or the link's target
  int mode = 0644;
  int uid = 0, gid = 0;
};

struct TestImage {
  std::string name = "busybox:1";
  std::vector<std::vector<LayerEntry>> layers;
  std::string config = "{}";  // the "config" member
};

// A busybox from the machine's static one, with users root and web (1001:1002, also in group 1003).
TestImage Busybox();

// The archive `docker save` would write.
std::string WriteDockerArchive(const std::string& directory, const TestImage& image);
// The same image as an OCI layout with compressed layers.
std::string WriteOciArchive(const std::string& directory, const TestImage& image);
// One layer as a tar archive's bytes.
std::string LayerTar(const std::vector<LayerEntry>& entries);

}  // namespace gantry::node::testing

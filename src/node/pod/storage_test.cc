#include "node/pod/storage.h"

#include <gtest/gtest.h>

#include "api/core/v1/container.pb.h"
#include "api/core/v1/volume.pb.h"

namespace gantry::node {
namespace {

using api::core::v1::Pod;

TEST(StorageExceeded, SaysWhatIsOverWhichLimit) {
  struct Row {
    const char *volume_limit, *first_limit, *second_limit;
    int64_t volume, first, second;
    const char* message;
  };
  constexpr int64_t kMebi = 1 << 20;
  const Row kRows[] = {
      {"", "", "", kMebi, kMebi, kMebi, ""},
      {"1Mi", "", "", kMebi, kMebi, kMebi, ""},
      {"1Mi", "", "", kMebi + 1, 0, 0,
       "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". "},
      {"", "1Mi", "2Mi", kMebi, kMebi, kMebi, ""},
      {"", "1Mi", "1024Ki", kMebi, kMebi, 1,
       "Pod ephemeral local storage usage exceeds the total limit of containers 2Mi. "},
      {"", "1Mi", "3Mi", 0, 0, 2 * kMebi, ""},
      {"", "1Mi", "3Mi", 0, 2 * kMebi, 0,
       "Container a exceeded its local ephemeral storage limit \"1Mi\". "},
  };
  for (const Row& row : kRows) {
    Pod pod;
    auto* volume = pod.mutable_spec()->add_volumes();
    volume->set_name("v");
    auto* empty_dir = volume->mutable_volume_source()->mutable_empty_dir();
    if (*row.volume_limit != '\0') empty_dir->mutable_size_limit()->set_string(row.volume_limit);
    for (auto [name, limit] : {std::pair("a", row.first_limit), std::pair("b", row.second_limit)}) {
      auto* container = pod.mutable_spec()->add_containers();
      container->set_name(name);
      if (*limit != '\0')
        (*container->mutable_resources()->mutable_limits())["ephemeral-storage"].set_string(limit);
    }
    StorageUsage usage;
    usage.volumes = {{"v", row.volume}};
    usage.containers = {{"a", row.first}, {"b", row.second}};
    EXPECT_EQ(StorageExceeded(pod, usage), row.message);
    bool limited = *row.volume_limit != '\0' || *row.first_limit != '\0';
    EXPECT_EQ(HasStorageLimit(pod), limited);
  }
}

}  // namespace
}  // namespace gantry::node

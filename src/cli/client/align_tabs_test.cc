#include "cli/client/align_tabs.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

TEST(AlignTabs, AColumnReachesOverTheLinesThatHaveIt) {
  struct Row {
    const char *text, *want;
  };
  const Row rows[] = {
      {"Name:\tweb\nNamespace:\tdefault\n", "Name:       web\nNamespace:  default\n"},
      // A line without a tab ends the columns.
      {"a:\t1\nHead\nlonger:\t2\n", "a:  1\nHead\nlonger:  2\n"},
      // A column inside another ends where its lines end.
      {"Port:\thttp\t80\nTargetPort:\t8080\nNodePort:\tlong-name\t1\n",
       "Port:        http  80\nTargetPort:  8080\nNodePort:    long-name  1\n"},
      {"Labels:\ta=1\n\tb=2\n", "Labels:  a=1\n         b=2\n"},
      {"\xC3\xA4:\t1\nbb:\t2\n", "\xC3\xA4:   1\nbb:  2\n"},
      {"", ""},
  };
  for (const Row& row : rows)
    EXPECT_EQ(AlignTabs(row.text), row.want);
}

}  // namespace
}  // namespace gantry::cli

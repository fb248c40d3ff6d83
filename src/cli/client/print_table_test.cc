#include "cli/client/print_table.h"

#include <gtest/gtest.h>

namespace gantry::cli {
namespace {

TEST(TableText, AlignsColumnsAsKubectlDoes) {
  TableText table;
  table.Row({"NAME", "READY", "AGE"});
  table.Row({"web-12345", "1/1", "5s"});
  EXPECT_EQ(table.Take(),
            "NAME        READY   AGE\n"
            "web-12345   1/1     5s\n");
  // Widths stay, and only grow.
  table.Row({"a", "0/1", "6s"});
  EXPECT_EQ(table.Take(), "a           0/1     6s\n");
}

TEST(TableText, HasAMinimumAndCountsCharacters) {
  TableText table;
  table.Row({"A", "B"});
  table.Row({"\xC3\xA4\xC3\xB6", "x"});
  EXPECT_EQ(table.Take(), "A     B\n\xC3\xA4\xC3\xB6    x\n");
}

}  // namespace
}  // namespace gantry::cli

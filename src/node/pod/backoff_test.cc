#include "node/pod/backoff.h"

#include <gtest/gtest.h>

namespace gantry::node {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

TEST(BackOffTest, AClockThatIsSetBackHoldsUpNothing) {
  const WallTime ahead = WallTime() + hours(500000);
  BackOff pulls;
  pulls.Next("image", ahead);
  EXPECT_EQ(pulls.Remaining("image", ahead, ahead + seconds(4)), seconds(6));
  EXPECT_EQ(pulls.Remaining("image", ahead, ahead - hours(1)), Duration::zero());
  EXPECT_EQ(pulls.Remaining("image", ahead, ahead + hours(1)), Duration::zero());
}

}  // namespace
}  // namespace gantry::node

#include "cli/client/flag_set.h"

#include <gtest/gtest.h>

#include "cli/client/fields.h"

namespace gantry::cli {
namespace {

struct Row {
  const char* line;
  const char* want;  // what was read, or the failure
};

std::string Read(const std::string& line) {
  GlobalFlags globals;
  std::string output;
  std::vector<std::string> files;
  int64_t tail = -1;
  bool in = false, tty = false, wait = true;
  constexpr CommandHelp kHelp = {"test NAME", "Tests.", "gantry test x"};
  FlagSet set(kHelp, &globals);
  set.String("output", 'o', &output, "");
  set.Strings("filename", 'f', &files, "");
  set.Int("tail", 0, &tail, "");
  set.Bool("stdin", 'i', &in, "");
  set.Bool("tty", 't', &tty, "");
  set.Bool("wait", 0, &wait, "");
  const Status status = set.Parse(SplitText(line, ' '));
  if (!status.ok()) return status.message();
  std::string text = "ns=" + globals.ns + " o=" + output + " f=" + JoinText(files, "+") +
                     " tail=" + std::to_string(tail);
  text += std::string(in ? " i" : "") + (tty ? " t" : "") + (wait ? " wait" : "");
  return text + " args=" + JoinText(set.args(), ",") + " rest=" + JoinText(set.rest(), ",");
}

TEST(FlagSet, ReadsLinesAsKubectlDoes) {
  const Row rows[] = {
      {"pods -o wide", "ns= o=wide f= tail=-1 wait args=pods rest="},
      {"-owide pods", "ns= o=wide f= tail=-1 wait args=pods rest="},
      {"-o=wide -n kube-system", "ns=kube-system o=wide f= tail=-1 wait args= rest="},
      {"--namespace=a --output json x y", "ns=a o=json f= tail=-1 wait args=x,y rest="},
      {"-f a -f b --wait=false", "ns= o= f=a+b tail=-1 args= rest="},
      {"web -it -- sh -c -n", "ns= o= f= tail=-1 i t wait args=web rest=sh,-c,-n"},
      {"-f -", "ns= o= f=- tail=-1 wait args= rest="},
      {"--tail=20", "ns= o= f= tail=20 wait args= rest="},
      {"--tail=x",
       "error: invalid argument \"x\" for \"--tail\" flag: strconv.ParseInt: parsing \"x\": "
       "invalid syntax\nSee 'gantry test --help' for usage."},
      {"--nope", "error: unknown flag: --nope\nSee 'gantry test --help' for usage."},
      {"-z", "error: unknown shorthand flag: 'z' in -z\nSee 'gantry test --help' for usage."},
      {"-o", "error: flag needs an argument: 'o' in -o\nSee 'gantry test --help' for usage."},
      {"--output", "error: flag needs an argument: --output\nSee 'gantry test --help' for usage."},
  };
  for (const Row& row : rows)
    EXPECT_EQ(Read(row.line), row.want) << row.line;
}

}  // namespace
}  // namespace gantry::cli

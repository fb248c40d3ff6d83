#include "store/etcd/grpc.h"

#include <gtest/gtest.h>

namespace gantry::store::etcd {
namespace {

TEST(Grpc, MessagesComeInPiecesOfAnySize) {
  const std::string wire = Frame("one") + Frame("") + Frame(std::string(70'000, 'x'));
  for (size_t piece : {size_t{1}, size_t{3}, size_t{4096}, wire.size()}) {
    Deframer deframer;
    std::vector<std::string> got;
    for (size_t at = 0; at < wire.size(); at += piece) {
      deframer.Add(std::string_view(wire).substr(at, piece));
      while (true) {
        Result<std::optional<std::string>> next = deframer.Next();
        ASSERT_TRUE(next.ok());
        if (!*next) break;
        got.push_back(**next);
      }
    }
    ASSERT_EQ(got.size(), 3u) << piece;
    EXPECT_EQ(got[0], "one");
    EXPECT_EQ(got[1], "");
    EXPECT_EQ(got[2].size(), 70'000u);
  }
}

TEST(Grpc, WhatNoServerSendsIsRefused) {
  Deframer compressed;
  compressed.Add(std::string("\1\0\0\0\1x", 6));
  EXPECT_EQ(compressed.Next().code(), Code::kDataLoss);
  Deframer huge;
  huge.Add(std::string("\0\xff\xff\xff\xff", 5));
  EXPECT_EQ(huge.Next().code(), Code::kDataLoss);
}

TEST(Grpc, TheStatusIsInTheTrailers) {
  wire::Headers fields;
  EXPECT_FALSE(ReadGrpcStatus(fields));
  fields.Add("grpc-status", "14");
  fields.Add("grpc-message", "etcdserver: no%20leader 100%");
  const std::optional<GrpcStatus> status = ReadGrpcStatus(fields);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, GrpcCode::kUnavailable);
  EXPECT_EQ(status->message, "etcdserver: no leader 100%");
}

}  // namespace
}  // namespace gantry::store::etcd

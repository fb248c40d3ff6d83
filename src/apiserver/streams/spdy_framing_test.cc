#include "apiserver/streams/spdy_framing.h"

#include <gtest/gtest.h>

#include <string>

namespace gantry::apiserver::streams {
namespace {

std::string Bytes(std::initializer_list<int> values) {
  std::string out;
  for (int value : values)
    out += static_cast<char>(value);
  return out;
}

TEST(Spdy, ReadsWhatItWritesInPiecesOfAnySize) {
  SpdyEncoder encoder;
  const SpdyHeaders headers = {{"streamtype", "data"}, {"port", "8080"}, {"requestid", "7"}};
  std::string wire = encoder.SynStream(1, headers, false);
  wire += encoder.SynStream(3, headers, true);  // the compression has a memory
  wire += SpdyEncoder::Data(1, "hello", false) + SpdyEncoder::Data(1, "", true);
  wire += SpdyEncoder::Ping(9) + SpdyEncoder::Reset(3, 5) + SpdyEncoder::GoAway(3);
  for (size_t piece : {size_t{1}, size_t{7}, wire.size()}) {
    SpdyDecoder decoder;
    std::vector<SpdyFrame> frames;
    for (size_t at = 0; at < wire.size(); at += piece) {
      decoder.Feed(std::string_view(wire).substr(at, piece));
      while (true) {
        Result<std::optional<SpdyFrame>> frame = decoder.Next();
        ASSERT_TRUE(frame.ok());
        if (!*frame) break;
        frames.push_back(std::move(**frame));
      }
    }
    ASSERT_EQ(frames.size(), 7u);
    EXPECT_EQ(frames[0].type, SpdyType::kSynStream);
    EXPECT_EQ(frames[0].headers, headers);
    EXPECT_FALSE(frames[0].fin);
    EXPECT_EQ(frames[1].headers, headers);
    EXPECT_TRUE(frames[1].fin);
    EXPECT_EQ(frames[2].data, "hello");
    EXPECT_TRUE(frames[3].fin);
    EXPECT_EQ(frames[4].value, 9u);
    EXPECT_EQ(frames[5].stream_id, 3u);
    EXPECT_EQ(frames[5].value, 5u);
    EXPECT_EQ(frames[6].type, SpdyType::kGoAway);
  }
}

TEST(Spdy, HeaderCompressionBeginsWithTheStandardsDictionary) {
  SpdyEncoder encoder;
  const std::string frame = encoder.SynReply(1, {{"a", "b"}});
  // After frame head and stream id: a zlib stream that names its dictionary by checksum.
  EXPECT_EQ(frame.substr(14, 4), Bytes({0xe3, 0xc6, 0xa7, 0xc2}));
}

TEST(Spdy, RefusesMalformedFrames) {
  const struct {
    const char* name;
    std::string wire;
  } rows[] = {
      {"wrong version", Bytes({0x80, 2, 0, 1, 0, 0, 0, 0})},
      {"short syn", Bytes({0x80, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 1})},
      {"headers that are no zlib", Bytes({0x80, 3, 0, 2, 0, 0, 0, 8, 0, 0, 0, 1, 1, 2, 3, 4})},
      {"short reset", Bytes({0x80, 3, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1})},
      {"short ping", Bytes({0x80, 3, 0, 6, 0, 0, 0, 0})},
  };
  for (const auto& row : rows) {
    SpdyDecoder decoder;
    decoder.Feed(row.wire);
    EXPECT_FALSE(decoder.Next().ok()) << row.name;
  }
}

TEST(Spdy, SkipsFramesOfNoUse) {
  SpdyDecoder decoder;
  decoder.Feed(Bytes({0x80, 3, 0, 4, 0, 0, 0, 4, 0, 0, 0, 0}) +
               Bytes({0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 1}) +
               SpdyEncoder::Data(1, "x", false));
  EXPECT_EQ(decoder.Next().value()->data, "x");
}

}  // namespace
}  // namespace gantry::apiserver::streams

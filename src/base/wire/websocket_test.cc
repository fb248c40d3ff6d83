#include "base/wire/websocket.h"

#include <gtest/gtest.h>

#include <string>

namespace gantry::wire {
namespace {

using Op = WebSocketOpcode;

std::string Bytes(std::initializer_list<int> values) {
  std::string out;
  for (int value : values)
    out += static_cast<char>(value);
  return out;
}

TEST(WebSocketAccept, IsThatOfTheStandard) {
  EXPECT_EQ(WebSocketAccept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketDecoder, ReadsWhatTheEncoderWrites) {
  for (size_t size : {0, 1, 125, 126, 127, 65535, 65536, 200'000}) {
    for (bool masked : {false, true}) {
      WebSocketDecoder decoder(masked ? WebSocketRole::kServer : WebSocketRole::kClient, 1 << 20);
      const std::string payload(size, 'p');
      std::string frame = EncodeWebSocketFrame(
          Op::kBinary, payload, masked ? std::optional<uint32_t>(0x12345678) : std::nullopt);
      if (masked && size > 0) EXPECT_EQ(frame.find(payload.substr(0, 4)), std::string::npos);
      decoder.Feed(std::string_view(frame).substr(0, frame.size() - 1));
      if (size > 0 || masked) EXPECT_FALSE(decoder.Next().value().has_value());
      decoder.Feed(std::string_view(frame).substr(frame.size() - 1));
      const auto message = decoder.Next().value();
      ASSERT_TRUE(message.has_value()) << size;
      EXPECT_EQ(message->payload, payload);
    }
  }
}

TEST(WebSocketDecoder, JoinsFragmentsAroundControlFrames) {
  WebSocketDecoder decoder(WebSocketRole::kClient, 100);
  decoder.Feed(Bytes({0x01, 2, 'a', 'b'}) + Bytes({0x89, 1, '!'}) + Bytes({0x00, 1, 'c'}) +
               Bytes({0x80, 1, 'd'}));
  EXPECT_EQ(decoder.Next().value()->opcode, Op::kPing);
  const auto message = decoder.Next().value();
  EXPECT_EQ(message->opcode, Op::kText);
  EXPECT_EQ(message->payload, "abcd");
}

TEST(WebSocketDecoder, RefusesMalformedFrames) {
  const struct {
    const char* name;
    std::string frame;
    uint16_t code;
  } rows[] = {
      {"reserved bit", Bytes({0xc2, 0}), 1002},
      {"unknown opcode", Bytes({0x83, 0}), 1002},
      {"masked by a server", Bytes({0x82, 0x80, 0, 0, 0, 0}), 1002},
      {"fragmented ping", Bytes({0x09, 0}), 1002},
      {"long ping", Bytes({0x89, 126, 0, 126}), 1002},
      {"continuation of nothing", Bytes({0x80, 0}), 1002},
      {"fragment forgotten", Bytes({0x02, 0, 0x82, 0}), 1002},
      {"too big", Bytes({0x82, 127, 0, 0, 0, 0, 0, 0, 1, 0}), 1009},
      {"absurdly big", Bytes({0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255}), 1009},
  };
  for (const auto& row : rows) {
    WebSocketDecoder decoder(WebSocketRole::kClient, 100);
    decoder.Feed(row.frame);
    EXPECT_FALSE(decoder.Next().ok()) << row.name;
    EXPECT_EQ(decoder.close_code(), row.code) << row.name;
  }
  WebSocketDecoder server(WebSocketRole::kServer, 100);
  server.Feed(Bytes({0x82, 0}));
  EXPECT_FALSE(server.Next().ok());
}

TEST(Base64, IsStrict) {
  for (size_t size = 0; size < 10; ++size) {
    const std::string bytes(size, '\xff');
    EXPECT_EQ(FromBase64(Base64(bytes)).value_or("failed"), bytes);
  }
  EXPECT_FALSE(FromBase64("abc").has_value());
  EXPECT_FALSE(FromBase64("a!bc").has_value());
}

}  // namespace
}  // namespace gantry::wire

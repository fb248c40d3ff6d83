#include "base/wire/http1.h"

#include <gtest/gtest.h>

#include <string>

namespace gantry::wire {
namespace {

TEST(ChunkDecoder, GivesTheSameForEveryWayToCutTheInput) {
  const std::string input =
      "3;name=value\r\nabc\r\n00a\r\n0123456789\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\nrest";
  for (size_t piece = 1; piece <= input.size(); ++piece) {
    ChunkDecoder decoder;
    std::string out;
    auto state = ChunkDecoder::State::kMore;
    size_t used = 0;
    while (used < input.size() && state == ChunkDecoder::State::kMore) {
      std::string_view part = std::string_view(input).substr(used, piece);
      const size_t size = part.size();
      state = decoder.Decode(&part, std::string::npos, &out);
      used += size - part.size();
    }
    EXPECT_EQ(state, ChunkDecoder::State::kDone) << piece;
    EXPECT_EQ(out, "abc0123456789") << piece;
    EXPECT_EQ(input.substr(used), "rest") << piece;
  }
}

TEST(ChunkDecoder, StopsAtTheLimit) {
  ChunkDecoder decoder;
  std::string_view bytes = "5\r\nabcde\r\n0\r\n\r\n";
  std::string out;
  EXPECT_EQ(decoder.Decode(&bytes, 3, &out), ChunkDecoder::State::kMore);
  EXPECT_EQ(out, "abc");
  EXPECT_FALSE(bytes.empty());
}

TEST(ResponseHead, ReadsStatusAndFraming) {
  const struct {
    const char* text;
    const char* method;
    int status;
    Framing::Kind kind;
  } rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", 200, Framing::Kind::kLength},
      {"HTTP/1.1 200\r\n\r\n", "GET", 200, Framing::Kind::kUntilEnd},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", 200,
       Framing::Kind::kChunked},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", 200, Framing::Kind::kNone},
      {"HTTP/1.1 204 No Content\r\n\r\n", "GET", 204, Framing::Kind::kNone},
      {"HTTP/1.1 101 Switching Protocols\r\n\r\n", "GET", 101, Framing::Kind::kNone},
  };
  for (const auto& row : rows) {
    ResponseHead head;
    const HeadResult result = ParseHead(row.text, &head);
    ASSERT_EQ(result.state, HeadResult::State::kComplete) << row.text;
    EXPECT_EQ(head.status, row.status);
    EXPECT_EQ(ResponseFraming(head, row.method).kind, row.kind) << row.text;
  }
  for (const char* text :
       {"HTTP/1.1 20 OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n", "x\r\n\r\n"}) {
    ResponseHead head;
    EXPECT_EQ(ParseHead(text, &head).state, HeadResult::State::kMalformed) << text;
  }
}

TEST(SplitTarget, KnowsOriginAndAbsoluteForm) {
  const struct {
    const char* target;
    bool good;
    const char* path;
    const char* query;
  } rows[] = {
      {"/a/b?c=d?e", true, "/a/b", "c=d?e"},
      {"/", true, "/", ""},
      {"http://host/x?y", true, "/x", "y"},
      {"https://host", true, "/", ""},
      {"/a#b", true, "/a", ""},
      {"*", false, "", ""},
      {"ftp://host/x", false, "", ""},
      {"host:443", false, "", ""},
  };
  for (const auto& row : rows) {
    std::string path, query;
    EXPECT_EQ(SplitTarget(row.target, &path, &query), row.good) << row.target;
    if (!row.good) continue;
    EXPECT_EQ(path, row.path);
    EXPECT_EQ(query, row.query);
  }
}

TEST(Headers, MatchNamesAndTokensWithoutCase) {
  Headers headers;
  headers.Add("Connection", "keep-alive, Upgrade");
  headers.Add("Accept-Encoding", "br;q=1.0, GZIP;q=0.5");
  EXPECT_TRUE(headers.HasToken("connection", "upgrade"));
  EXPECT_TRUE(headers.HasToken("accept-encoding", "gzip"));
  EXPECT_FALSE(headers.HasToken("connection", "up"));
  headers.Set("CONNECTION", "close");
  EXPECT_EQ(headers.Get("connection"), "close");
  EXPECT_EQ(headers.all().size(), 2u);
}

}  // namespace
}  // namespace gantry::wire

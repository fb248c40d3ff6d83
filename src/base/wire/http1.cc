#include "base/wire/http1.h"

#include <algorithm>
#include <array>

namespace gantry::wire {
namespace {

constexpr size_t kMaxChunkOverhead = 16 * 1024;

constexpr std::array<bool, 256> MakeTokenTable() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c)
    table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c)
    table[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c)
    table[c] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~"))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kToken = MakeTokenTable();

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

// Visible characters, spaces, tabs and bytes above ASCII: no controls.
bool IsFieldValue(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
  });
}

bool IsTarget(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f;
  });
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// "HTTP/1.x" -> x, or -1.
int MinorVersion(std::string_view text) {
  if (text.size() != 8 || !text.starts_with("HTTP/1.") || !IsDigit(text[7])) return -1;
  return text[7] - '0';
}

std::string_view TrimField(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// `lines` is all between the first line and the empty one, each line with its CRLF.
const char* ParseFields(std::string_view lines, Headers* out) {
  while (!lines.empty()) {
    const size_t end = lines.find("\r\n");
    std::string_view line = lines.substr(0, end);
    lines.remove_prefix(end + 2);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !IsToken(line.substr(0, colon)))
      return "malformed header field";
    const std::string_view value = TrimField(line.substr(colon + 1));
    if (!IsFieldValue(value)) return "malformed header value";
    out->Add(std::string(line.substr(0, colon)), std::string(value));
  }
  return nullptr;
}

HeadResult Malformed(const char* why) { return {HeadResult::State::kMalformed, 0, why}; }

// Finds the first line and the fields after it. Empty lines before a head are skipped (RFC
// 9112, 2.2).
HeadResult SplitHead(std::string_view bytes, std::string_view* first, std::string_view* fields) {
  size_t begin = 0;
  while (bytes.substr(begin).starts_with("\r\n"))
    begin += 2;
  if (begin > 8) return Malformed("too many empty lines");
  const size_t end = bytes.find("\r\n\r\n", begin);
  if (end == std::string_view::npos) return {};
  const size_t first_end = bytes.find("\r\n", begin);
  *first = bytes.substr(begin, first_end - begin);
  *fields = bytes.substr(first_end + 2, end + 2 - (first_end + 2));
  return {HeadResult::State::kComplete, end + 4, ""};
}

Framing FramingOf(const Headers& headers) {
  Framing out;
  bool chunked = false;
  std::optional<uint64_t> length;
  for (const auto& [name, value] : headers.all()) {
    if (EqualFold(name, "transfer-encoding")) {
      if (chunked || !EqualFold(value, "chunked")) return {Framing::Kind::kUnsupported};
      chunked = true;
    } else if (EqualFold(name, "content-length")) {
      if (value.empty() || value.size() > 18 || !std::all_of(value.begin(), value.end(), IsDigit)) {
        return {Framing::Kind::kMalformed};
      }
      uint64_t number = 0;
      for (char c : value)
        number = number * 10 + static_cast<uint64_t>(c - '0');
      if (length && *length != number) return {Framing::Kind::kMalformed};
      length = number;
    }
  }
  if (chunked && length) return {Framing::Kind::kMalformed};
  if (chunked) return {Framing::Kind::kChunked};
  if (length) return {Framing::Kind::kLength, *length};
  return out;
}

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct Phrase {
  int status;
  std::string_view text;
};
constexpr Phrase kPhrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Request Entity Too Large"},
    {414, "Request URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Requested Range Not Satisfiable"},
    {422, "Unprocessable Entity"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

}  // namespace

HeadResult ParseHead(std::string_view bytes, RequestHead* out) {
  std::string_view first, fields;
  HeadResult result = SplitHead(bytes, &first, &fields);
  if (result.state != HeadResult::State::kComplete) return result;
  const size_t space = first.find(' ');
  const size_t last = first.rfind(' ');
  if (space == std::string_view::npos || last == space) return Malformed("malformed request line");
  out->minor_version = MinorVersion(first.substr(last + 1));
  const std::string_view method = first.substr(0, space);
  const std::string_view target = first.substr(space + 1, last - space - 1);
  if (out->minor_version < 0 || !IsToken(method) || !IsTarget(target))
    return Malformed("malformed request line");
  out->method = method;
  out->target = target;
  if (const char* error = ParseFields(fields, &out->headers)) return Malformed(error);
  return result;
}

HeadResult ParseHead(std::string_view bytes, ResponseHead* out) {
  std::string_view first, fields;
  HeadResult result = SplitHead(bytes, &first, &fields);
  if (result.state != HeadResult::State::kComplete) return result;
  if (first.size() < 12 || first[8] != ' ' || !IsDigit(first[9]) || !IsDigit(first[10]) ||
      !IsDigit(first[11]) || (first.size() > 12 && first[12] != ' ')) {
    return Malformed("malformed status line");
  }
  out->minor_version = MinorVersion(first.substr(0, 8));
  if (out->minor_version < 0) return Malformed("malformed status line");
  out->status = (first[9] - '0') * 100 + (first[10] - '0') * 10 + (first[11] - '0');
  out->reason = first.size() > 13 ? first.substr(13) : std::string_view();
  if (const char* error = ParseFields(fields, &out->headers)) return Malformed(error);
  return result;
}

Framing RequestFraming(const Headers& headers) { return FramingOf(headers); }

Framing ResponseFraming(const ResponseHead& head, std::string_view request_method) {
  if (request_method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304)
    return {};
  Framing framing = FramingOf(head.headers);
  if (framing.kind == Framing::Kind::kNone) framing.kind = Framing::Kind::kUntilEnd;
  return framing;
}

ChunkDecoder::State ChunkDecoder::Decode(std::string_view* bytes, size_t limit, std::string* out) {
  while (!bytes->empty() && part_ != Part::kDone) {
    if (part_ == Part::kData) {
      if (limit == 0) return State::kMore;
      const size_t count = static_cast<size_t>(std::min<uint64_t>({left_, bytes->size(), limit}));
      out->append(bytes->substr(0, count));
      bytes->remove_prefix(count);
      limit -= count;
      left_ -= count;
      if (left_ == 0) part_ = Part::kDataCr;
      continue;
    }
    const char c = bytes->front();
    bytes->remove_prefix(1);
    switch (part_) {
      case Part::kSize:
        if (const int digit = HexDigit(c); digit >= 0) {
          if (++digits_ > 15) return State::kMalformed;
          left_ = left_ * 16 + static_cast<uint64_t>(digit);
          break;
        }
        if (digits_ == 0) return State::kMalformed;
        if (c == '\r') {
          part_ = Part::kSizeEnd;
        } else if (c == ';' || c == ' ' || c == '\t') {
          part_ = Part::kExtension;
        } else {
          return State::kMalformed;
        }
        break;
      case Part::kExtension:
        if (++overhead_ > kMaxChunkOverhead || c == '\n') return State::kMalformed;
        if (c == '\r') part_ = Part::kSizeEnd;
        break;
      case Part::kSizeEnd:
        if (c != '\n') return State::kMalformed;
        part_ = left_ == 0 ? Part::kTrailer : Part::kData;
        digits_ = 0;
        break;
      case Part::kDataCr:
        if (c != '\r') return State::kMalformed;
        part_ = Part::kDataLf;
        break;
      case Part::kDataLf:
        if (c != '\n') return State::kMalformed;
        part_ = Part::kSize;
        break;
      case Part::kTrailer:
        part_ = c == '\r' ? Part::kEndLf : Part::kTrailerLine;
        break;
      case Part::kTrailerLine:
        if (++overhead_ > kMaxChunkOverhead || c == '\n') return State::kMalformed;
        if (c == '\r') part_ = Part::kTrailerLf;
        break;
      case Part::kTrailerLf:
        if (c != '\n') return State::kMalformed;
        part_ = Part::kTrailer;
        break;
      case Part::kEndLf:
        if (c != '\n') return State::kMalformed;
        part_ = Part::kDone;
        break;
      case Part::kData:
      case Part::kDone:
        break;
    }
  }
  return part_ == Part::kDone ? State::kDone : State::kMore;
}

std::string_view ReasonPhrase(int status) {
  for (const Phrase& phrase : kPhrases) {
    if (phrase.status == status) return phrase.text;
  }
  return "";
}

bool SplitTarget(std::string_view target, std::string* path, std::string* query) {
  if (!target.starts_with('/')) {
    const size_t scheme = target.find("://");
    if (scheme == std::string_view::npos ||
        (target.substr(0, scheme) != "http" && target.substr(0, scheme) != "https")) {
      return false;
    }
    target.remove_prefix(scheme + 3);
    const size_t slash = target.find_first_of("/?");
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
    if (target.front() != '/') return false;
  }
  target = target.substr(0, target.find('#'));
  const size_t mark = target.find('?');
  *path = target.substr(0, mark);
  *query = mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
  return true;
}

}  // namespace gantry::wire

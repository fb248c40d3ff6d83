#include "api/envelope.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wire_format_lite.h>

#include <charconv>

#include "api/json.h"
#include "api/kinds.h"

namespace gantry::api {
namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

// Tags of length-delimited fields: number << 3 | 2.
constexpr char kTag1 = 0x0a;
constexpr char kTag2 = 0x12;
constexpr char kTag3 = 0x1a;
constexpr char kTag4 = 0x22;
constexpr char kResourceVersionTag = 0x32;  // ObjectMeta.resourceVersion is 6

void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

void AppendField(char tag, std::string_view bytes, std::string* out) {
  out->push_back(tag);
  AppendVarint(bytes.size(), out);
  out->append(bytes);
}

bool ReadBytes(CodedInputStream* in, std::string_view* out) {
  uint32_t size = 0;
  if (!in->ReadVarint32(&size)) return false;
  if (size == 0) {
    *out = {};
    return true;
  }
  const void* data = nullptr;
  int available = 0;
  if (!in->GetDirectBufferPointer(&data, &available) || static_cast<uint32_t>(available) < size)
    return false;
  *out = {static_cast<const char*>(data), size};
  return in->Skip(static_cast<int>(size));
}

// Calls `take(tag, bytes)` for each length-delimited field, which takes it or says that it does not
// know it.
template <class Take>
bool ReadFields(std::string_view bytes, Take take) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  while (const uint32_t tag = in.ReadTag()) {
    std::string_view value;
    if ((tag & 7) == 2) {
      if (!ReadBytes(&in, &value) || !take(tag, value)) return false;
    } else if (!google::protobuf::internal::WireFormatLite::SkipField(&in, tag)) {
      return false;
    }
  }
  return in.ConsumedEntireMessage();
}

Status Damaged() { return BadRequest("the object is not a valid Kubernetes protobuf message"); }

void AppendHead(std::string_view api_version, std::string_view kind, size_t raw_size,
                std::string* out) {
  out->append(kEnvelopeMagic);
  std::string type_meta;
  AppendField(kTag1, api_version, &type_meta);
  AppendField(kTag2, kind, &type_meta);
  AppendField(kTag1, type_meta, out);
  out->push_back(kTag2);
  AppendVarint(raw_size, out);
}

void AppendTail(std::string_view content_encoding, std::string_view content_type,
                std::string* out) {
  AppendField(kTag3, content_encoding, out);
  AppendField(kTag4, content_type, out);
}

}  // namespace

Result<Envelope> OpenEnvelope(std::string_view bytes) {
  if (!IsEnvelope(bytes))
    return BadRequest(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  if (bytes.size() > static_cast<size_t>(INT32_MAX)) return Damaged();
  bytes.remove_prefix(kEnvelopeMagic.size());
  Envelope envelope;
  const bool ok = ReadFields(bytes, [&](uint32_t tag, std::string_view value) {
    switch (tag) {
      case kTag1:
        return ReadFields(value, [&](uint32_t inner, std::string_view text) {
          if (inner == kTag1) envelope.api_version = text;
          if (inner == kTag2) envelope.kind = text;
          return true;
        });
      case kTag2:
        envelope.raw = value;
        break;
      case kTag3:
        envelope.content_encoding = value;
        break;
      case kTag4:
        envelope.content_type = value;
        break;
      default:
        break;
    }
    return true;
  });
  if (!ok) return Damaged();
  return envelope;
}

std::string Seal(const KindInfo& kind, const google::protobuf::Message& message) {
  const size_t size = message.ByteSizeLong();
  std::string out;
  out.reserve(size + 64);
  AppendHead(kind.ApiVersion(), kind.kind, size, &out);
  const size_t at = out.size();
  out.resize(at + size);
  {
    google::protobuf::io::ArrayOutputStream array(out.data() + at, static_cast<int>(size));
    CodedOutputStream stream(&array);
    stream.SetSerializationDeterministic(true);
    message.SerializeWithCachedSizes(&stream);
  }
  AppendTail({}, {}, &out);
  return out;
}

std::string RevisionSuffix(int64_t revision) {
  char digits[24];
  const char* end = std::to_chars(digits, digits + sizeof digits, revision).ptr;
  std::string fragment;
  AppendField(kResourceVersionTag, {digits, static_cast<size_t>(end - digits)}, &fragment);
  std::string out;
  AppendField(kTag1, fragment, &out);  // metadata is field 1 of every object
  return out;
}

std::string SealedWithRevision(std::string_view sealed, int64_t revision) {
  Result<Envelope> envelope = OpenEnvelope(sealed);
  if (!envelope.ok()) return std::string(sealed);
  const std::string suffix = RevisionSuffix(revision);
  std::string out;
  out.reserve(sealed.size() + suffix.size() + 8);
  AppendHead(envelope->api_version, envelope->kind, envelope->raw.size() + suffix.size(), &out);
  out.append(envelope->raw);
  out.append(suffix);
  AppendTail(envelope->content_encoding, envelope->content_type, &out);
  return out;
}

Status ParseSealed(std::string_view bytes, google::protobuf::Message* out) {
  GANTRY_ASSIGN(Envelope envelope, OpenEnvelope(bytes));
  if (!envelope.content_encoding.empty())
    return BadRequest("the object's content encoding is not supported");
  if (!out->ParseFromArray(envelope.raw.data(), static_cast<int>(envelope.raw.size())))
    return Damaged();
  return {};
}

Status ParseSealedInput(std::string_view bytes, google::protobuf::Message* out) {
  GANTRY_TRY(ParseSealed(bytes, out));
  out->DiscardUnknownFields();
  return CheckRawJson(*out);
}

}  // namespace gantry::api

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace gantry::api {

struct KindInfo;

// The binary form of an object, on the wire (application/vnd.kubernetes.protobuf) and in the store
// alike: the four bytes "k8s\0", then a runtime.Unknown that names apiVersion and kind around the
// object's message.
struct Envelope {
  std::string_view api_version;
  std::string_view kind;
  std::string_view raw;  // the message's bytes
  std::string_view content_encoding;
  std::string_view content_type;
};

inline constexpr std::string_view kEnvelopeMagic{"k8s\0", 4};

// True for bytes that begin as an envelope does; stored JSON (custom resources) does not.
inline bool IsEnvelope(std::string_view bytes) { return bytes.starts_with(kEnvelopeMagic); }

// Takes an envelope apart; the views point into `bytes`. Any input is safe. kBadRequest when it is
// damaged.
Result<Envelope> OpenEnvelope(std::string_view bytes);

// The envelope around a message. Maps are written in the order of their keys, so that equal objects
// give equal bytes.
std::string Seal(const KindInfo& kind, const google::protobuf::Message& message);

// The same envelope with metadata.resourceVersion set to `revision`. The stored bytes carry none;
// protobuf merges the fragment that is appended here into the metadata, so nothing is decoded.
std::string SealedWithRevision(std::string_view sealed, int64_t revision);
// The fragment itself, to append to bare message bytes of an object (lists embed their items so).
std::string RevisionSuffix(int64_t revision);

// Decode an envelope's message into `out`, whose type the caller has chosen by apiVersion and kind
// (not looked at here). kBadRequest when it does not decode or is nested too deep. ParseSealed is
// for bytes that the store gave back; ParseSealedInput, for what a client sent, also drops unknown
// fields and refuses raw fields that hold no JSON.
Status ParseSealed(std::string_view bytes, google::protobuf::Message* out);
Status ParseSealedInput(std::string_view bytes, google::protobuf::Message* out);

}  // namespace gantry::api

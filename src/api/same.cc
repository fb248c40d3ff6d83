#include "api/same.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

namespace gantry::api {

std::string CanonicalBytes(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream sink(&bytes);
  google::protobuf::io::CodedOutputStream out(&sink);
  out.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

bool Same(const google::protobuf::Message& a, const google::protobuf::Message& b) {
  if (&a == &b) return true;
  return a.ByteSizeLong() == b.ByteSizeLong() && CanonicalBytes(a) == CanonicalBytes(b);
}

}  // namespace gantry::api

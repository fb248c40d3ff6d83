#include "apiserver/openapi/openapi.h"

#include <malloc.h>
#include <openssl/sha.h>
#include <zlib.h>

#include <algorithm>

#include "api/json_value.h"
#include "apiserver/openapi/gnostic.h"
#include "apiserver/openapi/json_writer.h"
#include "apiserver/openapi/paths.h"
#include "apiserver/openapi/schemas.h"
#include "base/wire/accept.h"
#include "base/wire/headers.h"

namespace gantry::apiserver {
namespace {

using openapi::Dialect;
using openapi::JsonWriter;

constexpr std::string_view kV2 = "/openapi/v2";
constexpr std::string_view kV3 = "/openapi/v3";
constexpr std::string_view kJsonType = "application/json";
// The second name of each is the older one, which is asked for but never answered with.
constexpr std::string_view kProtobufV2[] = {
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"};
constexpr std::string_view kProtobufV3[] = {
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"};
constexpr int kGzipWindow = 15 + 16;  // zlib's way to say gzip

std::string Hash(const std::string& text) {
  unsigned char hash[SHA512_DIGEST_LENGTH];
  SHA512(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash);
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : hash) {
    out.push_back(kHex[c >> 4]);
    out.push_back(kHex[c & 15]);
  }
  return out;
}

Result<std::string> Compress(const std::string& text) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8,
                   Z_DEFAULT_STRATEGY) != Z_OK)
    return InternalError("openapi: cannot compress");
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) return InternalError("openapi: cannot compress");
  out.shrink_to_fit();
  return out;
}

Result<std::string> Decompress(const std::string& bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzipWindow) != Z_OK)
    return InternalError("openapi: cannot decompress");
  std::string out;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  int result = Z_OK;
  char buffer[64 * 1024];
  while (result == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(buffer);
    stream.avail_out = sizeof buffer;
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, sizeof buffer - stream.avail_out);
  }
  inflateEnd(&stream);
  if (result != Z_STREAM_END) return InternalError("openapi: cannot decompress");
  return out;
}

// The form that the first fitting media range names; none where nothing fits.
enum class Choice { kNone, kJson, kProtobuf };
Choice Choose(std::string_view accept, std::span<const std::string_view> protobuf) {
  if (wire::Trim(accept).empty()) return Choice::kJson;
  for (const wire::MediaRange& range : wire::ParseAccept(accept)) {
    const std::string& type = range.type;
    if (type == kJsonType || type == "*/*" || type == "application/*") return Choice::kJson;
    if (std::find(protobuf.begin(), protobuf.end(), type) != protobuf.end())
      return Choice::kProtobuf;
  }
  return Choice::kNone;
}

void WriteInfo(std::string_view version, JsonWriter* out) {
  out->Key("info").Object().Member("title", "Kubernetes").Member("version", version).EndObject();
}

constexpr std::string_view kSecurityScheme =
    R"({"BearerToken":{"description":"Bearer Token authentication","in":"header","name":"authorization","type":"apiKey"}})";

}  // namespace

OpenApi::OpenApi(std::span<const ResourceRow> rows, std::string version)
    : rows_(rows), version_(std::move(version)) {
  for (const ResourceRow& row : rows)
    group_versions_[(row.kind->group.empty() ? "api" : "apis/" + std::string(row.kind->group)) +
                    "/" + std::string(row.kind->version)]
        .push_back(&row);
}

std::string OpenApi::MakeSwagger() const {
  openapi::SchemaSet schemas(rows_);
  std::vector<const ResourceRow*> rows;
  for (const ResourceRow& row : rows_) {
    schemas.AddResource(row);
    rows.push_back(&row);
  }
  JsonWriter out;
  out.Object().Key("definitions").Object();
  schemas.Write(Dialect::kV2, &out);
  out.EndObject();
  WriteInfo(version_, &out);
  out.Key("paths").Object();
  WritePaths(rows, Dialect::kV2, &out);
  out.EndObject().Key("security").Raw(R"([{"BearerToken":[]}])");
  out.Key("securityDefinitions").Raw(kSecurityScheme).Member("swagger", "2.0").EndObject();
  return out.Take();
}

std::string OpenApi::MakeGroupVersion(const std::vector<const ResourceRow*>& rows) const {
  openapi::SchemaSet schemas(rows_);
  for (const ResourceRow* row : rows)
    schemas.AddResource(*row);
  JsonWriter out;
  out.Object().Key("components").Object().Key("schemas").Object();
  schemas.Write(Dialect::kV3, &out);
  out.EndObject().Key("securitySchemes").Raw(kSecurityScheme).EndObject();
  WriteInfo(version_, &out);
  out.Member("openapi", "3.0.0").Key("paths").Object();
  WritePaths(rows, Dialect::kV3, &out);
  out.EndObject().EndObject();
  return out.Take();
}

// Names every group version with the hash of its document, so that clients can keep what they have.
Result<std::string> OpenApi::MakeIndex() {
  JsonWriter out;
  out.Object().Key("paths").Object();
  for (const auto& [name, rows] : group_versions_) {
    std::string path = std::string(kV3) + "/" + name;
    GANTRY_ASSIGN(const Kept* kept, Find(path, Form::kJson));
    std::string hash = kept->etag.substr(1, kept->etag.size() - 2);
    out.Key(name).Object().Member("serverRelativeURL", path + "?hash=" + hash).EndObject();
  }
  out.EndObject().EndObject();
  return out.Take();
}

Result<std::string> OpenApi::MakeDocument(const std::string& path) {
  if (path == kV2) return MakeSwagger();
  if (path == kV3) return MakeIndex();
  auto group_version = path.starts_with(kV3) && path.size() > kV3.size()
                           ? group_versions_.find(path.substr(kV3.size() + 1))
                           : group_versions_.end();
  if (group_version == group_versions_.end())
    return Status(Code::kNotFound, "the server could not find the requested resource");
  return MakeGroupVersion(group_version->second);
}

Result<const OpenApi::Kept*> OpenApi::Find(const std::string& path, Form form) {
  auto key = std::make_pair(path, form);
  if (auto found = kept_.find(key); found != kept_.end()) return &found->second;
  GANTRY_ASSIGN(std::string text, MakeDocument(path));
  Kept kept;
  kept.etag = "\"" + Hash(text) + "\"";
  if (form == Form::kProtobuf) {
    GANTRY_ASSIGN(api::JsonValue document, api::JsonValue::Parse(text));
    const bool v2 = path == kV2;
    text = v2 ? openapi::EncodeSwagger(document) : openapi::EncodeOpenApiV3(document);
    // Of version 3 both forms have the tag that the index names; of version 2 each has its own.
    if (v2) kept.etag = "\"" + Hash(text) + "\"";
  }
  GANTRY_ASSIGN(std::string compressed, Compress(text));
  kept.compressed = std::make_shared<const std::string>(std::move(compressed));
  return &kept_.emplace(key, std::move(kept)).first->second;
}

Result<OpenApiDocument> OpenApi::Get(std::string_view path, std::string_view accept, bool gzip) {
  while (path.size() > 1 && path.back() == '/')
    path.remove_suffix(1);
  const std::span<const std::string_view> protobuf = path == kV2 ? kProtobufV2 : kProtobufV3;
  // The index has one form, whatever is asked for.
  const Choice choice = path == kV3 ? Choice::kJson : Choose(accept, protobuf);
  Form form = choice == Choice::kProtobuf ? Form::kProtobuf : Form::kJson;
  if (choice == Choice::kNone)
    return Status(Code::kNotAcceptable,
                  "only the following media types are accepted: application/json");
  OpenApiDocument document;
  document.content_type = form == Form::kProtobuf ? protobuf.front() : kJsonType;
  {
    std::lock_guard lock(mutex_);
    size_t before = kept_.size();
    GANTRY_ASSIGN(const Kept* kept, Find(std::string(path), form));
    document.etag = kept->etag;
    document.body = kept->compressed;
    // Megabytes of text came and went: back to the system with them.
    if (kept_.size() != before) malloc_trim(0);
  }
  if (gzip) {
    document.content_encoding = "gzip";
  } else {
    GANTRY_ASSIGN(std::string text, Decompress(*document.body));
    document.body = std::make_shared<const std::string>(std::move(text));
  }
  return document;
}

}  // namespace gantry::apiserver

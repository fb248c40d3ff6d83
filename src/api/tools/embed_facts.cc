// Build step: reads the descriptors of all .proto files, with comments, and writes two C++ files:
// the comments (compressed, for explain and OpenAPI) and the accessors of all map fields.
//
//   embed_facts DESCRIPTOR_SET DOCS.cc MAPS.cc

#include <google/protobuf/descriptor.pb.h>
#include <zlib.h>

#include <cctype>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorProto;

// A comment as one paragraph per blank line, without the line breaks of the source.
std::string Unwrap(std::string_view comment) {
  std::string out;
  bool paragraph = false;
  size_t at = 0;
  while (at < comment.size()) {
    size_t end = comment.find('\n', at);
    if (end == std::string_view::npos) end = comment.size();
    std::string_view line = comment.substr(at, end - at);
    at = end + 1;
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.front())))
      line.remove_prefix(1);
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back())))
      line.remove_suffix(1);
    if (line.empty()) {
      paragraph = true;
      continue;
    }
    if (!out.empty())
      out += paragraph ? "\v\v" : " ";  // \v stands for a line break in the packed text
    paragraph = false;
    out += line;
  }
  return out;
}

std::string Header(const FileDescriptorProto& file) {
  return file.name().substr(0, file.name().size() - std::string_view(".proto").size()) + ".pb.h";
}

std::string CppName(std::string_view package, std::string_view message) {
  std::string out = "::";
  for (char c : package)
    out += c == '.' ? std::string("::") : std::string(1, c);
  return out + "::" + std::string(message);
}

std::string CppField(const std::string& name) {
  static const std::set<std::string> kKeywords = {"default",  "namespace", "operator",
                                                  "template", "continue",  "export",
                                                  "not",      "enum",      "protected"};
  return kKeywords.contains(name) ? name + "_" : name;
}

bool IsMapEntry(const DescriptorProto& message, const FieldDescriptorProto& field) {
  for (const DescriptorProto& nested : message.nested_type())
    if (nested.options().map_entry() &&
        field.type_name().ends_with("." + message.name() + "." + nested.name()))
      return true;
  return false;
}

bool WriteDocs(const google::protobuf::FileDescriptorSet& set, const char* path) {
  std::string text;
  for (const FileDescriptorProto& file : set.file()) {
    for (const auto& location : file.source_code_info().location()) {
      // 4 is FileDescriptorProto.message_type, 2 is DescriptorProto.field.
      const bool message = location.path_size() == 2 && location.path(0) == 4;
      const bool field =
          location.path_size() == 4 && location.path(0) == 4 && location.path(2) == 2;
      if ((!message && !field) || location.leading_comments().empty()) continue;
      const DescriptorProto& type = file.message_type(location.path(1));
      text += file.package() + "." + type.name();
      if (field) text += "." + type.field(location.path(3)).name();
      text += "\t" + Unwrap(location.leading_comments()) + "\n";
    }
  }
  std::vector<unsigned char> packed(compressBound(text.size()));
  uLongf size = packed.size();
  if (compress2(packed.data(), &size, reinterpret_cast<const Bytef*>(text.data()), text.size(),
                9) != Z_OK)
    return false;
  std::ofstream out(path);
  out << "#include \"api/map_access.h\"\n\nnamespace gantry::api::internal {\nconst unsigned char "
         "kDocs[] = {";
  for (uLongf i = 0; i < size; ++i)
    out << (i % 32 == 0 ? "\n" : "") << int{packed[i]} << ",";
  out << "0};\nconst size_t kDocsSize = " << size
      << ";\nconst size_t kDocsTextSize = " << text.size()
      << ";\n}  // namespace gantry::api::internal\n";
  return out.flush().good();
}

bool WriteMaps(const google::protobuf::FileDescriptorSet& set, const char* path) {
  std::set<std::string> headers;
  std::map<std::string, std::string> entries;
  for (const FileDescriptorProto& file : set.file()) {
    for (const DescriptorProto& message : file.message_type()) {
      for (const FieldDescriptorProto& field : message.field()) {
        if (!IsMapEntry(message, field)) continue;
        const std::string type = CppName(file.package(), message.name());
        const std::string name = CppField(field.name());
        headers.insert(Header(file));
        entries[file.package() + "." + message.name() + "." + field.name()] =
            "AccessOf<" + type + ", &" + type + "::" + name + ", &" + type + "::mutable_" + name +
            ">()";
      }
    }
  }
  std::ofstream out(path);
  out << "#include \"api/map_access.h\"\n";
  for (const std::string& header : headers)
    out << "#include \"" << header << "\"\n";
  out << "\nnamespace gantry::api::internal {\nconst MapAccessEntry kMapAccess[] = {\n";
  for (const auto& [field, access] : entries)
    out << "{\"" << field << "\", " << access << "},\n";
  out << "};\nconst size_t kMapAccessSize = " << entries.size()
      << ";\n}  // namespace gantry::api::internal\n";
  return out.flush().good();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: embed_facts DESCRIPTOR_SET DOCS.cc MAPS.cc\n");
    return 2;
  }
  google::protobuf::FileDescriptorSet set;
  std::ifstream in(argv[1], std::ios::binary);
  if (!set.ParseFromIstream(&in)) {
    std::fprintf(stderr, "embed_facts: %s is not a descriptor set\n", argv[1]);
    return 1;
  }
  if (!WriteDocs(set, argv[2]) || !WriteMaps(set, argv[3])) {
    std::fprintf(stderr, "embed_facts: writing %s and %s failed\n", argv[2], argv[3]);
    return 1;
  }
  return 0;
}

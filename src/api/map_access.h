#pragma once

#include <google/protobuf/map.h>
#include <google/protobuf/message.h>

#include <string>
#include <string_view>

#include "api/schema.h"

// For schema.cc and the table that tools/embed_facts.cc generates for it.
namespace gantry::api::internal {

struct MapAccessEntry {
  std::string_view field;  // full name
  MapAccess access;
};

// Generated: every map field, sorted by name.
extern const MapAccessEntry kMapAccess[];
extern const size_t kMapAccessSize;

// Generated: the comments of all messages and fields, compressed by zlib: lines of "full
// name\tcomment\n".
extern const unsigned char kDocs[];
extern const size_t kDocsSize;
extern const size_t kDocsTextSize;

template <class M, auto Get, auto Mutable>
constexpr MapAccess AccessOf() {
  return {
      .size = [](const google::protobuf::Message& m) -> size_t {
        return (static_cast<const M&>(m).*Get)().size();
      },
      .collect =
          [](const google::protobuf::Message& m, MapAccess::Entries* out) {
            for (const auto& entry : (static_cast<const M&>(m).*Get)())
              out->emplace_back(&entry.first, &entry.second);
          },
      .find = [](const google::protobuf::Message& m, const std::string& key) -> const void* {
        const auto& map = (static_cast<const M&>(m).*Get)();
        auto it = map.find(key);
        return it == map.end() ? nullptr : &it->second;
      },
      .insert = [](google::protobuf::Message* m, const std::string& key) -> void* {
        return &(*(static_cast<M*>(m)->*Mutable)())[key];
      },
      .erase = [](google::protobuf::Message* m,
                  const std::string& key) { (static_cast<M*>(m)->*Mutable)()->erase(key); },
  };
}

}  // namespace gantry::api::internal

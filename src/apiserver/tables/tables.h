#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/kinds.h"
#include "api/object.h"
#include "base/env/time.h"

namespace gantry::apiserver {

// What a client asked of a Table.
struct TableOptions {
  // What each row carries beside its cells.
  enum class Include { kNone, kMetadata, kObject };

  TableOptions() = default;
  TableOptions(bool no_headers, Include include) : no_headers(no_headers), include(include) {}

  bool no_headers =
      false;  // columnDefinitions are left out: also for every event of a watch but the first
  Include include = Include::kMetadata;
};

// Appends a whole Table of meta.k8s.io/v1 as JSON. Columns and cells go by the kind of the objects
// as they are stored (an event asked for in events.k8s.io prints the same); `kind` gives the
// columns where there are no objects. `revision` 0 is left out.
void AppendTable(const api::KindInfo& kind, std::span<const api::ObjectPtr> objects,
                 int64_t revision, std::string_view continue_token,
                 std::optional<int64_t> remaining, const TableOptions& options, WallTime now,
                 std::string* out);
// The same for one message that is no stored object (a Scale).
void AppendTable(const google::protobuf::Message& message, int64_t revision,
                 const TableOptions& options, WallTime now, std::string* out);

// Appends a PartialObjectMetadata, and a PartialObjectMetadataList, of meta.k8s.io/v1 as JSON.
void AppendPartialMetadata(const api::Object& object, std::string* out);
void AppendPartialMetadataList(std::span<const api::ObjectPtr> objects, int64_t revision,
                               std::string_view continue_token, std::optional<int64_t> remaining,
                               std::string* out);

}  // namespace gantry::apiserver

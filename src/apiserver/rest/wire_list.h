#pragma once

#include <string>

#include "apiserver/registry/registry.h"

namespace gantry::apiserver {

// A list in the binary envelope, put together from the bytes that its objects already have.
std::string WireList(const api::KindInfo& kind, const ListResult& list);

// A watch event in the binary form: four bytes of length, then a WatchEvent whose object is
// `envelope`.
std::string WireEvent(std::string_view type, std::string_view envelope);

}  // namespace gantry::apiserver

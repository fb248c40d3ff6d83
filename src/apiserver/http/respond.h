#pragma once

#include <string>
#include <string_view>

#include "apiserver/http/handler.h"
#include "base/env/env.h"

namespace gantry::apiserver::internal {

// "Fri, 20 Nov 2026 18:33:59 GMT"; made once a second per thread.
std::string_view DateHeader(Env& env);

// Whether the client takes gzip.
bool AcceptsGzip(const Headers& headers);

// Compresses a large body, away from the loop threads: as kube-apiserver does, from 128 KiB on and
// with level 1. Leaves all other responses alone.
Task<> CompressIfLarge(Env& env, bool accepts_gzip, Response* response);

// The length of body and pieces.
size_t BodySize(const Response& response);

// The metav1.Status that kube-apiserver answers to a body over the limit.
Response TooLarge(size_t limit);

}  // namespace gantry::apiserver::internal

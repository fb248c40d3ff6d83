#pragma once

#include <string>
#include <string_view>

#include "api/meta/v1/status.pb.h"
#include "apiserver/http/handler.h"
#include "base/status.h"

namespace gantry::apiserver {

// A failure as metav1.Status; `ok` gives Success without details.
api::meta::v1::Status StatusMessage(const Status& status);
// Its JSON, with kind and apiVersion and without a line break.
std::string StatusJson(const Status& status);
std::string StatusJson(const api::meta::v1::Status& status);

// The answer to a failed request, whose body the request chain writes: a metav1.Status. Sets
// Retry-After where the failure says so.
Response ErrorResponse(Status status);
// Plain text, for paths that are not of the API.
Response TextResponse(int code, std::string text);
Response JsonResponse(int code, std::string json);

}  // namespace gantry::apiserver

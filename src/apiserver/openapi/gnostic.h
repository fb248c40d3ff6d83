#pragma once

#include <string>

#include "api/json_value.h"

namespace gantry::apiserver::openapi {

// The protobuf forms of OpenAPI documents, which clients ask for because they decode faster. What
// the server's own documents do not use is not encoded.

// A Swagger 2.0 document as openapi.v2.Document (gnostic's OpenAPIv2.proto).
std::string EncodeSwagger(const api::JsonValue& document);

// An OpenAPI 3.0 document as openapi.v3.Document (gnostic's OpenAPIv3.proto).
std::string EncodeOpenApiV3(const api::JsonValue& document);

}  // namespace gantry::apiserver::openapi

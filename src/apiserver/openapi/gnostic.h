#pragma once

#include <string>

#include "api/json_value.h"

namespace gantry::apiserver::openapi {

// A Swagger 2.0 document in the protobuf form of openapi.v2.Document (gnostic's OpenAPIv2.proto),
// which clients ask for because it decodes faster. What the server's own document does not use is
// not encoded.
std::string EncodeSwagger(const api::JsonValue& document);

}  // namespace gantry::apiserver::openapi

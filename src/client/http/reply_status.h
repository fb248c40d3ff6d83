#pragma once

#include <string_view>

#include "base/status.h"

namespace gantry::client {

// The Status that an answer with `http_status` >= 400 stands for: from the metav1.Status in its
// body (JSON), or from the number alone.
Status StatusOfReply(int http_status, std::string_view body);

// The code of a metav1 reason; where there is none of that name, of the number.
Code CodeOfReply(int http_status, std::string_view reason);

}  // namespace gantry::client

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace gantry::api {

struct KindInfo;

// One thing that is wrong with one field of an object.
struct FieldError {
  enum class Type : uint8_t {
    kRequired,
    kInvalid,
    kNotSupported,
    kForbidden,
    kDuplicate,
    kTooLong,
    kTooMany,
    kNotFound,
    kTypeInvalid,
    kInternal,
  };

  Type type;
  std::string field;    // "spec.containers[0].name"
  std::string message;  // complete: `Invalid value: "x": must be ...`
};
using FieldErrors = std::vector<FieldError>;

// "FieldValueRequired": the reason of a cause in metav1.Status.
std::string_view CauseReasonOf(FieldError::Type type);
// "Required value": how the message of such an error begins.
std::string_view TextOf(FieldError::Type type);

// kInvalid with one cause per error: `Deployment.apps "web" is invalid: spec.x: Invalid value:
// ...`, or
// `... is invalid: [a, b]` where there are several. Equal errors are named once in the message.
Status InvalidObject(const KindInfo& kind, std::string_view name, const FieldErrors& errors);
Status InvalidObject(std::string_view group, std::string_view kind, std::string_view name,
                     const FieldErrors& errors);

// "a, b" or "[a, b]": the text of the errors without the object, as Go's aggregate prints it.
std::string JoinErrors(const FieldErrors& errors);

}  // namespace gantry::api

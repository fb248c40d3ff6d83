#include "cli/client/failure.h"

namespace gantry::cli {
namespace {

// The Invalid failure of an object, its causes listed.
std::string InvalidText(const Status& status) {
  const StatusDetails& details = status.details();
  std::string text = "The " + details.kind + " \"" + details.name + "\" is invalid";
  if (details.kind.empty()) text = "The request is invalid";
  if (details.causes.empty()) return text + ": " + status.message();
  const bool one = details.causes.size() == 1;
  text += one ? ": " : ": \n";
  for (const StatusCause& cause : details.causes) {
    text += one ? "" : "* ";
    if (!cause.field.empty()) text += cause.field + ": ";
    text += cause.message + (one ? "" : "\n");
  }
  while (text.ends_with('\n'))
    text.pop_back();
  return text;
}

}  // namespace

Status LocalError(const std::string& message) {
  return Status(Code::kBadRequest, "error: " + message);
}

Status ServerError(const Status& status) {
  if (status.ok()) return status;
  std::string text;
  switch (status.code()) {
    case Code::kUnavailable:
      text = "Unable to connect to the server: " + status.message();
      break;
    case Code::kCanceled:
      text = "error: timed out waiting for the condition";
      break;
    case Code::kUnauthorized:
      text = "error: You must be logged in to the server (" + status.message() + ")";
      break;
    case Code::kInvalid:
      text = InvalidText(status);
      break;
    case Code::kUnknown:
      text = "Error from server: " + status.message();
      break;
    default:
      text =
          "Error from server (" + std::string(ReasonOf(status.code())) + "): " + status.message();
  }
  return Status(status.code(), text, status.details());
}

}  // namespace gantry::cli

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

// `message` is Go's: Get "https://10.0.0.1:6443/api": dial tcp 10.0.0.1:6443: connect: connection
// refused
std::string ConnectionText(const std::string& message) {
  const size_t host = message.find("://");
  if (message.ends_with("connection refused") && host != std::string::npos) {
    return "The connection to the server " +
           message.substr(host + 3, message.find('/', host + 3) - host - 3) +
           " was refused - did you specify the right host or port?";
  }
  return "Unable to connect to the server: " + message;
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
      text = ConnectionText(status.message());
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

Status WithSource(const Status& status, const std::string& doing, const std::string& source) {
  std::string text = status.message();
  const size_t colon = text.find("): ");
  if (status.ok() || source.empty() || !text.starts_with("Error from server") ||
      colon == std::string::npos)
    return status;
  text.insert(colon + 3, "error when " + doing + " \"" + source + "\": ");
  return Status(status.code(), text, status.details());
}

Status ListError(const Status& status, const std::string& resource, const std::string& labels,
                 const std::string& fields) {
  if (status.code() != Code::kBadRequest && status.code() != Code::kNotFound) return status;
  const size_t colon = status.message().find("): ");
  if (colon == std::string::npos) return status;
  const std::string what = labels.empty() && fields.empty()
                               ? "Unable to list \"" + resource + "\": "
                               : "Unable to find \"" + resource +
                                     "\" that match label selector \"" + labels +
                                     "\", field selector \"" + fields + "\": ";
  std::string text = status.message();
  return Status(status.code(), text.insert(colon + 3, what), status.details());
}

}  // namespace gantry::cli

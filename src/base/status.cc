#include "base/status.h"

#include <cerrno>
#include <cstring>

namespace gantry {
namespace {

struct CodeRow {
  Code code;
  std::string_view reason;
  int http_status;
};

constexpr CodeRow kCodes[] = {
    {Code::kOk, "", 200},
    {Code::kBadRequest, "BadRequest", 400},
    {Code::kUnauthorized, "Unauthorized", 401},
    {Code::kForbidden, "Forbidden", 403},
    {Code::kNotFound, "NotFound", 404},
    {Code::kMethodNotAllowed, "MethodNotAllowed", 405},
    {Code::kNotAcceptable, "NotAcceptable", 406},
    {Code::kAlreadyExists, "AlreadyExists", 409},
    {Code::kConflict, "Conflict", 409},
    {Code::kGone, "Gone", 410},
    {Code::kExpired, "Expired", 410},
    {Code::kInvalid, "Invalid", 422},
    {Code::kRequestEntityTooLarge, "RequestEntityTooLarge", 413},
    {Code::kUnsupportedMediaType, "UnsupportedMediaType", 415},
    {Code::kTooManyRequests, "TooManyRequests", 429},
    {Code::kInternalError, "InternalError", 500},
    {Code::kServiceUnavailable, "ServiceUnavailable", 503},
    {Code::kServerTimeout, "ServerTimeout", 500},
    {Code::kTimeout, "Timeout", 504},
    {Code::kUnknown, "", 500},
    {Code::kCanceled, "Timeout", 504},
    {Code::kUnavailable, "ServiceUnavailable", 503},
    {Code::kDataLoss, "InternalError", 500},
};

const CodeRow& RowOf(Code code) { return kCodes[static_cast<size_t>(code)]; }

}  // namespace

std::string_view ReasonOf(Code code) { return RowOf(code).reason; }
int HttpStatusOf(Code code) { return RowOf(code).http_status; }

Status::Status(Code code, std::string message)
    : Status(code, std::move(message), StatusDetails()) {}

Status::Status(Code code, std::string message, StatusDetails details)
    : rep_(code == Code::kOk
               ? nullptr
               : std::make_shared<const Rep>(Rep{code, std::move(message), std::move(details)})) {}

const std::string& Status::message() const {
  static const std::string* const empty = new std::string();
  return rep_ ? rep_->message : *empty;
}

const StatusDetails& Status::details() const {
  static const StatusDetails* const empty = new StatusDetails();
  return rep_ ? rep_->details : *empty;
}

Status Status::WithContext(std::string_view context) const {
  if (ok()) return *this;
  return Status(code(), std::string(context) + ": " + message(), details());
}

Status Status::WithDetails(StatusDetails details) const {
  if (ok()) return *this;
  return Status(code(), message(), std::move(details));
}

std::string Status::ToString() const {
  if (ok()) return "OK";
  return std::string(ReasonOf(code())) + ": " + message();
}

Status InternalError(std::string message) {
  return Status(Code::kInternalError, std::move(message));
}
Status BadRequest(std::string message) { return Status(Code::kBadRequest, std::move(message)); }
Status Unavailable(std::string message) { return Status(Code::kUnavailable, std::move(message)); }
Status Canceled(std::string message) { return Status(Code::kCanceled, std::move(message)); }
Status DataLoss(std::string message) { return Status(Code::kDataLoss, std::move(message)); }

Status FromErrno(int error, std::string_view what) {
  Code code = Code::kInternalError;
  if (error == ENOENT) code = Code::kNotFound;
  if (error == EEXIST) code = Code::kAlreadyExists;
  if (error == EACCES || error == EPERM) code = Code::kForbidden;
  return Status(code, std::string(what) + ": " + std::strerror(error));
}

}  // namespace gantry

#include "apiserver/status_body.h"

#include "api/json.h"
#include "api/kinds.h"

namespace gantry::apiserver {

api::meta::v1::Status StatusMessage(const Status& status) {
  api::meta::v1::Status message;
  message.mutable_metadata();
  if (status.ok()) {
    message.set_status("Success");
    return message;
  }
  message.set_status("Failure");
  message.set_message(status.message());
  if (std::string_view reason = ReasonOf(status.code()); !reason.empty())
    message.set_reason(std::string(reason));
  message.set_code(HttpStatusOf(status.code()));

  const StatusDetails& details = status.details();
  const bool generic = details.name.empty() && details.kind.empty() && details.causes.empty() &&
                       details.retry_after_seconds == 0;
  // Kubernetes gives these two reasons no details at all.
  if (generic && (status.code() == Code::kBadRequest || status.code() == Code::kExpired ||
                  status.code() == Code::kUnauthorized || status.code() == Code::kUnknown)) {
    return message;
  }
  auto* out = message.mutable_details();
  if (!details.name.empty()) out->set_name(details.name);
  if (!details.group.empty()) out->set_group(details.group);
  if (!details.kind.empty()) out->set_kind(details.kind);
  if (!details.uid.empty()) out->set_uid(details.uid);
  for (const StatusCause& cause : details.causes) {
    auto* added = out->add_causes();
    if (!cause.reason.empty()) added->set_reason(cause.reason);
    if (!cause.message.empty()) added->set_message(cause.message);
    if (!cause.field.empty()) added->set_field(cause.field);
  }
  if (details.retry_after_seconds > 0) out->set_retry_after_seconds(details.retry_after_seconds);
  return message;
}

std::string StatusJson(const api::meta::v1::Status& status) {
  std::string json;
  api::WriteObjectJson(api::KindOf<api::meta::v1::Status>(), status, 0, &json);
  return json;
}

std::string StatusJson(const Status& status) { return StatusJson(StatusMessage(status)); }

Response JsonResponse(int code, std::string json) {
  Response response;
  response.status = code;
  response.headers.Set("Content-Type", "application/json");
  response.body = std::move(json);
  response.body.push_back('\n');
  return response;
}

Response ErrorResponse(Status status) {
  Response response;
  response.status = HttpStatusOf(status.code());
  if (int seconds = status.details().retry_after_seconds; seconds > 0) {
    response.headers.Set("Retry-After", std::to_string(seconds));
  }
  response.failure = std::move(status);
  return response;
}

Response TextResponse(int code, std::string text) {
  Response response;
  response.status = code;
  response.headers.Set("Content-Type", "text/plain; charset=utf-8");
  response.headers.Set("X-Content-Type-Options", "nosniff");
  response.body = std::move(text);
  return response;
}

}  // namespace gantry::apiserver

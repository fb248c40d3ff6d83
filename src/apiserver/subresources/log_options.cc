#include "apiserver/subresources/log_options.h"

#include <optional>

#include "api/duration.h"
#include "api/validation.h"
#include "apiserver/subresources/pod_container.h"

namespace gantry::apiserver {
namespace {

using api::core::v1::Pod;

Status InvalidLog(const Pod& pod, api::FieldError::Type type, std::string field,
                  std::string message) {
  api::FieldErrors errors;
  errors.push_back({type, std::move(field), std::move(message)});
  return api::InvalidObject("", "PodLogOptions", pod.metadata().name(), errors);
}

}  // namespace

Result<client::LogOptions> ReadLogOptions(const Query& query, const Pod& pod, std::string container,
                                          WallTime now) {
  using Type = api::FieldError::Type;
  client::LogOptions options;
  options.ns = pod.metadata().namespace_();
  options.pod = pod.metadata().name();
  options.uid = pod.metadata().uid();
  options.follow = query.GetBool("follow");
  options.previous = query.GetBool("previous");
  options.timestamps = query.GetBool("timestamps");
  GANTRY_ASSIGN(options.tail_lines, query.GetInt("tailLines"));
  GANTRY_ASSIGN(options.limit_bytes, query.GetInt("limitBytes"));
  GANTRY_ASSIGN(std::optional<int64_t> since_seconds, query.GetInt("sinceSeconds"));
  auto number = [](int64_t value) { return "Invalid value: " + std::to_string(value) + ": "; };
  if (options.tail_lines && *options.tail_lines < 0) {
    return InvalidLog(pod, Type::kInvalid, "tailLines",
                      number(*options.tail_lines) + "must be greater than or equal to 0");
  }
  if (options.limit_bytes && *options.limit_bytes < 1) {
    return InvalidLog(pod, Type::kInvalid, "limitBytes",
                      number(*options.limit_bytes) + "must be greater than 0");
  }
  const std::string_view since_time = query.Get("sinceTime");
  if (since_seconds && !since_time.empty()) {
    return InvalidLog(pod, Type::kForbidden, "",
                      "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
  }
  if (since_seconds) {
    if (*since_seconds < 1) {
      return InvalidLog(pod, Type::kInvalid, "sinceSeconds",
                        number(*since_seconds) + "must be greater than 0");
    }
    options.since = now - std::chrono::seconds(*since_seconds);
  }
  if (!since_time.empty()) {
    GANTRY_ASSIGN(WallTime since, api::ParseTime(since_time));
    options.since = since;
  }
  GANTRY_ASSIGN(options.container, ContainerOf(pod, std::move(container)));
  return options;
}

}  // namespace gantry::apiserver

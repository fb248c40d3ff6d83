#include "api/validation/probe.h"

namespace gantry::api::validation {
namespace {

using core::v1::Probe;

constexpr char kOneHandler[] = "may not specify more than 1 handler type";

void CheckHttpGet(const Path& path, const core::v1::HTTPGetAction& get, Errors* errors) {
  if (get.path().empty()) errors->Required(path.Child("path"));
  CheckPortNumberOrName(path.Child("port"), get.port(), errors);
  if (!IsOneOf(get.scheme(), {"HTTP", "HTTPS"})) {
    errors->NotSupported(path.Child("scheme"), get.scheme(), {"HTTP", "HTTPS"});
  }
  for (const auto& header : get.http_headers()) {
    errors->Complain(path.Child("httpHeaders"), header.name(), IsHttpHeaderName(header.name()));
  }
}

// Looks at the handlers in turn; there must be one and only one.
class HandlerCheck {
 public:
  HandlerCheck(const Path& path, Errors* errors) : path_(path), errors_(errors) {}

  // True where the handler is the one to look at.
  bool Take(bool has, std::string_view name) {
    if (!has) return false;
    if (found_) {
      errors_->Forbidden(path_.Child(name), kOneHandler);
      return false;
    }
    return found_ = true;
  }

  template <class T>
  void Common(const T& handler) {
    if (Take(handler.has_exec(), "exec") && handler.exec().command().empty()) {
      errors_->Required(path_.Child("exec.command"));
    }
    if (Take(handler.has_http_get(), "httpGet"))
      CheckHttpGet(path_.Child("httpGet"), handler.http_get(), errors_);
    if (Take(handler.has_tcp_socket(), "tcpSocket")) {
      CheckPortNumberOrName(path_.Child("tcpSocket.port"), handler.tcp_socket().port(), errors_);
    }
  }

  void Done() {
    if (!found_) errors_->Required(path_, "must specify a handler type");
  }

 private:
  const Path& path_;
  Errors* errors_;
  bool found_ = false;
};

void CheckProbe(const Path& path, const Probe& probe, Errors* errors) {
  HandlerCheck handler(path, errors);
  handler.Common(probe.handler());
  if (handler.Take(probe.handler().has_grpc(), "grpc")) {
    errors->Complain(path.Child("grpc.port"), probe.handler().grpc().port(),
                     IsPortNumber(probe.handler().grpc().port()));
  }
  handler.Done();
  CheckNonnegative(path.Child("initialDelaySeconds"), probe.initial_delay_seconds(), errors);
  CheckNonnegative(path.Child("timeoutSeconds"), probe.timeout_seconds(), errors);
  CheckNonnegative(path.Child("periodSeconds"), probe.period_seconds(), errors);
  CheckNonnegative(path.Child("successThreshold"), probe.success_threshold(), errors);
  CheckNonnegative(path.Child("failureThreshold"), probe.failure_threshold(), errors);
  if (probe.has_termination_grace_period_seconds() &&
      probe.termination_grace_period_seconds() <= 0) {
    errors->Invalid(path.Child("terminationGracePeriodSeconds"),
                    probe.termination_grace_period_seconds(), "must be greater than 0");
  }
}

void CheckSuccessOnce(const Path& path, const Probe& probe, Errors* errors) {
  if (probe.success_threshold() != 1) {
    errors->Invalid(path.Child("successThreshold"), probe.success_threshold(), "must be 1");
  }
}

void CheckHook(const Path& path, const core::v1::LifecycleHandler& hook,
               const core::v1::PodSpec& spec, Errors* errors) {
  HandlerCheck handler(path, errors);
  handler.Common(hook);
  if (handler.Take(hook.has_sleep(), "sleep") && spec.has_termination_grace_period_seconds()) {
    int64_t grace = spec.termination_grace_period_seconds();
    if (hook.sleep().seconds() < 0 || hook.sleep().seconds() > grace) {
      errors->Invalid(path.Child("sleep"), hook.sleep().seconds(),
                      "must be non-negative and less than terminationGracePeriodSeconds (" +
                          std::to_string(grace) + ")");
    }
  }
  handler.Done();
}

}  // namespace

void CheckProbesAndHooks(const Path& path, const core::v1::Container& container,
                         const PodContext& pod, Errors* errors) {
  if (container.has_lifecycle()) {
    Path lifecycle = path.Child("lifecycle");
    if (container.lifecycle().has_post_start()) {
      CheckHook(lifecycle.Child("postStart"), container.lifecycle().post_start(), pod.spec, errors);
    }
    if (container.lifecycle().has_pre_stop()) {
      CheckHook(lifecycle.Child("preStop"), container.lifecycle().pre_stop(), pod.spec, errors);
    }
  }
  if (container.has_liveness_probe()) {
    Path probe = path.Child("livenessProbe");
    CheckProbe(probe, container.liveness_probe(), errors);
    CheckSuccessOnce(probe, container.liveness_probe(), errors);
  }
  if (container.has_readiness_probe()) {
    Path probe = path.Child("readinessProbe");
    CheckProbe(probe, container.readiness_probe(), errors);
    if (container.readiness_probe().has_termination_grace_period_seconds()) {
      errors->Invalid(probe.Child("terminationGracePeriodSeconds"),
                      container.readiness_probe().termination_grace_period_seconds(),
                      "must not be set for readinessProbes");
    }
  }
  if (container.has_startup_probe()) {
    Path probe = path.Child("startupProbe");
    CheckProbe(probe, container.startup_probe(), errors);
    CheckSuccessOnce(probe, container.startup_probe(), errors);
  }
}

}  // namespace gantry::api::validation

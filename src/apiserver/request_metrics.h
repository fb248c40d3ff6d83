#pragma once

#include "apiserver/request_info.h"
#include "base/env/time.h"
#include "base/metrics.h"

namespace gantry::apiserver {

// Counts and times requests, under the names that kube-apiserver has. Threading: any thread.
class RequestMetrics {
 public:
  RequestMetrics();
  void Begin();
  void End(const RequestInfo& info, int status, Duration took);

 private:
  MetricFamily<Counter>& total_;
  MetricFamily<Histogram>& seconds_;
  Gauge& running_;
};

}  // namespace gantry::apiserver

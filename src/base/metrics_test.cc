#include "base/metrics.h"

#include <gtest/gtest.h>

namespace gantry {
namespace {

TEST(Metrics, AreWrittenAsPrometheusReadsThem) {
  MetricRegistry registry;
  registry.Counters("requests_total", "Requests.", {"verb", "code"}).With({"GET", "200"}).Add(3);
  registry.Counters("requests_total", "Requests.", {"verb", "code"})
      .With({"a\"b\\c\nd", "500"})
      .Add();
  registry.Gauges("depth", "Queue depth.").With({}).Set(2.5);
  registry.Gauges("unused", "Never set.", {"name"});
  Histogram& h = registry.Histograms("latency_seconds", "Latency.", {0.1, 1}, {"name"}).With({"x"});
  h.Observe(0.1);
  h.Observe(0.5);
  h.Observe(7);
  EXPECT_EQ(registry.Text(),
            "# HELP depth Queue depth.\n# TYPE depth gauge\ndepth 2.5\n"
            "# HELP latency_seconds Latency.\n# TYPE latency_seconds histogram\n"
            "latency_seconds_bucket{name=\"x\",le=\"0.1\"} 1\n"
            "latency_seconds_bucket{name=\"x\",le=\"1\"} 2\n"
            "latency_seconds_bucket{name=\"x\",le=\"+Inf\"} 3\n"
            "latency_seconds_sum{name=\"x\"} 7.6\nlatency_seconds_count{name=\"x\"} 3\n"
            "# HELP requests_total Requests.\n# TYPE requests_total counter\n"
            "requests_total{verb=\"GET\",code=\"200\"} 3\n"
            "requests_total{verb=\"a\\\"b\\\\c\\nd\",code=\"500\"} 1\n");
}

TEST(Metrics, ExponentialBoundsGrowByTheFactor) {
  EXPECT_EQ(ExponentialBounds(1, 10, 3), (std::vector<double>{1, 10, 100}));
}

}  // namespace
}  // namespace gantry

#pragma once

#include <absl/container/btree_map.h>
#include <absl/synchronization/mutex.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace gantry {

// Figures for /metrics, in Prometheus' text format. Threading: any thread; a change is one or a few
// atomic operations.

class Counter {
 public:
  void Add(double by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_ = 0;
};

class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_ = 0;
};

// Counts observations by upper bound.
class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  // Observations at or below bound `i`; `bounds().size()` counts all.
  uint64_t CumulativeCount(size_t i) const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_ = 0;
};

// One name with one metric per combination of label values. References stay valid as long as the
// registry.
template <class Metric>
class MetricFamily {
 public:
  MetricFamily(std::string name, std::string help, std::vector<std::string> labels,
               std::vector<double> bounds)
      : name_(std::move(name)),
        help_(std::move(help)),
        labels_(std::move(labels)),
        bounds_(std::move(bounds)) {}

  // As many values as the family has labels. Keep the reference where it is used often.
  Metric& With(const std::vector<std::string>& values) {
    absl::MutexLock lock(&mutex_);
    std::unique_ptr<Metric>& metric = metrics_[values];
    if (!metric) {
      if constexpr (std::is_same_v<Metric, Histogram>) {
        metric = std::make_unique<Metric>(bounds_);
      } else {
        metric = std::make_unique<Metric>();
      }
    }
    return *metric;
  }

  void AppendText(std::string* out) const;

 private:
  const std::string name_, help_;
  const std::vector<std::string> labels_;
  const std::vector<double> bounds_;
  mutable absl::Mutex mutex_;
  absl::btree_map<std::vector<std::string>, std::unique_ptr<Metric>> metrics_
      ABSL_GUARDED_BY(mutex_);
};

// All families of a process. Asking for a name again gives the same family.
class MetricRegistry {
 public:
  static MetricRegistry& Default();

  MetricFamily<Counter>& Counters(std::string_view name, std::string_view help,
                                  std::vector<std::string> labels = {});
  MetricFamily<Gauge>& Gauges(std::string_view name, std::string_view help,
                              std::vector<std::string> labels = {});
  MetricFamily<Histogram>& Histograms(std::string_view name, std::string_view help,
                                      std::vector<double> bounds,
                                      std::vector<std::string> labels = {});

  // Everything, sorted by name.
  std::string Text() const;

 private:
  template <class Metric>
  using Families = absl::btree_map<std::string, std::unique_ptr<MetricFamily<Metric>>>;

  mutable absl::Mutex mutex_;
  Families<Counter> counters_ ABSL_GUARDED_BY(mutex_);
  Families<Gauge> gauges_ ABSL_GUARDED_BY(mutex_);
  Families<Histogram> histograms_ ABSL_GUARDED_BY(mutex_);
};

// `count` bounds from `start`, each `factor` times the one before.
std::vector<double> ExponentialBounds(double start, double factor, int count);

}  // namespace gantry

#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "base/check.h"

namespace gantry {
namespace {

std::string Number(double value) {
  if (value == std::numeric_limits<double>::infinity()) return "+Inf";
  return fmt::format("{}", value);
}

std::string Escape(std::string_view text, bool quotes) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

// `{a="x",b="y"}`, or nothing. `bound` adds `le`.
std::string LabelText(const std::vector<std::string>& names, const std::vector<std::string>& values,
                      std::string_view bound = {}) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", names[i], Escape(values[i], true));
  }
  if (!bound.empty()) out += fmt::format("{}le=\"{}\"", out.empty() ? "" : ",", bound);
  return out.empty() ? out : "{" + out + "}";
}

template <class Metric>
constexpr std::string_view kTypeName = "counter";
template <>
constexpr std::string_view kTypeName<Gauge> = "gauge";
template <>
constexpr std::string_view kTypeName<Histogram> = "histogram";

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)),
      counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds_.size() + 1)) {}

void Histogram::Observe(double value) {
  size_t i = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

uint64_t Histogram::CumulativeCount(size_t i) const {
  uint64_t count = 0;
  for (size_t j = 0; j <= i; ++j)
    count += counts_[j].load(std::memory_order_relaxed);
  return count;
}

template <class Metric>
void MetricFamily<Metric>::AppendText(std::string* out) const {
  absl::MutexLock lock(&mutex_);
  if (metrics_.empty()) return;
  *out += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name_, Escape(help_, false),
                      kTypeName<Metric>);
  for (const auto& [values, metric] : metrics_) {
    GANTRY_CHECK(values.size() == labels_.size(), name_);
    if constexpr (std::is_same_v<Metric, Histogram>) {
      for (size_t i = 0; i <= metric->bounds().size(); ++i) {
        const double bound = i < metric->bounds().size() ? metric->bounds()[i]
                                                         : std::numeric_limits<double>::infinity();
        *out += fmt::format("{}_bucket{} {}\n", name_, LabelText(labels_, values, Number(bound)),
                            metric->CumulativeCount(i));
      }
      const std::string labels = LabelText(labels_, values);
      *out += fmt::format("{0}_sum{1} {2}\n{0}_count{1} {3}\n", name_, labels,
                          Number(metric->sum()), metric->CumulativeCount(metric->bounds().size()));
    } else {
      *out += fmt::format("{}{} {}\n", name_, LabelText(labels_, values), Number(metric->value()));
    }
  }
}

namespace {
template <class Metric>
MetricFamily<Metric>& FindOrMake(
    absl::btree_map<std::string, std::unique_ptr<MetricFamily<Metric>>>& families,
    std::string_view name, std::string_view help, std::vector<std::string> labels,
    std::vector<double> bounds = {}) {
  std::unique_ptr<MetricFamily<Metric>>& family = families[std::string(name)];
  if (!family) {
    family = std::make_unique<MetricFamily<Metric>>(std::string(name), std::string(help),
                                                    std::move(labels), std::move(bounds));
  }
  return *family;
}
}  // namespace

MetricRegistry& MetricRegistry::Default() {
  static MetricRegistry* const registry = new MetricRegistry();
  return *registry;
}

MetricFamily<Counter>& MetricRegistry::Counters(std::string_view name, std::string_view help,
                                                std::vector<std::string> labels) {
  absl::MutexLock lock(&mutex_);
  return FindOrMake(counters_, name, help, std::move(labels));
}

MetricFamily<Gauge>& MetricRegistry::Gauges(std::string_view name, std::string_view help,
                                            std::vector<std::string> labels) {
  absl::MutexLock lock(&mutex_);
  return FindOrMake(gauges_, name, help, std::move(labels));
}

MetricFamily<Histogram>& MetricRegistry::Histograms(std::string_view name, std::string_view help,
                                                    std::vector<double> bounds,
                                                    std::vector<std::string> labels) {
  absl::MutexLock lock(&mutex_);
  return FindOrMake(histograms_, name, help, std::move(labels), std::move(bounds));
}

std::string MetricRegistry::Text() const {
  std::map<std::string_view, std::string> texts;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, family] : counters_)
    family->AppendText(&texts[name]);
  for (const auto& [name, family] : gauges_)
    family->AppendText(&texts[name]);
  for (const auto& [name, family] : histograms_)
    family->AppendText(&texts[name]);
  std::string out;
  for (const auto& [name, text] : texts)
    out += text;
  return out;
}

std::vector<double> ExponentialBounds(double start, double factor, int count) {
  std::vector<double> bounds;
  for (int i = 0; i < count; ++i) {
    bounds.push_back(start);
    start *= factor;
  }
  return bounds;
}

}  // namespace gantry

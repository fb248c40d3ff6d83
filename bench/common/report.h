#pragma once

#include <string>
#include <vector>

namespace gantry::bench {

// A line for people, at once.
[[gnu::format(printf, 1, 2)]] void Say(const char* format, ...);

// Of a sorted or unsorted set; `share` 0.5 is the median. 0 for an empty set.
double Percentile(std::vector<double> values, double share);
double Median(std::vector<double> values);

// "0.42 0.55 0.61": what else the machine was doing, to be read beside the figures.
std::string LoadAverage();

// The figures of a program, printed together at its end, one line of JSON each. Threading: one
// thread.
class Report {
 public:
  void Add(const char* name, double value, const char* unit) {
    figures_.push_back({name, value, unit});
  }
  void Print() const;

 private:
  struct Figure {
    std::string name;
    double value;
    std::string unit;
  };
  std::vector<Figure> figures_;
};

}  // namespace gantry::bench

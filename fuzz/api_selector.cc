#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/cron.h"
#include "api/duration.h"
#include "api/selector.h"

// All the small languages of one line: selectors, durations, times, cron schedules.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace gantry::api;  // NOLINT: one program for many parsers
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto selector = Selector::Parse(text); selector.ok()) {
    auto again = Selector::Parse(selector->ToString());
    if (!again.ok() || !(*again == *selector)) abort();
    (void)selector->Matches(LabelMap());
  }
  if (auto selector = FieldSelector::Parse(text); selector.ok()) {
    auto again = FieldSelector::Parse(selector->ToString());
    if (!again.ok() || again->requirements().size() != selector->requirements().size()) abort();
  }
  if (auto duration = ParseGoDuration(text); duration.ok()) (void)FormatGoDuration(*duration);
  if (auto time = ParseTime(text); time.ok()) (void)FormatMicroTime(*time);
  (void)CronSchedule::Parse(text).ok();
  return 0;
}

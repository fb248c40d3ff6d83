#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/env/time.h"
#include "base/status.h"

namespace gantry::api {

// A schedule of five fields, or "@daily" and the like. Threading: a value.
struct CronSchedule {
  // kBadRequest with the words of Kubernetes' cron library.
  static Result<CronSchedule> Parse(std::string_view text);

  // Bit n is set where the field admits n.
  uint64_t minutes = 0;
  uint64_t hours = 0;
  uint64_t days = 0;      // of the month, from 1
  uint64_t months = 0;    // from 1
  uint64_t weekdays = 0;  // Sunday is 0
  // One of the day fields is "*": then both must admit a day, else one of them is enough.
  bool any_day = false;
  // "@every 1h30m": the fields above are empty.
  Duration every = Duration::zero();

  // The first time after `after` that the schedule admits in the time zone ("Europe/Berlin"; empty:
  // UTC); nullopt for a schedule that never comes about (the 30th of February). kNotFound for a
  // zone that this machine does not know. Times that a change of the clocks leaves out are skipped.
  Result<std::optional<WallTime>> Next(WallTime after, const std::string& zone) const;
};

}  // namespace gantry::api

#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "base/env/time.h"

namespace gantry::api::core::v1 {
class Event;
}

namespace gantry::client {

// Decides what becomes of an event, by client-go's rules: one that is equal to an earlier one
// raises that one's count; more than 10 that differ only in the message, within 10 minutes, become
// one "(combined from similar events)"; a source and object with more than 25 events at a stretch,
// refilled by one in 300 s, is cut off. Remembers the last 4096 of each. Threading: one caller at a
// time.
class EventCorrelator {
 public:
  // Changes `event` to what should be written: count > 1 means that the event of its name is to be
  // updated. False: drop it.
  bool Correlate(api::core::v1::Event* event, SteadyTime now, WallTime wall);

 private:
  // A map that forgets what was used longest ago.
  template <class Value>
  class Recent {
   public:
    Value& operator[](const std::string& key);

   private:
    std::list<std::string> order_;
    std::unordered_map<std::string, std::pair<Value, std::list<std::string>::iterator>> values_;
  };
  struct Alike {
    std::set<std::string> messages;
    SteadyTime last{};
  };
  struct Seen {
    int32_t count = 0;
    std::string name;
    int64_t first_seconds = 0;
  };
  struct Bucket {
    double tokens = 0;
    SteadyTime last{};
    bool used = false;
  };

  Recent<Alike> alike_;
  Recent<Seen> seen_;
  Recent<Bucket> buckets_;
};

}  // namespace gantry::client

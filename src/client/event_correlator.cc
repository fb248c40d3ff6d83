#include "client/event_correlator.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/core/v1/event.pb.h"

namespace gantry::client {
namespace {

constexpr size_t kRemembered = 4096;
constexpr size_t kMaxAlike = 10;
constexpr Duration kAlikeWindow = std::chrono::seconds(600);
constexpr double kBurst = 25;
constexpr double kTokensPerSecond = 1.0 / 300;

std::string SpamKey(const api::core::v1::Event& event) {
  const auto& object = event.involved_object();
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}", event.source().component(),
                     event.source().host(), object.kind(), object.namespace_(), object.name(),
                     object.uid(), object.api_version());
}

std::string AlikeKey(const api::core::v1::Event& event) {
  return fmt::format("{}\n{}\n{}", SpamKey(event), event.type(), event.reason());
}

std::string EqualKey(const api::core::v1::Event& event) {
  return fmt::format("{}\n{}\n{}", AlikeKey(event), event.involved_object().field_path(),
                     event.message());
}

}  // namespace

template <class Value>
Value& EventCorrelator::Recent<Value>::operator[](const std::string& key) {
  auto it = values_.find(key);
  if (it != values_.end()) {
    order_.splice(order_.end(), order_, it->second.second);
    return it->second.first;
  }
  if (values_.size() >= kRemembered) {
    values_.erase(order_.front());
    order_.pop_front();
  }
  order_.push_back(key);
  return values_.emplace(key, std::make_pair(Value(), std::prev(order_.end()))).first->second.first;
}

bool EventCorrelator::Correlate(api::core::v1::Event* event, SteadyTime now, WallTime wall) {
  const std::string alike_key = AlikeKey(*event);
  std::string key = EqualKey(*event);
  Alike& alike = alike_[alike_key];
  if (now - alike.last > kAlikeWindow) alike.messages.clear();
  alike.messages.insert(event->message());
  alike.last = now;
  if (alike.messages.size() >= kMaxAlike) {
    alike.messages.erase(alike.messages.begin());
    key = alike_key;
    event->set_message("(combined from similar events): " + event->message());
    event->mutable_metadata()->set_name(
        fmt::format("{}.{:x}", event->involved_object().name(), wall.time_since_epoch().count()));
  }

  Seen& seen = seen_[key];
  if (seen.count > 0) {
    event->mutable_metadata()->set_name(seen.name);
    event->mutable_first_timestamp()->set_seconds(seen.first_seconds);
    event->set_count(seen.count + 1);
  }
  seen.count = event->count();
  seen.name = event->metadata().name();
  seen.first_seconds = event->first_timestamp().seconds();

  Bucket& bucket = buckets_[SpamKey(*event)];
  const double elapsed = std::chrono::duration<double>(now - bucket.last).count();
  bucket.tokens =
      bucket.used ? std::min(kBurst, bucket.tokens + elapsed * kTokensPerSecond) : kBurst;
  bucket.used = true;
  bucket.last = now;
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

}  // namespace gantry::client

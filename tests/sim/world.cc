#include "sim/world.h"

#include <cstdio>
#include <utility>

namespace gantry::sim {

uint64_t HashOf(std::string_view text, uint64_t hash) {
  for (char c : text)
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

void World::After(Duration delay, absl::AnyInvocable<void()> call) {
  const uint64_t id = ++last_call_;
  auto run = [this, id, call = std::move(call)]() mutable {
    calls_.erase(id);
    call();
  };
  calls_[id] = env_.CallAt(env_.Steady() + delay, std::move(run));
}

void World::Tell(std::string_view what) {
  Trace(HashOf(what));
  Narrate(what);
}

void World::Narrate(std::string_view what) const {
  if (!tells_) return;
  const double seconds = std::chrono::duration<double>(now()).count();
  std::printf("%12.6f  %.*s\n", seconds, static_cast<int>(what.size()), what.data());
}

void World::Trace(uint64_t what) {
  const auto time = static_cast<uint64_t>(now().count());
  trace_.push_back((what ^ (time * 0x9e3779b97f4a7c15)) * 1099511628211ULL);
}

void World::Breach(std::string what) {
  Tell("BREACH: " + what);
  if (breach_.empty()) breach_ = std::move(what);
}

}  // namespace gantry::sim

#include "common/pod_watch.h"

namespace gantry::bench {

using api::JsonValue;

PodWatch::PodWatch(ApiClient& client) : client_(client) {
  Spawn(client_.env().MakeStrand(), gate_, "pod watch", Run(*this));
}

PodWatch::~PodWatch() {
  cancel_.Cancel();
  client_.env().RunToEnd(gate_.Close(client_.env()));
}

void PodWatch::End(const std::string& why) {
  const std::lock_guard lock(mutex_);
  ended_ = why;
  changed_.notify_all();
}

Task<> PodWatch::Run(PodWatch& self) {
  client::HttpRequest request("GET", "/api/v1/namespaces/default/pods?watch=true");
  request.headers.Add("Accept", "application/json");
  Result<client::HttpResponse> response =
      co_await self.client_.transport().Send(std::move(request), self.cancel_.token());
  if (!response.ok()) {
    self.End(response.status().message());
    co_return;
  }
  std::string text;
  while (true) {
    Result<std::string> more = co_await response->body->Read();
    if (!more.ok() || more->empty()) {
      self.End(more.ok() ? "the server ended the watch" : more.status().message());
      co_return;
    }
    text += *more;
    size_t begin = 0;
    for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
      self.OnLine(std::string_view(text).substr(begin, end - begin));
      begin = end + 1;
    }
    text.erase(0, begin);
  }
}

void PodWatch::OnLine(std::string_view line) {
  const SteadyTime now = client_.env().Steady();
  Result<JsonValue> event = JsonValue::Parse(line);
  if (!event.ok()) return;
  const std::string type = StringAt(*event, {"type"});
  const std::string name = StringAt(*event, {"object", "metadata", "name"});
  const std::lock_guard lock(mutex_);
  if (type == "DELETED") {
    pods_.erase(name);
  } else if (type == "ADDED" || type == "MODIFIED") {
    SeenPod& pod = pods_[name];
    pod.phase = StringAt(*event, {"object", "status", "phase"});
    pod.ready = HasCondition(*event->Find("object"), "Ready");
    if (pod.phase == "Running" && pod.running_at == SteadyTime()) pod.running_at = now;
  }
  changed_.notify_all();
}

SeenPods PodWatch::Seen() {
  const std::lock_guard lock(mutex_);
  return pods_;
}

Status PodWatch::Until(const std::string& what, std::chrono::seconds timeout,
                       const std::function<bool(const SeenPods&)>& holds) {
  std::unique_lock lock(mutex_);
  const auto satisfied = [&] { return !ended_.empty() || holds(pods_); };
  if (!changed_.wait_for(lock, timeout, satisfied)) {
    std::map<std::string, int> phases;
    for (const auto& [name, pod] : pods_)
      ++phases[pod.phase];
    std::string found;
    for (const auto& [phase, count] : phases)
      found += " " + std::to_string(count) + " " + phase;
    return InternalError(what + ": not within " + std::to_string(timeout.count()) +
                         " s; there are" + (found.empty() ? " no pods" : found));
  }
  if (!ended_.empty()) return InternalError(what + ": " + ended_);
  return Status::Ok();
}

}  // namespace gantry::bench

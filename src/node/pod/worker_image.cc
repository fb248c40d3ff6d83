#include "api/core/v1/container.pb.h"
#include "api/core/v1/pod_status.pb.h"
#include "api/duration.h"
#include "node/images/reference.h"
#include "node/pod/worker.h"

// A container's image: what is here, what must be pulled, and what the container's status says of
// it.
namespace gantry::node {

using api::core::v1::Container;
using std::chrono::seconds;

namespace {

std::string PullPolicy(const Container& container) {
  if (!container.image_pull_policy().empty()) return container.image_pull_policy();
  Result<ImageReference> ref = ParseImageReference(container.image());
  return ref.ok() && ref->tag == "latest" && ref->digest.empty() ? "Always" : "IfNotPresent";
}

// As Go prints a duration of more than a millisecond: "1.234s", cut to milliseconds.
std::string Seconds(Duration duration) {
  return api::FormatGoDuration(std::chrono::duration_cast<std::chrono::milliseconds>(duration));
}

}  // namespace

Task<Result<ImagePtr>> PodWorker::EnsureImage(std::string name) {
  const ContainerEntry* entry = containers_->Find(name);
  if (entry == nullptr) co_return Canceled("container is gone");
  std::string image_name = entry->spec->image(), policy = PullPolicy(*entry->spec);
  Result<ImageReference> ref = ParseImageReference(image_name);
  if (!ref.ok()) {
    std::string message =
        "Failed to apply default image tag \"" + image_name + "\": " + ref.status().message();
    if (!waiting_.contains(name)) Event("Warning", "InspectFailed", message, name);
    if (!waiting_.contains(name)) Event("Warning", "Failed", "Error: InvalidImageName", name);
    waiting_[name] = {"InvalidImageName", message};
    RetryIn(seconds(60));
    co_return ref.status();
  }
  std::string full = ref->ToString();
  ImagePtr present = node_.images.Find(full);
  if (present && policy != "Always") {
    Event("Normal", "Pulled", "Container image \"" + image_name + "\" already present on machine",
          name);
    co_return present;
  }
  if (policy == "Never") {
    std::string message =
        "Container image \"" + image_name + "\" is not present with pull policy of Never";
    if (!waiting_.contains(name)) {
      Event("Warning", "ErrImageNeverPull", message, name);
      Event("Warning", "Failed", "Error: ErrImageNeverPull", name);
    }
    waiting_[name] = {"ErrImageNeverPull", message};
    RetryIn(kRetry);
    co_return Status(Code::kNotFound, message);
  }
  WallTime now = node_.env.Now();
  if (auto failed = pull_failed_.find(full); failed != pull_failed_.end()) {
    Duration wait = pulls_.Remaining(full, failed->second, now);
    if (wait > Duration::zero()) {
      std::string message = "Back-off pulling image \"" + image_name + "\"";
      bool told = waiting_.contains(name) && waiting_[name].reason == "ImagePullBackOff";
      std::string before = waiting_.contains(name) ? waiting_[name].message : std::string();
      if (!told) {
        Event("Normal", "BackOff", message, name);
        Event("Warning", "Failed", "Error: ImagePullBackOff", name);
        waiting_[name] = {"ImagePullBackOff",
                          before.empty() ? message : message + ": ErrImagePull: " + before};
      }
      RetryIn(wait);
      co_return Unavailable(message);
    }
  }
  ObjectNames names;
  for (const auto& secret : pod_->spec().image_pull_secrets())
    names.secrets.push_back(secret.name());
  Status error;
  ReferencedObjects objects = co_await Fetch(std::move(names), &error);
  PullSecrets secrets;
  for (const auto& [secret_name, secret] : objects.secrets) {
    if (!secret) continue;
    for (const char* key : {".dockerconfigjson", ".dockercfg"}) {
      auto it = secret->data().find(key);
      if (it != secret->data().end()) secrets.push_back(it->second);
    }
  }
  std::string absent;
  for (const auto& secret : pod_->spec().image_pull_secrets()) {
    auto it = objects.secrets.find(secret.name());
    if (it == objects.secrets.end() || !it->second)
      absent += (absent.empty() ? "" : ", ") + secret.name();
  }
  if (!absent.empty()) {
    Event("Warning", "FailedToRetrieveImagePullSecret",
          "Unable to retrieve some image pull secrets (" + absent +
              "); attempting to pull the image may not succeed.");
  }
  Event("Normal", "Pulling", "Pulling image \"" + image_name + "\"", name);
  // This may take long: show where the pod is.
  Status shown = co_await WriteStatus();
  pull_ = CancelSource();
  if (stop_.token().cancelled() || gone_ || pod_->metadata().has_deletion_timestamp())
    pull_.Cancel();
  Result<PulledImage> pulled = co_await node_.images.Pull(full, std::move(secrets), pull_.token());
  if (!pulled.ok() && pull_.token().cancelled()) co_return Canceled("the pull was given up");
  if (!pulled.ok()) {
    pulls_.Next(full, node_.env.Now());
    pull_failed_[full] = node_.env.Now();
    const std::string& why = pulled.status().message();
    Event("Warning", "Failed", "Failed to pull image \"" + image_name + "\": " + why, name);
    Event("Warning", "Failed", "Error: ErrImagePull", name);
    waiting_[name] = {"ErrImagePull", why};
    RetryIn(pulls_.Remaining(full, pull_failed_[full], node_.env.Now()));
    RetryIn(seconds(1));  // to show that it backs off now
    co_return pulled.status();
  }
  pulls_.Forget(full);
  pull_failed_.erase(full);
  Event("Normal", "Pulled",
        "Successfully pulled image \"" + image_name + "\" in " + Seconds(pulled->took) + " (" +
            Seconds(pulled->waited) +
            " including waiting). Image size: " + std::to_string(pulled->image->size) + " bytes.",
        name);
  co_return pulled->image;
}

}  // namespace gantry::node

#include "net/policy/policed_network.h"

namespace gantry::net {

Task<Result<std::vector<std::string>>> PolicedNetwork::Attach(PodAttachment pod) {
  GuardedPod guarded;
  guarded.uid = pod.uid;
  guarded.ns = pod.ns;
  guarded.name = pod.name;
  guarded.revision = pod.revision;
  Result<std::vector<std::string>> attached = co_await network_.Attach(std::move(pod));
  if (!attached.ok()) co_return attached;
  for (const std::string& text : *attached) {
    if (std::optional<IpAddress> ip = IpAddress::Parse(text)) guarded.addresses.push_back(*ip);
  }
  Status admitted = co_await policies_.Admit(std::move(guarded));
  if (!admitted.ok()) co_return admitted.WithContext("network policies of the pod");
  co_return attached;
}

Task<Status> PolicedNetwork::Detach(std::string uid) {
  // The pod is guarded for as long as it has its interface.
  GANTRY_CO_TRY(co_await network_.Detach(uid));
  policies_.Forget(uid);
  co_return Status::Ok();
}

Task<Status> PolicedNetwork::ReleaseAllBut(std::vector<std::string> live_uids) {
  GANTRY_CO_TRY(co_await network_.ReleaseAllBut(live_uids));
  policies_.ForgetAllBut(live_uids);
  co_return Status::Ok();
}

}  // namespace gantry::net

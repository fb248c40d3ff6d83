#include "controllers/servicecidrs/service_cidrs.h"

#include <algorithm>

#include "api/duration.h"
#include "api/networking/v1/ip_address.pb.h"
#include "api/owners.h"
#include "base/ip.h"

namespace gantry::controllers {
namespace {

using api::networking::v1::IPAddress;
using api::networking::v1::ServiceCIDR;
using client::Plan;
using RangeRef = api::Ref<ServiceCIDR>;

constexpr char kFinalizer[] = "networking.k8s.io/service-cidr-finalizer";
constexpr char kManagerLabel[] = "ipaddress.kubernetes.io/managed-by";
constexpr char kManager[] = "ipallocator.k8s.io";
// So long after the deletion was asked for, every server has stopped giving addresses of the range.
constexpr Duration kGrace = std::chrono::seconds(10);

std::vector<Cidr> CidrsOf(const ServiceCIDR& range) {
  std::vector<Cidr> cidrs;
  for (const std::string& text : range.spec().cidrs()) {
    Result<Cidr> cidr = Cidr::Parse(text);
    if (cidr.ok()) cidrs.push_back(*cidr);
  }
  return cidrs;
}

class ServiceCidrController : public client::Reconciler {
 public:
  std::string_view name() const override { return "service-cidr"; }

  void Setup(client::InformerSet& informers, Enqueue enqueue) override {
    ranges_ = &informers.For<ServiceCIDR>();
    addresses_ = &informers.For<IPAddress>();
    // Another range may take over addresses that hold one.
    ranges_->AddHandler([this, enqueue](const api::ObjectPtr& before, const api::ObjectPtr& after) {
      enqueue({"", (after ? after : before)->name()});
      WakeDeleted(enqueue);
    });
    addresses_->AddHandler(
        [this, enqueue](const api::ObjectPtr&, const api::ObjectPtr&) { WakeDeleted(enqueue); });
  }

  Result<Plan> Reconcile(const Key& key, WallTime now) override {
    Plan plan;
    RangeRef range = client::GetFrom<ServiceCIDR>(*ranges_, "", key.name);
    if (!range) return plan;
    const auto& finalizers = range->metadata().finalizers();
    const bool held = std::ranges::find(finalizers, kFinalizer) != finalizers.end();
    if (!api::IsBeingDeleted(range->metadata())) {
      if (!held) {
        ServiceCIDR copy = *range;
        copy.mutable_metadata()->add_finalizers(kFinalizer);
        plan.Update(std::move(copy));
        return plan;  // what comes of it wakes this again
      }
      SetReady(*range, true, "", "Kubernetes Service CIDR is ready", now, &plan);
      return plan;
    }
    if (!held) return plan;
    if (HoldsAddresses(*range)) {
      SetReady(*range, false, "Terminating",
               "There are still IPAddresses referencing the ServiceCIDR, please remove them or "
               "create a new ServiceCIDR",
               now, &plan);
      return plan;
    }
    const Duration left = api::ToWallTime(range->metadata().deletion_timestamp()) + kGrace - now;
    if (left > Duration::zero()) {
      plan.requeue_after = left;
      return plan;
    }
    ServiceCIDR copy = *range;
    auto* kept = copy.mutable_metadata()->mutable_finalizers();
    kept->erase(std::remove(kept->begin(), kept->end(), kFinalizer), kept->end());
    plan.Update(std::move(copy));
    return plan;
  }

 private:
  void WakeDeleted(const Enqueue& enqueue) const {
    for (const api::ObjectPtr& range : ranges_->List()) {
      if (api::IsBeingDeleted(range->meta())) enqueue({"", range->name()});
    }
  }

  static void SetReady(const ServiceCIDR& range, bool ready, const std::string& reason,
                       const std::string& message, WallTime now, Plan* plan) {
    const std::string status = ready ? "True" : "False";
    for (const auto& condition : range.status().conditions()) {
      if (condition.type() == "Ready" && condition.status() == status) return;
    }
    ServiceCIDR copy = range;
    copy.mutable_status()->clear_conditions();
    auto* condition = copy.mutable_status()->add_conditions();
    condition->set_type("Ready");
    condition->set_status(status);
    condition->set_reason(reason);
    condition->set_message(message);
    api::SetTime(now, condition->mutable_last_transition_time());
    plan->UpdateStatus(std::move(copy));
  }

  // Whether a service would have an address of no range without this one.
  bool HoldsAddresses(const ServiceCIDR& range) const {
    std::vector<Cidr> others;
    for (const RangeRef& other : client::Typed<ServiceCIDR>(ranges_->List())) {
      if (other->metadata().name() == range.metadata().name()) continue;
      std::ranges::copy(CidrsOf(*other), std::back_inserter(others));
    }
    const std::vector<Cidr> own = CidrsOf(range);
    auto holds = [](const std::vector<Cidr>& cidrs, const IpAddress& ip) {
      return std::ranges::any_of(cidrs, [&](const Cidr& cidr) { return cidr.Contains(ip); });
    };
    return std::ranges::any_of(addresses_->List(), [&](const api::ObjectPtr& address) {
      auto manager = address->meta().labels().find(kManagerLabel);
      if (manager == address->meta().labels().end() || manager->second != kManager) return false;
      std::optional<IpAddress> ip = IpAddress::Parse(address->name());
      return ip && holds(own, *ip) && !holds(others, *ip);
    });
  }

  client::Informer* ranges_ = nullptr;
  client::Informer* addresses_ = nullptr;
};

}  // namespace

std::unique_ptr<client::Reconciler> MakeServiceCidrController() {
  return std::make_unique<ServiceCidrController>();
}

}  // namespace gantry::controllers
